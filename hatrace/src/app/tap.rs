//! The engine, and the recorder beside it: what one is given, the other puts away.

use std::ops::Deref;

use hatrace_core::Engine;
use hatrace_core::event::Event;
use hatrace_core::input::Input;
use hatrace_core::snapshot::Snapshot;
use hatrace_core::time::Mono;

use crate::error::Problem;
use crate::port::Context;
use crate::tape::{Recorded, Recorder, What};

/// An engine that may be listened in on.
pub(super) struct Tap {
    engine: Engine,
    recorder: Option<Recorder>,
}

impl Tap {
    pub(super) fn new(engine: Engine, recorder: Option<Recorder>) -> Self {
        Self { engine, recorder }
    }

    /// The engine's only way to be given anything.
    pub(super) fn handle(&mut self, at: Mono, input: Input) {
        let input = match (&mut self.recorder, input) {
            (Some(recorder), mut input) => {
                // What changes nothing need not be kept.
                if let Input::Sweep(sweep) = &mut input {
                    self.engine.lighten(sweep);
                }
                recorder.take(at, &input);
                input
            }
            (None, input) => input,
        };
        self.engine.handle(at, input);
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        self.engine.events()
    }

    /// What a view is drawn of.
    pub(super) fn cut(&mut self, at: Mono, context: &Context) -> Snapshot {
        if let Some(recorder) = &mut self.recorder {
            recorder.cut(at, context);
        }
        self.engine.snapshot(at)
    }

    /// Something for the recording alone.
    pub(super) fn note(&mut self, at: Mono, what: What) {
        if let Some(recorder) = &mut self.recorder {
            recorder.line(at, what);
        }
    }

    /// Whether nothing more is recorded, although it should be.
    pub(super) fn is_over(&self) -> bool {
        self.recorder.as_ref().is_some_and(Recorder::is_over)
    }

    /// Puts away what is at hand. `None`: nothing was to be recorded.
    pub(super) fn finish(&mut self) -> Result<Option<Recorded>, Problem> {
        self.recorder.take().map(Recorder::finish).transpose()
    }
}

impl Deref for Tap {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}
