//! The recorder: takes what the engine is given, and puts it away a second at a time.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hatrace_core::input::{Input, Limits};
use hatrace_core::life::Life;
use hatrace_core::time::Mono;
use serde::Serialize;

use super::baseline::Baseline;
use super::files::{Files, Plan};
use super::lines::{Configured, Header, InputLine, InputWhat, Line, What};
use super::redact::Redactor;
use super::scan::Scans;
use crate::error::Problem;
use crate::port::Context;

/// A member is closed when it is so old, or so long.
const SECOND: Duration = Duration::from_secs(1);
const LONG: usize = 8 << 20;

/// A recording that is being made.
pub struct Recorder {
    files: Files,
    header: Header,
    /// What people want to know before anything else: at the head of each file.
    limits: Vec<Configured>,
    sysctls: Vec<Limits>,
    /// The member at hand, not compressed yet.
    member: Vec<u8>,
    began: Option<Mono>,
    scans: Scans,
    /// Lives of a scan that is being told.
    scan: Vec<(Mono, Life)>,
    /// What holds now, and what held when the member at hand began.
    now: Baseline,
    before: Baseline,
    /// The next sweep is to be kept as it is: a new file has begun.
    whole: bool,
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
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where it is: the last file of it.
    pub path: PathBuf,
    /// Its size, of all files that there were.
    pub bytes: u64,
    /// How many files there were before the last one; some of them may be gone.
    pub turned: u64,
    /// It ended before the watch did: it was as large as it might be.
    pub full: bool,
    /// Who is called what in it, where it has pseudonyms.
    pub redactor: Option<Redactor>,
}

impl Recorder {
    /// Begins a recording in a file of its own, which nobody else may read.
    ///
    /// # Errors
    /// It exists, or can't be made.
    pub fn create(plan: Plan, header: Header) -> Result<Self, Problem> {
        let redactor = plan.redact.then(Redactor::default);
        Ok(Self {
            files: Files::create(plan)?,
            redactor,
            header,
            limits: Vec::new(),
            sysctls: Vec::new(),
            member: Vec::new(),
            began: None,
            scans: Scans::default(),
            scan: Vec::new(),
            now: Baseline::default(),
            before: Baseline::default(),
            whole: false,
            over: None,
        })
    }

    /// With the pseudonyms of another recording: who is in both is called the same.
    #[must_use]
    pub fn called_as_in(mut self, other: Redactor) -> Self {
        self.redactor = Some(other);
        self
    }

    /// Whether nothing more is recorded: the file is full, or the disk.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Whether the next sweep should have everything, what is known already too. Says so once.
    pub const fn wants_everything(&mut self) -> bool {
        std::mem::replace(&mut self.whole, false)
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
                self.tell_scan();
                self.describe(input);
                self.input(at, input);
                if self.files.turns() {
                    self.now.take(at, input);
                }
            }
        }
        self.close_if_due(at);
    }

    /// What views know beside the snapshot, if it isn't what they knew.
    pub fn context(&mut self, at: Mono, context: &Context) {
        if self.header.context != *context {
            self.header.context = context.clone();
            self.line(at, What::Context(Box::new(context.clone())));
        }
    }

    /// A view is drawn at `at`, with this beside the snapshot.
    pub fn cut(&mut self, at: Mono, context: &Context) {
        self.context(at, context);
        self.line(at, What::Cut);
    }

    /// Any other line.
    pub fn line(&mut self, at: Mono, what: What) {
        self.put(at, &Line { at, what });
    }

    fn input(&mut self, at: Mono, input: &Input) {
        let what = InputWhat::Input(input);
        self.put(at, &InputLine { at, what });
    }

    fn put(&mut self, at: Mono, line: &impl Serialize) {
        if self.over.is_some() {
            return;
        }
        if self.began.is_none() {
            self.began = Some(at);
            self.before = self.now.clone();
        }
        put(&mut self.member, line, self.redactor.as_mut());
    }

    /// Lives that no whole scan tells of.
    fn tell_scan(&mut self) {
        for (at, life) in std::mem::take(&mut self.scan) {
            self.input(at, &Input::Open(life));
        }
    }

    fn describe(&mut self, input: &Input) {
        match input {
            Input::Configured(pid, configuration) => {
                self.limits.retain(|known| known.pid != pid.0);
                self.limits.push(Configured::of(pid.0, configuration));
            }
            Input::Sweep(sweep) if self.sysctls.is_empty() => {
                let limits = sweep.limits.iter().map(|(_, limits)| *limits);
                self.sysctls = limits.collect::<Vec<Limits>>();
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
        if let Err(error) = self.put_away() {
            return self.fail(&error);
        }
        self.member.clear();
        self.began = None;
        self.scans = Scans::default();
        self.header.member += 1;
    }

    fn put_away(&mut self) -> io::Result<()> {
        let mut packed = self.pack(self.files.is_new())?;
        if !self.files.has_room(packed.len()) && self.files.turns() && !self.files.is_new() {
            self.files.turn()?;
            self.whole = true;
            packed = self.pack(true)?;
        }
        if self.files.has_room(packed.len()) {
            self.files.put(&packed)
        } else {
            self.over = Some(Over::Limit);
            Ok(())
        }
    }

    /// The member at hand with its header; `first`: in its file.
    fn pack(&mut self, first: bool) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        let header = Header {
            began: self.began,
            limits: if first { self.limits.clone() } else { Vec::new() },
            sysctls: if first { self.sysctls.clone() } else { Vec::new() },
            ..self.header.clone()
        };
        put(&mut head, &header, self.redactor.as_mut());
        if first {
            for (at, input) in self.before.inputs() {
                let what = InputWhat::Again(&input);
                put(&mut head, &InputLine { at, what }, self.redactor.as_mut());
            }
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(4));
        encoder.write_all(&head)?;
        encoder.write_all(&self.member)?;
        encoder.finish()
    }

    fn fail(&mut self, error: &io::Error) {
        let problem = Problem::failed(format!(
            "writing {}: {error}; what was recorded before is in it",
            self.files.path().display()
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
        self.tell_scan();
        self.close_member();
        let full = match self.over {
            Some(Over::Failed(problem)) => return Err(problem),
            over => over.is_some(),
        };
        Ok(Recorded {
            path: self.files.path().to_owned(),
            bytes: self.files.total(),
            turned: self.files.turned(),
            full,
            redactor: self.redactor,
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
