//! What the parts of the agent hand each other: sources push inputs, views read a snapshot and its context.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hatrace_core::config::Configuration;
use hatrace_core::dwell::Spans;
use hatrace_core::ids::Pid;
use hatrace_core::input::Input;
use hatrace_core::naming::Asking;
use hatrace_core::sock::HeldSock;
use hatrace_core::stream::Name;
use hatrace_core::survey::Survey;
use hatrace_core::time::Mono;

use serde::{Deserialize, Serialize};

use crate::ability::{Abilities, Ability};
use crate::error::Problem;

/// An input and when it happened (or was read).
pub type Stamped = (Mono, Input);

/// How much a look should see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What has come by itself: records, the kernel half's table and counters, timewaits that are due.
    Routine,
    /// Everything: HAProxy's fds and every closing socket with its queues and timers. For a view that is about to be drawn.
    Full,
}

/// Where inputs come from: the kernel half, or polls.
pub trait Source {
    /// Appends what there is to `out`.
    ///
    /// # Errors
    /// Only what ends the watch: what could not be seen this time is pushed as a gap.
    fn look(&mut self, now: Mono, depth: Depth, out: &mut Vec<Stamped>) -> Result<(), Problem>;

    /// The HAProxy processes followed at present.
    fn pids(&self) -> Vec<Pid>;

    /// A look at everything HAProxy has open. `thorough`: also at whose the other ends on this host are.
    ///
    /// # Errors
    /// In words.
    fn survey(&mut self, thorough: bool) -> Result<Survey, String>;

    /// Every TCP socket that these processes have open, in whatever state, listeners too.
    ///
    /// # Errors
    /// In words.
    fn held(&mut self, pids: &[Pid]) -> Result<Vec<HeldSock>, String>;

    /// What looking has cost so far.
    fn cost(&self) -> Cost;
}

/// What hatrace itself costs, as far as it can tell: the longest look of each kind, and the kernel memory of its maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Reading the kernel half's table.
    pub scan: Duration,
    /// A sweep: sock_diag, and HAProxy's files where it is a full one.
    pub sweep: Duration,
    /// A survey of everything that HAProxy has open.
    pub survey: Duration,
    /// Bytes that the kernel keeps for the maps; `None`: there are none.
    pub map_bytes: Option<u64>,
}

/// How the sockets are observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By the kernel half.
    Traced {
        /// What this kernel allows beyond the core.
        abilities: Abilities,
    },
    /// By sock_diag sweeps.
    Polled {
        /// Why not traced; `None`: asked for.
        why: Option<String>,
    },
}

impl Mode {
    /// Whether the ends of timewaits are told when they happen; otherwise they are polled.
    #[must_use]
    pub fn exact_timewaits(&self) -> bool {
        matches!(self, Self::Traced { abilities } if abilities.has(Ability::TimewaitEnds))
    }

    /// The word the JSON contract uses.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Traced { .. } => "traced",
            Self::Polled { .. } => "polled",
        }
    }
}

/// What a view needs to know beside the snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The host's name. Of several put together: all their names.
    pub host: String,
    /// The HAProxy processes followed: workers first, then the master.
    pub pids: Vec<Pid>,
    /// Which of them is the master, if one is.
    pub master: Option<Pid>,
    /// `HAProxy 2.6.12-1+deb12u4`'s version, where it could be told.
    pub haproxy_version: Option<String>,
    /// Traced or polled.
    pub mode: Mode,
    /// Wall clock at the start of the watch.
    pub started_at: jiff::Timestamp,
    /// The monotonic instant of `started_at`: event times are turned into wall-clock times with it.
    pub started_mono: Mono,
    /// How far apart sweeps are: the resolution of polled ends.
    pub sweep_interval: Duration,
    /// `--min`: what counts as lingering.
    pub min: Duration,
    /// What hatrace has cost by now.
    pub cost: Cost,
    /// Of recordings that were put together: each of them. Empty otherwise.
    #[serde(skip)]
    pub parts: Vec<Part>,
}

/// One of the recordings that a view is drawn of.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Which recording.
    pub recording: String,
    /// Who was watched, how, and since when.
    pub context: Context,
    /// For how long.
    pub watched: Duration,
    /// How the asking of its processes went.
    pub asking: Vec<Asking>,
    /// What they were configured with.
    pub configured: Vec<(Pid, Arc<Configuration>)>,
    /// A later one is of the same processes.
    pub past: bool,
}

impl Context {
    /// The names of the hosts, each once.
    #[must_use]
    pub fn hosts(&self) -> Vec<&str> {
        if self.parts.is_empty() {
            return vec![&self.host];
        }
        let names: BTreeSet<&str> = self.parts.iter().map(|part| part.context.host.as_str()).collect();
        names.into_iter().collect()
    }

    /// HAProxy's version, major and minor, where one is known: `2.6.12-1+deb12u4` is 2.6.
    #[must_use]
    pub fn version(&self) -> Option<(u32, u32)> {
        let text = self.haproxy_version.as_deref()?;
        let mut parts = text.split(['.', '-']).map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    }

    /// The wall-clock time of an instant of the monotonic clock.
    #[must_use]
    pub fn wall(&self, at: Mono) -> jiff::Timestamp {
        let signed = i128::from(at.ns()) - i128::from(self.started_mono.ns());
        let nanos = self.started_at.as_nanosecond() + signed;
        jiff::Timestamp::from_nanosecond(nanos).unwrap_or(self.started_at)
    }

    /// The instant of the monotonic clock at a time of day; the earliest there is where that was before the host was up.
    #[must_use]
    pub fn mono(&self, wall: jiff::Timestamp) -> Mono {
        let after = wall.as_nanosecond() - self.started_at.as_nanosecond();
        let ns = i128::from(self.started_mono.ns()) + after;
        Mono::from_ns(u64::try_from(ns.max(0)).unwrap_or(u64::MAX))
    }
}

/// The dwell times of one side and state that ended in one interval, or that go on at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// When it began.
    pub start: jiff::Timestamp,
    /// Its length.
    pub length: Duration,
    /// Of which host, where several were put together.
    pub host: Option<Name>,
    /// They go on: their ages at the end of all.
    pub open: bool,
    /// What there was.
    pub spans: Spans,
}

/// How a check of `doctor` came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Something can't be had, and is lived without.
    Warn,
    /// Tracing can't be had.
    Fail,
}

impl Status {
    /// The word that views use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that `doctor` looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// How it came out.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What it costs not to have it.
    pub costs: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// What was counted, by name; none for most.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, u32>,
}
