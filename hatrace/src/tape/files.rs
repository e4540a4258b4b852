//! The files that a recording is put into: one, or the last few of many.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::Problem;

/// Where a recording is put, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// A file that doesn't exist yet.
    pub path: PathBuf,
    /// How large a file may become.
    pub limit: Option<u64>,
    /// How many full files are kept beside the one being written: `FILE.1` is the one before it. `None`: the first one that is full ends
    /// the recording.
    pub keep: Option<usize>,
    /// With pseudonyms in place of addresses and names.
    pub redact: bool,
}

/// The file at hand, and those before it.
pub(super) struct Files {
    plan: Plan,
    file: File,
    /// Bytes in the file at hand: whole members.
    written: u64,
    /// Bytes in all files that there were.
    total: u64,
    /// How many there were before this one.
    turned: u64,
}

impl Files {
    /// Makes the first one, which nobody else may read.
    pub(super) fn create(plan: Plan) -> Result<Self, Problem> {
        let older = (1..=plan.keep.unwrap_or(0)).map(|nth| nth_of(&plan.path, nth));
        for older in older {
            if older.exists() {
                return Err(unmade(&older, &io::ErrorKind::AlreadyExists.into()));
            }
        }
        let file = new(&plan.path).map_err(|error| unmade(&plan.path, &error))?;
        Ok(Self {
            plan,
            file,
            written: 0,
            total: 0,
            turned: 0,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.plan.path
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) const fn turned(&self) -> u64 {
        self.turned
    }

    /// Whether files follow one another.
    pub(super) const fn turns(&self) -> bool {
        self.plan.keep.is_some()
    }

    /// Whether nothing is in the file at hand.
    pub(super) const fn is_new(&self) -> bool {
        self.written == 0
    }

    /// Whether so many bytes more fit.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.plan
            .limit
            .is_none_or(|limit| self.written.saturating_add(bytes as u64) <= limit)
    }

    /// Puts a whole member away; one that didn't fit on the disk is taken back.
    pub(super) fn put(&mut self, member: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(member) {
            let _ = self.file.set_len(self.written);
            let _ = self.file.seek(SeekFrom::Start(self.written));
            return Err(error);
        }
        self.written += member.len() as u64;
        self.total += member.len() as u64;
        Ok(())
    }

    /// Goes on in a new file. The full one becomes `FILE.1`, and so on; the oldest beyond those that are kept is removed.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        let keep = self.plan.keep.unwrap_or(0);
        let nth = |nth| nth_of(&self.plan.path, nth);
        if keep == 0 {
            unless_missing(std::fs::remove_file(nth(0)))?;
        }
        for number in (0..keep).rev() {
            unless_missing(std::fs::rename(nth(number), nth(number + 1)))?;
        }
        self.file = new(&self.plan.path)?;
        self.written = 0;
        self.turned += 1;
        Ok(())
    }
}

/// `FILE.3`; 0 is the file itself.
fn nth_of(path: &Path, nth: usize) -> PathBuf {
    if nth == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{nth}"));
    name.into()
}

/// Somebody has put it elsewhere already.
fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn unmade(path: &Path, error: &io::Error) -> Problem {
    let problem = Problem::failed(format!("making {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::AlreadyExists => problem.remedy("another name; nothing is written over"),
        _ => problem,
    }
}
