//! The recorder: takes what the engine is given, and puts it away a second at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hatrace_core::input::{Input, Limits};
use hatrace_core::life::Life;
use hatrace_core::time::Mono;
use serde::Serialize;

use super::lines::{Configured, Header, Line, What};
use super::redact::Redactor;
use super::scan::Scans;
use crate::error::Problem;
use crate::port::Context;

/// A member is closed when it is so old, or so long.
const SECOND: Duration = Duration::from_secs(1);
const LONG: usize = 1 << 20;

/// A recording that is being made.
pub struct Recorder {
    path: PathBuf,
    file: File,
    /// Bytes in the file: whole members.
    written: u64,
    /// As many as there may be.
    limit: Option<u64>,
    header: Header,
    /// The member at hand, not compressed yet.
    member: Vec<u8>,
    began: Option<Mono>,
    scans: Scans,
    /// Lives of a scan that is being told.
    scan: Vec<(Mono, Life)>,
    told: Context,
    redactor: Option<Redactor>,
    over: Option<Over>,
}

/// Why nothing more is recorded.
enum Over {
    /// The file is as large as it may be.
    Limit,
    /// It can't be written.
    Failed(Problem),
}

/// A recording that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// It ended before the watch did: it was as large as it might be.
    pub full: bool,
}

impl Recorder {
    /// Begins a recording in a file of its own, which nobody else may read.
    ///
    /// # Errors
    /// It exists, or can't be made.
    pub fn create(path: &Path, limit: Option<u64>, redact: bool, header: Header) -> Result<Self, Problem> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| unmade(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            written: 0,
            limit,
            told: header.context.clone(),
            redactor: redact.then(Redactor::default),
            header,
            member: Vec::new(),
            began: None,
            scans: Scans::default(),
            scan: Vec::new(),
            over: None,
        })
    }

    /// Whether nothing more is recorded: the file is full, or the disk.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Takes an input that the engine is given at `at`.
    pub fn take(&mut self, at: Mono, input: &Input) {
        if self.over.is_some() {
            return;
        }
        match input {
            Input::Open(life) => self.scan.push((at, life.clone())),
            Input::Scanned => {
                let lives = std::mem::take(&mut self.scan);
                let runs = self
                    .scans
                    .shorten(lives.into_iter().map(|(_, life)| life).collect());
                self.line(at, What::Scan(runs));
            }
            input => {
                // Lives that no whole scan tells of.
                for (at, life) in std::mem::take(&mut self.scan) {
                    self.line(at, What::Input(Input::Open(life)));
                }
                self.describe(input);
                self.line(at, What::Input(input.clone()));
            }
        }
        self.close_if_due(at);
    }

    /// A view is drawn at `at`, with this beside the snapshot.
    pub fn cut(&mut self, at: Mono, context: &Context) {
        if self.told != *context {
            self.told = context.clone();
            self.line(at, What::Context(Box::new(context.clone())));
        }
        self.line(at, What::Cut);
    }

    /// Any other line.
    pub fn line(&mut self, at: Mono, what: What) {
        if self.over.is_some() {
            return;
        }
        self.began.get_or_insert(at);
        put(&mut self.member, &Line { at, what }, self.redactor.as_mut());
    }

    /// For the first header: what one wants to know before anything else.
    fn describe(&mut self, input: &Input) {
        if self.header.member > 0 {
            return;
        }
        match input {
            Input::Configured(pid, configuration) => {
                self.header.limits.push(Configured::of(pid.0, configuration));
            }
            Input::Sweep(sweep) if self.header.sysctls.is_empty() => {
                let limits = sweep.limits.iter().map(|(_, limits)| *limits);
                self.header.sysctls = limits.collect::<Vec<Limits>>();
            }
            _ => {}
        }
    }

    fn close_if_due(&mut self, at: Mono) {
        let old = self.began.is_some_and(|began| at.since(began) >= SECOND);
        if old || self.member.len() >= LONG {
            self.close_member();
        }
    }

    /// Puts the member at hand away.
    fn close_member(&mut self) {
        if self.member.is_empty() || self.over.is_some() {
            return;
        }
        let packed = match self.pack() {
            Ok(packed) => packed,
            Err(error) => return self.end(&error),
        };
        if self
            .limit
            .is_some_and(|limit| self.written + packed.len() as u64 > limit)
        {
            self.over = Some(Over::Limit);
            return;
        }
        if let Err(error) = self.file.write_all(&packed) {
            // What was begun and not ended is taken back: the file stays a whole one.
            let _ = self.file.set_len(self.written);
            let _ = self.file.seek(SeekFrom::Start(self.written));
            return self.end(&error);
        }
        self.written += packed.len() as u64;
        self.member.clear();
        self.began = None;
        self.scans = Scans::default();
        self.header.member += 1;
        self.header.limits.clear();
        self.header.sysctls.clear();
    }

    fn pack(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        put(&mut head, &self.header, self.redactor.as_mut());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(4));
        encoder.write_all(&head)?;
        encoder.write_all(&self.member)?;
        encoder.finish()
    }

    fn end(&mut self, error: &io::Error) {
        let problem = Problem::failed(format!(
            "writing {}: {error}; what was recorded before is in it",
            self.path.display()
        ));
        self.over = Some(Over::Failed(
            problem.remedy("another place: -o FILE, --record FILE"),
        ));
    }

    /// Puts away what is at hand.
    ///
    /// # Errors
    /// Why not all of it is in the file.
    pub fn finish(mut self) -> Result<Recorded, Problem> {
        for (at, life) in std::mem::take(&mut self.scan) {
            self.line(at, What::Input(Input::Open(life)));
        }
        self.close_member();
        let full = match self.over {
            Some(Over::Failed(problem)) => return Err(problem),
            over => over.is_some(),
        };
        Ok(Recorded {
            path: self.path,
            bytes: self.written,
            full,
        })
    }
}

/// A value as a line. What is put away here has no maps with other keys than strings: it can't fail.
fn put(out: &mut Vec<u8>, value: &impl Serialize, redactor: Option<&mut Redactor>) {
    let before = out.len();
    let written = match redactor {
        None => serde_json::to_writer(&mut *out, value),
        Some(redactor) => serde_json::to_value(value)
            .and_then(|value| serde_json::to_writer(&mut *out, &redactor.redact(value))),
    };
    if written.is_ok() {
        out.push(b'\n');
    } else {
        out.truncate(before);
    }
}

fn unmade(path: &Path, error: &io::Error) -> Problem {
    let problem = Problem::failed(format!("making {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::AlreadyExists => problem.remedy("another name; nothing is written over"),
        _ => problem,
    }
}
