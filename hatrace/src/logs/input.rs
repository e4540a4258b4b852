//! Where lines come from: files, packed or not, standard input; followed as they grow. Read on a thread of its own, in pieces.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use tokio::sync::mpsc;

use crate::error::Problem;

/// How much is read at once, and how many pieces may wait to be counted.
const PIECE: usize = 1 << 20;
const WAITING: usize = 4;
/// How often a file that is followed is looked at again.
const AGAIN: Duration = Duration::from_millis(200);

/// A source of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// Standard input: `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl From {
    /// As a word of the command line means it.
    #[must_use]
    pub fn word(word: &Path) -> Self {
        if word.as_os_str() == "-" {
            Self::Stdin
        } else {
            Self::File(word.to_owned())
        }
    }
}

/// What the thread tells.
#[derive(Debug)]
pub enum Piece {
    /// Bytes as they stand in the file, and how far into all files that is, where that can be told.
    Bytes(Vec<u8>, u64),
    /// A source has ended: a last line without an end is one.
    End,
    /// It can't be read any further.
    Failed(Problem),
}

/// Sources that are being read.
#[derive(Debug)]
pub struct Pieces {
    from: mpsc::Receiver<Piece>,
    /// The files' sizes together; `None`: there is no telling how much will come.
    pub size: Option<u64>,
}

impl Pieces {
    /// Opens all of them, and begins to read. `follow`: the last one goes on, and is opened anew when it was rotated.
    ///
    /// # Errors
    /// One that can't be opened.
    pub fn open(sources: &[From], follow: bool) -> Result<Self, Problem> {
        let opened: Vec<Opened> = sources.iter().map(Opened::open).collect::<Result<_, _>>()?;
        let sizes: Option<Vec<u64>> = opened.iter().map(|one| one.size).collect();
        let (tell, from) = mpsc::channel(WAITING);
        std::thread::spawn(move || read_all(opened, follow, &tell));
        Ok(Self {
            from,
            size: sizes.filter(|_| !follow).map(|sizes| sizes.iter().sum()),
        })
    }

    /// The next piece; `None`: that was all.
    pub async fn next(&mut self) -> Option<Piece> {
        self.from.recv().await
    }
}

struct Opened {
    path: Option<PathBuf>,
    source: Box<dyn Read + Send>,
    /// The file itself, where it can be followed.
    file: Option<File>,
    size: Option<u64>,
}

impl Opened {
    fn open(from: &From) -> Result<Self, Problem> {
        let From::File(path) = from else {
            return Ok(Self {
                path: None,
                source: Box::new(io::stdin()),
                file: None,
                size: None,
            });
        };
        let failed = |error: io::Error| Problem::failed(format!("reading {}: {error}", path.display()));
        let mut file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if meta.is_dir() {
            return Err(Problem::failed(format!("{} is a folder", path.display()))
                .remedy(format!("hatrace logs {}/*", path.display())));
        }
        let mut magic = [0u8; 2];
        let packed = meta.is_file() && file.read(&mut magic).map_err(failed)? == 2 && magic == [0x1f, 0x8b];
        if meta.is_file() {
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
        }
        let again = file.try_clone().map_err(failed)?;
        Ok(Self {
            path: Some(path.clone()),
            source: if packed {
                Box::new(MultiGzDecoder::new(file))
            } else {
                Box::new(file)
            },
            file: (meta.is_file() && !packed).then_some(again),
            // What a packed one comes to isn't known before.
            size: (meta.is_file() && !packed).then_some(meta.len()),
        })
    }
}

