//! What views read: plain data, no reference into the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, ClockName, ClockSource};
use crate::config::Configuration;
use crate::dwell::Dwells;
use crate::ids::{Cookie, Fd, Netns, Pid};
use crate::life::FirstFin;
use crate::naming::{Asking, Naming, Without};
use crate::sock::{BySide, Endpoints, Holder, Quiet, Side, Timer};
use crate::stream::{Name, Service, Stream};
use crate::tcp::TcpState;
use crate::time::{Age, Mono};
use crate::verdicts::Finding;

/// The state of things at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Mono,
    /// How long the engine had been fed by then.
    pub watched: Duration,
    /// Totals.
    pub totals: Totals,
    /// Dwell times by side and state: sides in `Side::ALL` order, then states in the order of a close; only those with anything in them.
    pub dwell: Vec<Dwell>,
    /// What those rows are drawn of: for those who add up several snapshots, or write histograms out.
    pub times: Dwells,
    /// Sockets that have lingered for the minimum, or may have: oldest first (by `age.at_least`, then cookie). No TIME_WAIT.
    pub lingering: Vec<Lingering>,
    /// What is wrong, those that accuse and cost most first.
    pub findings: Vec<Finding>,
    /// What was not seen, or should be known: for the user's eyes, most important first.
    pub notices: Vec<Notice>,
    /// HAProxy's processes that ended while they were followed.
    pub ended_processes: Vec<Pid>,
    /// How the asking of each process went; empty where nobody was to ask.
    pub asking: Vec<Asking>,
    /// What each process was configured with.
    pub configured: Vec<(Pid, Arc<Configuration>)>,
    /// Why lingering sockets have no session, how many of them: the most frequent first.
    pub without_session: Vec<(Without, u64)>,
    /// HAProxy's sessions, oldest first; only where they are wanted ([`Settings::sessions`](crate::Settings::sessions)).
    pub sessions: Vec<SessionRow>,
    /// HAProxy's frontends, backends and servers, where they were asked for, in its own order.
    pub services: Vec<ServiceRow>,
}

/// A session beside the truth of its sockets.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRow {
    /// On which host, where several were put together.
    pub host: Option<Name>,
    /// The process.
    pub pid: Pid,
    /// What HAProxy says.
    pub stream: Stream,
    /// The client's socket; `None`: it has none, or which it is could not be told.
    pub front: Option<SessionSock>,
    /// The server's.
    pub back: Option<SessionSock>,
}

impl SessionRow {
    /// Its sockets.
    pub fn sockets(&self) -> impl Iterator<Item = &SessionSock> {
        self.front.iter().chain(&self.back)
    }
}

/// A session's socket as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionSock {
    /// Identity.
    pub cookie: Cookie,
    /// Between whom.
    pub endpoints: Endpoints,
    /// Its state.
    pub state: TcpState,
    /// For how long, of a state in which a socket can linger.
    pub age: Option<Age>,
}

/// A frontend, a backend or a server beside the kernel's count of its sockets.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRow {
    /// On which host, where several were put together.
    pub host: Option<Name>,
    /// The process.
    pub pid: Pid,
    /// What HAProxy says.
    pub service: Service,
    /// Its sessions at the first reading, and how long before the last that was.
    pub before: Option<(Duration, u64)>,
    /// The kernel's count of its sockets.
    pub sockets: ServiceSockets,
}

/// The kernel's count of the sockets of a frontend (those with clients), a backend or a server (those with servers).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSockets {
    /// By state; TIME_WAIT is not among them.
    pub states: BTreeMap<TcpState, u64>,
    /// HAProxy's own addresses among them.
    pub from: BTreeSet<IpAddr>,
    /// Of a server's: where they lead.
    pub to: BTreeSet<SocketAddr>,
}

/// Totals since the engine began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Sockets known: lives seen, adopted ones included.
    pub sockets: u64,
    /// Those that were there before hatrace.
    pub adopted: u64,
    /// Transitions.
    pub transitions: u64,
    /// Lives lost: a full ring, a full table.
    pub lost: u64,
    /// Transitions, of whomsoever's sockets, at which the kernel didn't run the program.
    pub missed_runs: u64,
    /// Lives counted without a record, by side.
    pub counted: BySide<u64>,
    /// Lives delivered as records, by side.
    pub delivered: BySide<u64>,
    /// Lives seen, by side: `counted + delivered + lost + open`.
    pub seen: BySide<u64>,
    /// Lives that go on, by side; adopted ones apart.
    pub open: BySide<u64>,
    /// Lives whose record was lost, by side: the ring or the table was full.
    pub lost_lives: BySide<u64>,
    /// Lives evicted because the engine keeps a bounded number.
    pub evicted: u64,
    /// Of the sockets that linger now, those whose session is known.
    pub with_session: u64,
}

