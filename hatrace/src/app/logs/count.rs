//! The counting of lines: by one as they come, by several of what there is.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use hatrace_core::log::{Entry, Lines, Stories, Tally};
use hatrace_core::time::Mono;

use crate::cli::LogsOptions;
use crate::logs::input::{Piece, lines};
use crate::logs::{Format, Line, Reader, Scratch};
use crate::port::Context;
use crate::view::logs::{Kernel, Read, alone};
use crate::view::{Format as As, Page};

/// Lines that were not understood and are shown, at most; and how much of each.
const EXAMPLES: usize = 20;
const WIDTH: usize = 400;
/// Threads at most: more would only wait for the disk, and HAProxy may want the others.
const THREADS: usize = 4;

/// What the kernel saw, of one recording.
pub(super) struct Evidence {
    pub(super) stories: Stories,
    pub(super) context: Context,
    /// Up to when.
    pub(super) end: Mono,
}

impl Evidence {
    /// Holds lines against it.
    pub(super) fn hold(&self, lines: Lines) -> Kernel {
        let wall = |at| self.context.wall(at).as_millisecond();
        Kernel {
            host: self.context.host.clone(),
            stories: self.stories.seen(),
            whole: self.stories.whole,
            lost: self.stories.lost,
            held: lines.hold(&self.stories, wall, (self.context.started_mono, self.end)),
        }
    }
}

/// What is counted.
pub(super) struct Count {
    evidence: Arc<Vec<Evidence>>,
    /// Those that may be of what the kernel saw, by recording.
    pub(super) lines: Vec<Lines>,
    reader: Reader,
    pub(super) tally: Tally,
    pub(super) read: Read,
    unparsed: bool,
    csv: bool,
    format: As,
}

impl Count {
    pub(super) fn new(formats: &[Format], options: &LogsOptions, evidence: &Arc<Vec<Evidence>>) -> Self {
        Self {
            lines: evidence.iter().map(|_| Lines::default()).collect(),
            evidence: evidence.clone(),
            reader: Reader::new(formats.to_vec()),
            tally: Tally::default(),
            read: Read::default(),
            unparsed: options.unparsed,
            csv: options.csv,
            format: options.output.format,
        }
    }

    /// As what it is told.
    pub(super) const fn format(&self) -> As {
        self.format
    }

    /// Counts a block of lines; `each` is shown the sessions among them.
    pub(super) fn block(&mut self, block: &[u8], mut each: impl FnMut(&Entry<'_>)) {
        for line in lines(block) {
            self.line(line, &mut each);
        }
    }

    /// Counts a block of lines; what of them is to be told at once.
    pub(super) fn block_told(&mut self, block: &[u8], page: &Page) -> Vec<u8> {
        let (mut told, format, csv) = (Vec::new(), self.format, self.csv);
        self.block(block, |entry| {
            if !csv {
                // A writer of memory doesn't fail.
                let _ = alone(&mut told, entry, page, format);
            }
        });
        told
    }

    /// A piece that has none.
    pub(super) fn without_lines(&mut self, piece: Piece) {
        match piece {
            Piece::Block(..) => {}
            Piece::TooLong => {
                self.read.too_long += 1;
                self.read.lines += 1;
            }
            Piece::Failed(problem) => self.read.failures.push(problem.what),
        }
    }

    fn line(&mut self, line: &[u8], mut each: impl FnMut(&Entry<'_>)) {
        let mut scratch = Scratch::default();
        self.read.lines += 1;
        match self.reader.read(line, &mut scratch) {
            Line::Session(entry) => {
                self.tally.session(&entry);
                for (seen, lines) in self.evidence.iter().zip(&mut self.lines) {
                    lines.take(&entry, &seen.stories);
                }
                each(&entry);
            }
            Line::Connection(entry) => self.tally.connection(&entry),
            Line::Message(_) => self.read.messages += 1,
            Line::Blank => self.read.lines -= 1,
            Line::Unknown(line) => {
                self.read.unknown += 1;
                if self.unparsed && self.read.examples.len() < EXAMPLES {
                    let some = line.get(..line.len().min(WIDTH)).unwrap_or_default();
                    self.read
                        .examples
                        .push(String::from_utf8_lossy(some).into_owned());
                }
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.tally.merge(other.tally);
        for (own, theirs) in self.lines.iter_mut().zip(other.lines) {
            own.merge(theirs);
        }
        self.read.lines += other.read.lines;
        self.read.too_long += other.read.too_long;
        self.read.failures.extend(other.read.failures);
        self.read.messages += other.read.messages;
        self.read.unknown += other.read.unknown;
        self.read.examples.extend(other.read.examples);
        self.read.examples.truncate(EXAMPLES);
    }
}

/// Several that count, each a block at a time.
pub(super) struct Workers {
    all: Vec<(SyncSender<Vec<u8>>, JoinHandle<Count>)>,
    next: usize,
    /// What is counted of pieces that have no lines.
    pub(super) beside: Count,
}

impl Workers {
    pub(super) fn start(formats: &[Format], options: &LogsOptions, evidence: &Arc<Vec<Evidence>>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let all = (0..threads.min(THREADS))
            .map(|_| {
                let (give, take) = sync_channel::<Vec<u8>>(2);
                let mut count = Count::new(formats, options, evidence);
                let thread = std::thread::spawn(move || {
                    for block in take {
                        count.block(&block, |_| {});
                    }
                    count
                });
                (give, thread)
            })
            .collect();
        Self {
            all,
            next: 0,
            beside: Count::new(formats, options, evidence),
        }
    }

    /// To each in turn: blocks are alike.
    pub(super) fn give(&mut self, block: Vec<u8>) {
        let turn = self.next % self.all.len().max(1);
        self.next += 1;
        if let Some((give, _)) = self.all.get(turn) {
            // One that is gone has panicked: joining it says so.
            let _ = give.send(block);
        }
    }

    /// All that was counted.
    pub(super) fn finish(self) -> Count {
        let mut whole = self.beside;
        for (give, thread) in self.all {
            drop(give);
            match thread.join() {
                Ok(count) => whole.merge(count),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        whole
    }
}
