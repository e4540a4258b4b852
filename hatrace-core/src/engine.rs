//! The engine: what it is told, what it says.

use std::time::Duration;

use crate::event::Event;
use crate::input::Input;
use crate::snapshot::Snapshot;
use crate::time::Mono;

/// How the engine is to work.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `--min`: how long a socket must be in a lingering state to be worth a line.
    pub min: Duration,
    /// How many lives it keeps at most; the least interesting are evicted, and counted.
    pub max_lives: usize,
    /// The source is sweeps alone: lives begin and end between two of them.
    pub polled: bool,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
}

impl Engine {
    /// An engine that starts to watch at `start`.
    #[must_use]
    pub fn new(settings: Settings, start: Mono) -> Self {
        let _ = start;
        Self { settings }
    }

    /// Takes what was seen at `at`. Total: it cannot fail, whatever it is given.
    pub fn handle(&mut self, at: Mono, input: Input) {
        let _ = (at, input, self.settings);
    }

    /// When the engine wants an [`Input::Tick`], if nothing else comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        None
    }

    /// What has happened since the last call, in order.
    pub fn events(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// The state of things at `at`.
    #[must_use]
    pub fn snapshot(&self, at: Mono) -> Snapshot {
        Snapshot {
            at,
            watched: Duration::ZERO,
            totals: Default::default(),
            dwell: Vec::new(),
            lingering: Vec::new(),
            notices: Vec::new(),
            ended_processes: Vec::new(),
        }
    }
}
