//! The reader of one file: whatever of it is whole, in order; the rest is counted and said.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use hatrace_core::ids::Pid;
use hatrace_core::input::{Counts, Gap, Input};
use hatrace_core::naming::Asking;
use hatrace_core::time::Mono;
use serde_json::Value;

use super::FORMAT;
use super::lines::{Header, Line, What};
use super::members::Members;
use super::migrate::Migration;
use super::scan::Scans;
use super::understood::{self, Batch, Understood, understand};
use crate::error::Problem;
use crate::port::{Context, Stamped};

/// What a recording tells.
#[derive(Debug)]
pub enum Item {
    /// An input for the engine.
    Input(Stamped),
    /// What views know beside the snapshot.
    Context(Box<Context>),
    /// Names of peers.
    Names(BTreeMap<IpAddr, String>),
    /// A view was drawn then.
    Cut(Mono),
}

/// A file of a recording that is read.
pub(super) struct Tape {
    path: PathBuf,
    header: Header,
    packed: bool,
    source: Source,
    /// What is left of the member at hand.
    member: std::vec::IntoIter<Understood>,
    pub(super) place: Place,
    scans: Scans,
    /// Inputs of a scan still to be told, last first.
    scan: Vec<Stamped>,
    damage: Damage,
    last: Mono,
}

/// Where the lines come from.
enum Source {
    /// Nothing was asked for yet: its first member, and what comes behind it.
    Opened(Box<(Members, Vec<u8>, Option<Migration>)>),
    /// From the thread that goes through it.
    Running(Receiver<Batch>),
    /// It has ended, or there is nobody to tell.
    Ended,
}

/// Where in its recording a reader is.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The next member's number, if nothing is lost.
    pub(super) expected: u64,
    /// What went before isn't there: what is said again is news.
    pub(super) late: bool,
    /// The reading begins late: totals are reckoned from there, once they are known.
    pub(super) partial: bool,
    /// The counters as they were where the reading begins.
    pub(super) counts: Option<Box<Counts>>,
    /// What had been asked by then, by process.
    pub(super) asked: BTreeMap<Pid, Asking>,
}

impl Place {
    /// Totals as if they had begun where the reading begins.
    fn since(&self, input: Input) -> Input {
        match (input, &self.counts) {
            (Input::Counts(counts), Some(base)) => Input::Counts(Box::new(counts.since(base))),
            (Input::Asking(asking), _) => Input::Asking(match self.asked.get(&asking.pid) {
                Some(base) => Asking {
                    questions: asking.questions.saturating_sub(base.questions),
                    took: asking.took.saturating_sub(base.took),
                    ..asking
                },
                None => asking,
            }),
            (input, _) => input,
        }
    }
}

/// What could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Damage {
    /// Bytes of the file.
    bytes: u64,
    /// Lines of what could be unpacked.
    lines: u64,
    /// Members that are missing, by their numbers.
    members: u64,
}

