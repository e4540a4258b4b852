//! The reader: whatever of a recording is whole, in order; the rest is counted and said.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use hatrace_core::input::{Gap, Input};
use hatrace_core::time::Mono;

use super::FORMAT;
use super::lines::{Header, Line, What};
use super::scan::Scans;
use crate::error::Problem;
use crate::port::{Context, Stamped};

/// The magic of gzip, and deflate's number: how a member begins.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];
/// A member that unpacks to more is none of ours.
const MOST: u64 = 1 << 30;

/// What a recording tells.
#[derive(Debug)]
pub enum Item {
    /// An input for the engine.
    Input(Stamped),
    /// What views know beside the snapshot.
    Context(Box<Context>),
    /// Names of peers.
    Names(std::collections::BTreeMap<std::net::IpAddr, String>),
    /// A view was drawn then.
    Cut(Mono),
}

/// A recording that is read.
pub struct Tape {
    path: PathBuf,
    file: BufReader<File>,
    packed: bool,
    header: Header,
    /// The member at hand, and how far it is read.
    member: Vec<u8>,
    read: usize,
    /// The next member's number, if nothing is lost.
    expected: u64,
    scans: Scans,
    /// Inputs of a scan still to be told, last first.
    scan: Vec<Stamped>,
    damage: Damage,
    last: Mono,
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
    /// Opens a recording, and reads to its first header.
    ///
    /// # Errors
    /// It can't be read, isn't a recording, or is one of a later hatrace.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let unread = |error: &io::Error| Problem::failed(format!("reading {}: {error}", path.display()));
        let mut file = BufReader::with_capacity(256 << 10, File::open(path).map_err(|error| unread(&error))?);
        let packed = file.fill_buf().map_err(|error| unread(&error))?.first() != Some(&b'{');
        let mut damage = Damage::default();
        let none = || {
            Problem::failed(format!("{} is no recording of hatrace's", path.display()))
                .remedy("hatrace record -o FILE makes one")
        };
        loop {
            let member = next_member(&mut file, packed, &mut damage)
                .map_err(|error| unread(&error))?
                .ok_or_else(none)?;
            let Some(header) = header_of(&member, path)? else {
                damage.lines += member.iter().filter(|byte| **byte == b'\n').count() as u64;
                continue;
            };
            let mut this = Self {
                path: path.to_owned(),
                file,
                packed,
                expected: 0,
                last: header.context.started_mono,
                header,
                member: Vec::new(),
                read: 0,
                scans: Scans::default(),
                scan: Vec::new(),
                damage,
            };
            this.enter(member);
            return Ok(this);
        }
    }

    /// The first header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    fn enter(&mut self, member: Vec<u8>) {
        (self.member, self.read) = (member, 0);
        if self.packed {
            self.scans = Scans::default();
        }
    }

    /// The next thing told; `None` at the end. What can't be read is passed over; at the end a gap says how much that was.
    pub fn advance(&mut self) -> Option<Item> {
        loop {
            if let Some(stamped) = self.scan.pop() {
                return Some(Item::Input(stamped));
            }
            if self.read >= self.member.len() {
                match next_member(&mut self.file, self.packed, &mut self.damage) {
                    Ok(Some(member)) => self.enter(member),
                    Ok(None) => return self.last_word(),
                    Err(_) => {
                        self.damage.bytes += 1;
                        return self.last_word();
                    }
                }
                continue;
            }
            let rest = &self.member[self.read..];
            let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let line = &rest[..length];
            self.read += length + 1;
            if let Ok(line) = serde_json::from_slice::<Line>(line) {
                self.last = self.last.max(line.at);
                if let Some(item) = self.told(line) {
                    return Some(item);
                }
            } else if let Ok(header) = serde_json::from_slice::<Header>(line) {
                self.damage.members += header.member.saturating_sub(self.expected);
                self.expected = header.member + 1;
                self.scans = Scans::default();
            } else {
                self.damage.lines += 1;
            }
        }
    }

    fn told(&mut self, line: Line) -> Option<Item> {
        Some(match line.what {
            What::Input(input) => Item::Input((line.at, input)),
            What::Context(context) => Item::Context(context),
            What::Names(names) => Item::Names(names),
            What::Cut => Item::Cut(line.at),
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

    /// What was lost, once.
    fn last_word(&mut self) -> Option<Item> {
        let lost = std::mem::take(&mut self.damage);
        let why = lost.told(&self.path)?;
        Some(Item::Input((self.last, Input::Gap(Gap::Unreadable { why }))))
    }
}

impl Damage {
    fn told(self, path: &Path) -> Option<String> {
        let parts = [
            (self.members, "pieces of it missing"),
            (self.bytes, "bytes not readable"),
            (self.lines, "lines not understood"),
        ];
        let said: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        (!said.is_empty()).then(|| format!("{}: {}", path.display(), said.join(", ")))
    }
}

/// What every format's header has.
#[derive(serde::Deserialize)]
struct Version {
    hatrace_tape: u32,
    hatrace: Option<String>,
}

/// The header that a member begins with; `None`: it has none that can be read.
fn header_of(member: &[u8], path: &Path) -> Result<Option<Header>, Problem> {
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
    Ok(serde_json::from_slice(line).ok())
}

/// The next whole member, unpacked; of a file that isn't packed, the next lines.
fn next_member(file: &mut BufReader<File>, packed: bool, damage: &mut Damage) -> io::Result<Option<Vec<u8>>> {
    if !packed {
        return next_lines(file);
    }
    loop {
        let start = file.stream_position()?;
        let left = file.fill_buf()?.len();
        if left == 0 {
            return Ok(None);
        }
        let mut member = Vec::new();
        // Only a member whose checksum is right is believed.
        let unpacked = GzDecoder::new(&mut *file).take(MOST).read_to_end(&mut member);
        if unpacked.is_ok() && !member.is_empty() {
            return Ok(Some(member));
        }
        file.seek(SeekFrom::Start(start + 1))?;
        let skipped = to_magic(file)?;
        damage.bytes += 1 + skipped;
    }
}

/// Goes to where a member may begin; says how far that was.
fn to_magic(file: &mut BufReader<File>) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let begins = |at: &usize| {
            let rest = &buffer[*at..];
            rest.starts_with(&MAGIC) || MAGIC.starts_with(rest)
        };
        let found = (0..buffer.len()).find(begins);
        let passed = found.unwrap_or(buffer.len());
        file.consume(passed);
        skipped += passed as u64;
        if found.is_some() {
            return Ok(skipped);
        }
    }
}

/// So many bytes of lines at a time.
fn next_lines(file: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    const SOME: usize = 1 << 20;
    let mut lines = Vec::new();
    while lines.len() < SOME && file.read_until(b'\n', &mut lines)? > 0 {}
    Ok((!lines.is_empty()).then_some(lines))
}
