//! What the stream prints: things that happened, told once.

use std::time::Duration;

use crate::ids::Pid;
use crate::input::{ProcessChange, Transition};
use crate::life::Ending;
use crate::snapshot::Lingering;
use crate::tcp::TcpState;
use crate::time::{Age, Mono};

/// Something that happened and is worth a line.
#[derive(Clone, Debug)]
pub enum Event {
    /// A socket has been in a lingering state for at least the minimum.
    Lingers {
        /// When it was noticed.
        at: Mono,
        /// The socket.
        row: Box<Lingering>,
    },
    /// A socket left a lingering state in which it had been for at least the minimum.
    Left {
        /// When it left.
        at: Mono,
        /// The socket as it was in that state: `row.state` was left, `row.age` is the dwell.
        row: Box<Lingering>,
        /// What came next: another state, or how it ended.
        next: Next,
    },
    /// A transition (`-a`).
    Transition {
        /// When.
        at: Mono,
        /// Which.
        transition: Transition,
        /// How long the state left had lasted, where its beginning was seen.
        held: Option<Age>,
    },
    /// HAProxy's processes changed.
    Process {
        /// When.
        at: Mono,
        /// How.
        change: ProcessChange,
    },
}

/// What came after a lingering state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another state.
    State(TcpState),
    /// The end of the full socket.
    Ended(Ending),
    /// The timewait is gone: expired, reset or reused.
    Gone,
    /// HAProxy's process ended and with it the fd; the kernel closes what was left.
    ProcessEnded(Pid),
}

/// How long a batch of polls may be apart before the engine wants a tick.
pub const TICK: Duration = Duration::from_millis(250);
