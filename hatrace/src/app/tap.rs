//! The engine, and those beside it: what one is given, recorders put away, and the intervals of a histogram log are counted by.

use std::ops::Deref;
use std::time::Duration;

use hatrace_core::Engine;
use hatrace_core::config::Configuration;
use hatrace_core::event::Event;
use hatrace_core::input::Input;
use hatrace_core::log::Stories;
use hatrace_core::snapshot::Snapshot;
use hatrace_core::time::Mono;

use super::intervals::Intervals;
use crate::error::Problem;
use crate::port::{Context, Interval};
use crate::tape::{Recorded, Recorder, What};

/// An engine that may be listened in on.
pub(super) struct Tap {
    engine: Engine,
    recorders: Vec<Recorder>,
    intervals: Option<Intervals>,
    /// What the kernel saw of each connection's end, and for how long that is kept.
    stories: Option<(Stories, Option<Duration>)>,
}

/// Stories of connections that are over, at most, where not all of them are kept.
const STORIES: usize = 100_000;

impl Tap {
    pub(super) fn new(engine: Engine, recorders: impl IntoIterator<Item = Recorder>) -> Self {
        Self {
            engine,
            recorders: recorders.into_iter().collect(),
            intervals: None,
            stories: None,
        }
    }

    /// From now on what ends is told by intervals, too.
    pub(super) fn watch_intervals(&mut self, context: &Context) {
        self.intervals = Some(Intervals::new(context));
    }

    /// From now on what the kernel sees of each connection's end is remembered: for so long, or to the end. `configured`: what is known of
    /// HAProxy's configuration beside what it tells itself.
    pub(super) fn watch_stories(&mut self, horizon: Option<Duration>, configured: Option<&Configuration>) {
        let mut stories = Stories::default();
        configured
            .into_iter()
            .for_each(|known| stories.proxies.learn(known));
        self.stories = Some((stories, horizon));
    }

    /// What was remembered of each connection's end; nothing where that wasn't asked for.
    pub(super) fn stories(&self) -> Option<&Stories> {
        self.stories.as_ref().map(|(stories, _)| stories)
    }

    /// The same, taken away.
    pub(super) fn take_stories(&mut self) -> Option<Stories> {
        self.stories.take().map(|(stories, _)| stories)
    }

    /// The engine's only way to be given anything.
    pub(super) fn handle(&mut self, at: Mono, mut input: Input) {
        if let Some(intervals) = &mut self.intervals {
            intervals.pass(at, &self.engine);
        }
        if let Some((stories, horizon)) = &mut self.stories {
            stories.take(at, &input);
            if let Some(horizon) = horizon.filter(|_| matches!(input, Input::Tick)) {
                stories.forget(at.back(horizon), STORIES);
            }
        }
        if !self.recorders.is_empty() {
            // What changes nothing need not be kept.
            if let Input::Sweep(sweep) = &mut input
                && !self.everything_is_wanted()
            {
                self.engine.lighten(sweep);
            }
            for recorder in &mut self.recorders {
                recorder.take(at, &input);
            }
        }
        self.engine.handle(at, input);
    }

    fn everything_is_wanted(&mut self) -> bool {
        let wants = self.recorders.iter_mut().map(Recorder::wants_everything);
        wants.fold(false, |any, one| any | one)
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        let events = self.engine.events();
        if let Some((stories, _)) = &mut self.stories {
            stories.told(&events);
        }
        events
    }

    /// What a view is drawn of.
    pub(super) fn cut(&mut self, at: Mono, context: &Context) -> Snapshot {
        for recorder in &mut self.recorders {
            recorder.cut(at, context);
        }
        self.engine.snapshot(at)
    }

    /// The intervals up to a last snapshot; none where they weren't asked for.
    pub(super) fn take_intervals(&mut self, snapshot: &Snapshot) -> Vec<Interval> {
        let intervals = self.intervals.take();
        intervals.map_or_else(Vec::new, |intervals| intervals.finish(snapshot))
    }

    /// What views know beside the snapshot, as it is now.
    pub(super) fn context(&mut self, at: Mono, context: &Context) {
        for recorder in &mut self.recorders {
            recorder.context(at, context);
        }
    }

    /// Something for the recordings alone.
    pub(super) fn note(&mut self, at: Mono, what: &What) {
        for recorder in &mut self.recorders {
            recorder.line(at, what.clone());
        }
    }

    /// Whether nothing more is recorded, although it should be.
    pub(super) fn is_over(&self) -> bool {
        self.recorders.iter().any(Recorder::is_over)
    }

    /// Puts away what is at hand: each in its own file, in their order.
    pub(super) fn finish(&mut self) -> Result<Vec<Recorded>, Problem> {
        self.recorders.drain(..).map(Recorder::finish).collect()
    }
}

impl Deref for Tap {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}
