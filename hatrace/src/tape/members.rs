//! The members of a file: the whole ones, and how much lies between them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use flate2::bufread::GzDecoder;

/// The magic of gzip, and deflate's number: how a member begins.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];
/// A member that unpacks to more is none of ours.
const MOST: u64 = 1 << 30;
/// So many bytes of a file that isn't packed at a time.
const SOME: usize = 1 << 20;

/// The members of a file, in order.
pub(super) struct Members {
    file: BufReader<File>,
    packed: bool,
    /// Bytes that are in no whole member.
    pub(super) lost: u64,
}

impl Members {
    pub(super) fn of(file: File) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(256 << 10, file);
        let packed = file.fill_buf()?.first() != Some(&b'{');
        Ok(Self {
            file,
            packed,
            lost: 0,
        })
    }

    /// Whether it is gzip; if not, it is lines as they are.
    pub(super) const fn packed(&self) -> bool {
        self.packed
    }

    /// The next whole member, unpacked; of a file that isn't packed, the next lines. `None`: that was all.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !self.packed {
            return self.next_lines();
        }
        loop {
            let start = self.file.stream_position()?;
            if self.file.fill_buf()?.is_empty() {
                return Ok(None);
            }
            let mut member = Vec::new();
            // Only a member whose checksum is right is believed.
            let unpacked = GzDecoder::new(&mut self.file).take(MOST).read_to_end(&mut member);
            if unpacked.is_ok() && !member.is_empty() {
                return Ok(Some(member));
            }
            self.file.seek(SeekFrom::Start(start + 1))?;
            self.lost += 1 + self.to_magic()?;
        }
    }

    /// Goes to where a member may begin; says how far that was.
    fn to_magic(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let buffer = self.file.fill_buf()?;
            if buffer.is_empty() {
                return Ok(skipped);
            }
            let begins = |at: &usize| {
                let rest = &buffer[*at..];
                rest.starts_with(&MAGIC) || MAGIC.starts_with(rest)
            };
            let found = (0..buffer.len()).find(begins);
            let passed = found.unwrap_or(buffer.len());
            self.file.consume(passed);
            skipped += passed as u64;
            if found.is_some() {
                return Ok(skipped);
            }
        }
    }

    fn next_lines(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        while lines.len() < SOME && self.file.read_until(b'\n', &mut lines)? > 0 {}
        Ok((!lines.is_empty()).then_some(lines))
    }
}