impl Tape {
    /// Opens a file, and reads to its first header.
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        let unread = |error: &io::Error| Problem::failed(format!("reading {}: {error}", path.display()));
        let file = File::open(path).map_err(|error| unread(&error))?;
        let mut members = Members::of(file).map_err(|error| unread(&error))?;
        let mut damage = Damage::default();
        loop {
            let mut member = Vec::new();
            if !members.next_into(&mut member).map_err(|error| unread(&error))? {
                return Err(
                    Problem::failed(format!("{} is no recording of hatrace's", path.display()))
                        .remedy("hatrace record -o FILE makes one"),
                );
            }
            let Some((header, migration)) = header_of(&member, path)? else {
                damage.lines += member.iter().filter(|byte| **byte == b'\n').count() as u64;
                continue;
            };
            return Ok(Self {
                path: path.to_owned(),
                last: header.context.started_mono,
                place: Place::default(),
                header,
                packed: members.packed(),
                source: Source::Opened(Box::new((members, member, migration))),
                member: Vec::new().into_iter(),
                scans: Scans::default(),
                scan: Vec::new(),
                damage,
            });
        }
    }

    /// The first header.
    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    /// Whether this is a later file of its recording, by its first member's number. Then what is there is read as if it were all.
    pub(super) fn begins_late(&mut self) -> bool {
        // A file that has lost its beginning has nothing that is said again: what it lacks is missing, as from any other.
        let late = self.header.member > 0 && self.says_again();
        if late {
            self.place = Place {
                expected: self.header.member,
                late,
                partial: true,
                ..Place::default()
            };
        }
        late
    }

    fn says_again(&self) -> bool {
        let Source::Opened(opened) = &self.source else {
            return false;
        };
        let (_, first, migration) = &**opened;
        let mut lines = first.split(|byte| *byte == b'\n').skip(1);
        let told = lines.next().map(|line| understand(line, migration.as_ref()));
        matches!(told, Some(Understood::Line(line)) if matches!(line.what, What::Again(_)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next thing told; `None` at the end. What can't be read is passed over; at the end a gap says how much that was.
    pub(super) fn advance(&mut self) -> Option<Item> {
        loop {
            if let Some(stamped) = self.scan.pop() {
                return Some(Item::Input(stamped));
            }
            match self.member.next() {
                Some(Understood::Line(line)) => {
                    self.last = self.last.max(line.at);
                    if let Some(item) = self.told(*line) {
                        return Some(item);
                    }
                }
                Some(Understood::Header(number)) => self.begin_member(number),
                Some(Understood::Nothing) => self.damage.lines += 1,
                None if self.next_member() => {}
                None => return self.last_word(),
            }
        }
    }

    /// Goes to the next member, if there is one.
    fn next_member(&mut self) -> bool {
        let receiver = match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Opened(opened) => {
                let (members, first, migration) = *opened;
                understood::start(members, first, migration)
            }
            Source::Running(receiver) => receiver,
            Source::Ended => return false,
        };
        match receiver.recv() {
            Ok(Batch::Lines { lines, first }) => {
                self.member = lines.into_iter();
                self.source = Source::Running(receiver);
                if self.packed && first {
                    self.scans = Scans::default();
                }
                true
            }
            Ok(Batch::End { lost }) => {
                self.damage.bytes += lost;
                false
            }
            // The thread failed: whatever it had still to tell is lost.
            Err(_) => {
                self.damage.bytes += 1;
                false
            }
        }
    }

    fn begin_member(&mut self, number: u64) {
        let missing = number.saturating_sub(self.place.expected);
        self.damage.members = self.damage.members.saturating_add(missing);
        self.place.late |= missing > 0;
        self.place.expected = number.saturating_add(1);
        self.scans = Scans::default();
    }

    fn told(&mut self, line: Line) -> Option<Item> {
        if let What::Again(input) = line.what {
            return self.told_again(line.at, input);
        }
        self.place.late = false;
        Some(match line.what {
            What::Input(input) => Item::Input((line.at, self.place.since(input))),
            What::Context(context) => Item::Context(context),
            What::Names(names) => Item::Names(names),
            What::Cut => Item::Cut(line.at),
            What::Again(_) => return None,
            What::Scan(runs) => {
                let Some(lives) = self.scans.restore(runs) else {
                    self.damage.lines += 1;
                    return None;
                };
                self.scan.push((line.at, Input::Scanned));
                let opens = lives.into_iter().rev().map(|life| (line.at, Input::Open(life)));
                self.scan.extend(opens);
                return None;
            }
        })
    }

    /// News only to those who haven't what went before.
    fn told_again(&mut self, at: Mono, input: Input) -> Option<Item> {
        let begins = self.place.partial && self.place.late;
        match input {
            Input::Counts(counts) => {
                if begins {
                    self.place.counts = Some(counts);
                }
                None
            }
            Input::Asking(asking) if begins => {
                self.place.asked.insert(asking.pid, asking.clone());
                Some(Item::Input((at, self.place.since(Input::Asking(asking)))))
            }
            input => self.place.late.then_some(Item::Input((at, input))),
        }
    }

    /// What was lost, once.
    fn last_word(&mut self) -> Option<Item> {
        let lost = std::mem::take(&mut self.damage);
        let parts = [
            (lost.members, "pieces of it missing"),
            (lost.bytes, "bytes not readable"),
            (lost.lines, "lines not understood"),
        ];
        let said: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if said.is_empty() {
            return None;
        }
        let why = format!("{}: {}", self.path.display(), said.join(", "));
        Some(Item::Input((self.last, Input::Gap(Gap::Unreadable { why }))))
    }
}

/// What every format's header has.
#[derive(serde::Deserialize)]
struct Version {
    hatrace_tape: u32,
    hatrace: Option<String>,
}

/// The header that a member begins with, and the way from its format to today's; `None`: it has none that can be read.
fn header_of(member: &[u8], path: &Path) -> Result<Option<(Header, Option<Migration>)>, Problem> {
    let line = member.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(version) = serde_json::from_slice::<Version>(line) else {
        return Ok(None);
    };
    if version.hatrace_tape > FORMAT {
        let by = version.hatrace.unwrap_or_else(|| "later one".to_owned());
        return Err(Problem::failed(format!(
            "{} is a recording of format {}, by hatrace {by}; this one reads up to {FORMAT}",
            path.display(),
            version.hatrace_tape
        ))
        .remedy("a newer hatrace"));
    }
    let Ok(old) = serde_json::from_slice::<Value>(line) else {
        return Ok(None);
    };
    let migration = Migration::of(version.hatrace_tape, old.clone());
    let header = match &migration {
        Some(migration) => serde_json::from_value(migration.header(old)),
        None => serde_json::from_slice(line),
    };
    Ok(header.ok().map(|header| (header, migration)))
}
