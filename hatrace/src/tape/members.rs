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

    /// The next whole member, unpacked into `member`; of a file that isn't packed, the next lines. `false`: that was all.
    pub(super) fn next_into(&mut self, member: &mut Vec<u8>) -> io::Result<bool> {
        if !self.packed {
            return self.next_lines(member);
        }
        loop {
            member.clear();
            let start = self.file.stream_position()?;
            if self.file.fill_buf()?.is_empty() {
                return Ok(false);
            }
            // Only a member whose checksum is right is believed.
            let unpacked = GzDecoder::new(&mut self.file).take(MOST).read_to_end(member);
            if unpacked.is_ok() && !member.is_empty() {
                return Ok(true);
            }
            self.file.seek(SeekFrom::Start(start + 1))?;
            self.lost += 1 + self.skip_to_magic()?;
        }
    }

    /// Goes to where a member may begin; says how far that was.
    fn skip_to_magic(&mut self) -> io::Result<u64> {
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

    fn next_lines(&mut self, lines: &mut Vec<u8>) -> io::Result<bool> {
        lines.clear();
        while lines.len() < SOME && self.file.read_until(b'\n', lines)? > 0 {}
        Ok(!lines.is_empty())
    }
}
