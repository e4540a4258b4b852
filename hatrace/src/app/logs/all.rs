//! Everything there is, counted by several at once.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::count::{Count, Workers};
use crate::app::drive::Signals;
use crate::logs::input::{Piece, Pieces};
use crate::view::out::Words;

/// Reads to the end.
pub(super) async fn run(
    mut workers: Workers,
    mut pieces: Pieces,
    signals: &mut Signals,
    words: Words,
) -> Count {
    let mut progress = Progress::new(pieces.size);
    loop {
        let piece = tokio::select! {
            biased;
            () = signals.wait(None) => break,
            piece = pieces.next() => piece,
        };
        match piece {
            Some(Piece::Block(block, at)) => {
                workers.give(block);
                progress.draw(at, words);
            }
            Some(piece) => workers.beside.without_lines(piece),
            None => break,
        }
    }
    let count = workers.finish();
    progress.clear(words);
    count
}

/// A bar on stderr, where that is a terminal and the end is known.
struct Progress {
    size: Option<u64>,
    begun: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    fn new(size: Option<u64>) -> Self {
        Self {
            size: size.filter(|_| std::io::stderr().is_terminal()),
            begun: Instant::now(),
            drawn: None,
        }
    }

    fn draw(&mut self, at: u64, words: Words) {
        const PATIENCE: Duration = Duration::from_millis(300);
        let Some(size) = self.size.filter(|size| *size > 0) else {
            return;
        };
        let last = self.drawn.unwrap_or(self.begun);
        if last.elapsed() < PATIENCE {
            return;
        }
        self.drawn = Some(Instant::now());
        let percent = u128::from(at.min(size)) * 100 / u128::from(size);
        words.draw(|out| write!(out, "\rreading: {percent} % of {} MiB\x1b[K", size >> 20));
    }

    fn clear(&self, words: Words) {
        if self.drawn.is_some() {
            words.draw(|out| write!(out, "\r\x1b[K"));
        }
    }
}
