//! Where lines come from: files, packed or not, standard input; followed as they grow. Read on a thread of its own, in blocks of whole lines.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use tokio::sync::mpsc::{self, error::TryRecvError};

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
    /// Whole lines, and how far into all files that is.
    Block(Vec<u8>, u64),
    /// A line that is longer than any may be was passed over.
    TooLong,
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

    /// What has come by now; ready with `None`: that was all.
    pub fn ready(&mut self) -> Poll<Option<Piece>> {
        match self.from.try_recv() {
            Ok(piece) => Poll::Ready(Some(piece)),
            Err(TryRecvError::Empty) => Poll::Pending,
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
        }
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
        let mut cutter = Cutter::default();
        loop {
            if !read_to_end(&mut one, &mut cutter, &mut done, tell) {
                return;
            }
            if !follows || one.path.is_none() {
                break;
            }
            std::thread::sleep(AGAIN);
            if tell.is_closed() || reopen(&mut one) && !last(&mut cutter, done, tell) {
                return;
            }
        }
        if !last(&mut cutter, done, tell) {
            return;
        }
    }
}

/// The source has ended: what is left is a line. Whether to go on.
fn last(cutter: &mut Cutter, done: u64, tell: &mpsc::Sender<Piece>) -> bool {
    let (rest, too_long) = cutter.end();
    let told = rest.is_empty() || tell.blocking_send(Piece::Block(rest, done)).is_ok();
    told && (!too_long || tell.blocking_send(Piece::TooLong).is_ok())
}

/// Whether to go on.
fn read_to_end(one: &mut Opened, cutter: &mut Cutter, done: &mut u64, tell: &mpsc::Sender<Piece>) -> bool {
    loop {
        let (mut block, kept) = cutter.room();
        let read = block.get_mut(kept..).map_or(Ok(0), |room| one.source.read(room));
        block.truncate(kept + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => {
                cutter.put_back(block);
                return true;
            }
            Ok(length) => {
                *done += length as u64;
                let (block, too_long) = cutter.cut(block);
                if too_long && tell.blocking_send(Piece::TooLong).is_err()
                    || !block.is_empty() && tell.blocking_send(Piece::Block(block, *done)).is_err()
                {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => cutter.put_back(block),
            Err(error) => {
                cutter.put_back(block);
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
const LONGEST: usize = 1 << 20;

/// Cuts what is read at the ends of lines.
#[derive(Debug, Default)]
struct Cutter {
    rest: Vec<u8>,
    /// The line at hand is longer than any may be: it is passed over to its end.
    over: bool,
}

impl Cutter {
    /// A buffer that begins with what is left of the last line, and how much that is.
    fn room(&mut self) -> (Vec<u8>, usize) {
        let mut block = std::mem::take(&mut self.rest);
        let kept = block.len();
        block.resize(kept + PIECE, 0);
        (block, kept)
    }

    fn put_back(&mut self, block: Vec<u8>) {
        self.rest = block;
    }

    /// The whole lines of a block; the rest is kept. Whether one was passed over.
    fn cut(&mut self, mut block: Vec<u8>) -> (Vec<u8>, bool) {
        let mut too_long = false;
        if self.over {
            let Some(end) = memchr::memchr(b'\n', &block) else {
                return (Vec::new(), false);
            };
            block.drain(..=end);
            (self.over, too_long) = (false, true);
        }
        match memchr::memrchr(b'\n', &block) {
            Some(end) => self.rest = block.split_off(end + 1),
            None => self.rest = std::mem::take(&mut block),
        }
        if self.rest.len() > LONGEST {
            self.rest.clear();
            self.over = true;
        }
        (block, too_long)
    }

    /// What is left at the end; whether it was a line that is passed over.
    fn end(&mut self) -> (Vec<u8>, bool) {
        (std::mem::take(&mut self.rest), std::mem::take(&mut self.over))
    }
}

/// The lines of a block.
pub fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = block.strip_suffix(b"\n").unwrap_or(block);
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let start = at?;
        let rest = whole.get(start..)?;
        let end = memchr::memchr(b'\n', rest);
        at = end.map(|end| start + end + 1);
        rest.get(..end.unwrap_or(rest.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a text in pieces of a size.
    fn read(text: &[u8], size: usize) -> (Vec<Vec<u8>>, usize) {
        let (mut cutter, mut found, mut too_long) = (Cutter::default(), Vec::new(), 0);
        for piece in text.chunks(size) {
            let (mut block, kept) = cutter.room();
            block.truncate(kept);
            block.extend_from_slice(piece);
            let (block, long) = cutter.cut(block);
            too_long += usize::from(long);
            if !block.is_empty() {
                found.extend(lines(&block).map(<[u8]>::to_vec));
            }
        }
        let (rest, long) = cutter.end();
        if !rest.is_empty() {
            found.extend(lines(&rest).map(<[u8]>::to_vec));
        }
        (found, too_long + usize::from(long))
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let text = b"one\ntwo\r\n\nthree\nfour";
        let expected: [&[u8]; 5] = [b"one", b"two\r", b"", b"three", b"four"];
        for size in 1..=text.len() {
            let (found, too_long) = read(text, size);
            assert_eq!(
                (found.as_slice(), too_long),
                (expected.map(<[u8]>::to_vec).as_slice(), 0),
                "{size}"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_counted_and_the_next_is_read() {
        let mut text = vec![b'x'; LONGEST * 3];
        text.extend_from_slice(b"\nnext\n");
        assert_eq!(read(&text, LONGEST / 2), (vec![b"next".to_vec()], 1));
        let text = vec![b'x'; LONGEST * 2];
        assert_eq!(read(&text, LONGEST / 2), (Vec::new(), 1));
    }
}
