//! What ended when: the dwell times of each few seconds apart, for `--hlog`.

use std::time::Duration;

use crate::port::{Context, Interval};
use hatrace_core::Engine;
use hatrace_core::dwell::{Dwells, Spans};
use hatrace_core::snapshot::Snapshot;
use hatrace_core::time::Mono;

/// The length of an interval: that of jHiccup, by which the plotters were made.
const LENGTH: Duration = Duration::from_secs(5);

/// The intervals so far.
pub(super) struct Intervals {
    context: Context,
    start: Mono,
    before: Dwells,
    done: Vec<Interval>,
}

impl Intervals {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            start: context.started_mono,
            before: Dwells::default(),
            done: Vec::new(),
        }
    }

    /// Before anything of `at` is told to the engine.
    pub(super) fn pass(&mut self, at: Mono, engine: &Engine) {
        if at.since(self.start) < LENGTH {
            return;
        }
        // Of a long silence nothing ended in the later ones.
        let whole = at.since(self.start).as_nanos() / LENGTH.as_nanos();
        let end = self.start.plus(LENGTH);
        self.close(end, engine.ended_times(end));
        let skip = u32::try_from(whole.saturating_sub(1)).unwrap_or(u32::MAX);
        self.start = end.plus(LENGTH.saturating_mul(skip));
    }

    fn close(&mut self, end: Mono, now: Dwells) {
        let ended = now.ended_since(&self.before);
        self.push(self.start, end, false, ended);
        self.before = now;
    }

    fn push(&mut self, start: Mono, end: Mono, open: bool, spans: Vec<Spans>) {
        let (length, start) = (end.since(start), self.context.wall(start));
        self.done.extend(spans.into_iter().map(|spans| Interval {
            start,
            length,
            host: None,
            open,
            spans,
        }));
    }

    /// The last one, and what goes on at its end.
    pub(super) fn finish(mut self, snapshot: &Snapshot) -> Vec<Interval> {
        let (start, end) = (self.start, snapshot.at);
        self.push(start, end, false, snapshot.times.ended_since(&self.before));
        self.push(start, end, true, snapshot.times.open_now());
        self.done
    }
}