fn read_all(opened: Vec<Opened>, follow: bool, tell: &mpsc::Sender<Piece>) {
    let mut done = 0;
    let count = opened.len();
    for (nth, mut one) in opened.into_iter().enumerate() {
        let follows = follow && nth + 1 == count;
        loop {
            if !read_to_end(&mut one, &mut done, tell) {
                return;
            }
            if !follows || one.path.is_none() {
                break;
            }
            std::thread::sleep(AGAIN);
            if tell.is_closed() {
                return;
            }
            if reopen(&mut one) && tell.blocking_send(Piece::End).is_err() {
                return;
            }
        }
        if tell.blocking_send(Piece::End).is_err() {
            return;
        }
    }
}

/// Whether to go on.
fn read_to_end(one: &mut Opened, done: &mut u64, tell: &mpsc::Sender<Piece>) -> bool {
    loop {
        let mut piece = vec![0; PIECE];
        match one.source.read(&mut piece) {
            Ok(0) => return true,
            Ok(length) => {
                piece.truncate(length);
                *done += length as u64;
                if tell.blocking_send(Piece::Bytes(piece, *done)).is_err() {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let name = one
                    .path
                    .as_ref()
                    .map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
                // What was read so far is counted; of the others nothing is lost.
                let problem = Problem::failed(format!("reading {name}: {error}"));
                return tell.blocking_send(Piece::Failed(problem)).is_ok();
            }
        }
    }
}

/// Opens a file anew that is another one by now, or was cut short. Whether it did.
fn reopen(one: &mut Opened) -> bool {
    let (Some(path), Some(file)) = (&one.path, &mut one.file) else {
        return false;
    };
    let (Ok(now), Ok(own)) = (std::fs::metadata(path), file.metadata()) else {
        return false;
    };
    let at = file.stream_position().unwrap_or(0);
    let another = (now.dev(), now.ino()) != (own.dev(), own.ino());
    if !another && now.len() >= at {
        return false;
    }
    let Ok(new) = File::open(path) else { return false };
    let Ok(again) = new.try_clone() else { return false };
    one.source = Box::new(new);
    one.file = Some(again);
    true
}

/// A line may be so long; of a longer one the rest is nobody's.
pub const LONGEST: usize = 1 << 20;

/// Pieces, put together to lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    /// The line at hand is longer than any may be: it is passed over to its end.
    over: bool,
    /// How many were.
    pub too_long: u64,
}

impl Lines {
    /// Takes a piece, and hands on the lines that are whole by it.
    pub fn take(&mut self, piece: &[u8], mut line: impl FnMut(&[u8])) {
        let mut at = 0;
        for end in memchr::memchr_iter(b'\n', piece) {
            let part = piece.get(at..end).unwrap_or_default();
            at = end + 1;
            if std::mem::take(&mut self.over) {
                self.too_long += 1;
            } else if self.rest.is_empty() {
                line(part);
            } else {
                self.rest.extend_from_slice(part);
                line(&self.rest);
            }
            self.rest.clear();
        }
        let left = piece.get(at..).unwrap_or_default();
        if self.over || self.rest.len() + left.len() > LONGEST {
            self.over = true;
            self.rest.clear();
        } else {
            self.rest.extend_from_slice(left);
        }
    }

    /// The source has ended: what is left is a line.
    pub fn end(&mut self, mut line: impl FnMut(&[u8])) {
        if std::mem::take(&mut self.over) {
            self.too_long += 1;
        } else if !self.rest.is_empty() {
            line(&self.rest);
        }
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let text: Vec<u8> = b"one\ntwo\r\n\nthree\nfour".to_vec();
        for size in 1..text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines.take(piece, |line| found.push(line.to_vec()));
            }
            lines.end(|line| found.push(line.to_vec()));
            let expected: [&[u8]; 5] = [b"one", b"two\r", b"", b"three", b"four"];
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn a_line_without_end_is_counted_and_the_next_is_read() {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for _ in 0..5 {
            lines.take(&vec![b'x'; LONGEST / 2], |line| found.push(line.len()));
        }
        lines.take(b"\nnext\n", |line| found.push(line.len()));
        assert_eq!((found, lines.too_long), (vec![4], 1));
    }
}