/// Dwell times of one state on one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Dwell {
    /// Side.
    pub side: Side,
    /// State.
    pub state: TcpState,
    /// Spans that ended, with a known dwell.
    pub ended: u64,
    /// Spans that go on: their ages so far are part of the percentiles.
    pub open: u64,
    /// Timewait FIN_WAIT2s that ended between two sweeps, so that only an upper bound of each is known; not in the percentiles.
    pub between_sweeps: u64,
    /// Percentiles and maximum of ended spans and open ages together (an open age counts as its lower bound).
    pub p50: Duration,
    /// 90th percentile.
    pub p90: Duration,
    /// 99th percentile.
    pub p99: Duration,
    /// Maximum.
    pub max: Duration,
    /// The histogram, by the buckets that reports draw; contiguous, ascending, empty ends trimmed.
    pub buckets: Vec<Bucket>,
    /// The same, with ended and open apart, for those who want percentiles of one alone.
    pub ended_only: Option<Percentiles>,
    /// Of the open ages alone.
    pub open_only: Option<Percentiles>,
    /// Ended spans that pile up at the length of a clock.
    pub spikes: Vec<Spike>,
}

/// Spans that ended when a clock of a known length fires.
#[derive(Clone, Debug, PartialEq)]
pub struct Spike {
    /// The clock's length.
    pub at: Duration,
    /// How many ended there.
    pub count: u64,
    /// The clocks of that length, and where each is set.
    pub clocks: Vec<(ClockName, ClockSource)>,
}

/// Percentiles of one population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Median.
    pub p50: Duration,
    /// 90th percentile.
    pub p90: Duration,
    /// 99th percentile.
    pub p99: Duration,
    /// Maximum.
    pub max: Duration,
}

/// One bar of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// At least this long.
    pub low: Duration,
    /// Less than this; `None` in the last one.
    pub high: Option<Duration>,
    /// Spans that ended in it.
    pub ended: u64,
    /// Spans that go on and are this old.
    pub open: u64,
}

/// A socket that lingers.
#[derive(Clone, Debug, PartialEq)]
pub struct Lingering {
    /// On which host, where several were put together.
    pub host: Option<Name>,
    /// Identity.
    pub cookie: Cookie,
    /// Side.
    pub side: Side,
    /// State.
    pub state: TcpState,
    /// Who keeps it.
    pub holder: Holder,
    /// For how long, in this state.
    pub age: Age,
    /// Its end will be known, or is, by a sweep alone (a timewait without fentry); if not, to the microsecond.
    pub end_polled: bool,
    /// Between whom; `None` until a sweep has seen it.
    pub endpoints: Option<Endpoints>,
    /// The namespace, where known.
    pub netns: Option<Netns>,
    /// The process that holds it, or held it.
    pub pid: Option<Pid>,
    /// Its descriptor, while held.
    pub fd: Option<Fd>,
    /// Bytes received and not read; `None` until a sweep has seen it.
    pub unread: Option<u32>,
    /// Bytes written and not acknowledged; `None` until a sweep has seen it.
    pub unacked: Option<u32>,
    /// Retransmissions while closing.
    pub retransmits: u32,
    /// Whose FIN came first.
    pub first_fin: FirstFin,
    /// It was there before hatrace.
    pub adopted: bool,
    /// The clock that will end it.
    pub clock: Clock,
    /// Of an orphan: how long HAProxy had held it in this state before.
    pub held_for: Option<Duration>,
    /// The last look at the socket itself, for the verdicts.
    pub look: Option<Look>,
    /// Its session, and what HAProxy calls it.
    pub naming: Naming,
}

/// What a look at a socket showed of how it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// When.
    pub at: Mono,
    /// The timer that ran.
    pub timer: Timer,
    /// How long ago it had last moved, then.
    pub quiet: Option<Quiet>,
    /// Since when its queues have been as they were then, at the latest.
    pub still_since: Mono,
}

/// Something the user should know about what was, and wasn't, seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// A stable word for it: `records-lost`, `events-lost`, `table-full`, `missed-runs`, `timewait-overflow`, `evicted`, `malformed`, `sweep-failed`, `netns-unreachable`, `recording-damaged`, `recording-part`, `recorded-again`, `mptcp`, `configuration-doubtful`.
    pub code: &'static str,
    /// How often.
    pub count: u64,
    /// In words, with the remedy where there is one.
    pub text: String,
}
