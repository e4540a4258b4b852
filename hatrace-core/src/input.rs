//! The only alphabet the engine reads. Live, recorded and invented sources push the same inputs.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Configuration;
use crate::ids::{Cookie, Netns, Pid};
use crate::life::{EndedLife, Life};
use crate::naming::Asking;
use crate::sock::{BySide, Endpoints, Side, SockRow};
use crate::stream::Told;
use crate::survey::Survey;
use crate::tcp::{StateSet, TcpState};
use crate::time::Mono;

/// Something the engine is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A life that goes on, read from the kernel's table. Idempotent: the same life is told again at each scan, the
    /// last word counts. A life that is never told as ended and vanishes from the table is settled by [`Input::Scanned`].
    Open(Life),
    /// A whole scan of the table has been told: lives open before it and not told in it have ended unseen
    /// (counted short by the kernel half, or their record is on its way in the ring).
    Scanned,
    /// A life ended and the kernel half delivered it.
    Ended(Box<EndedLife>),
    /// The kernel sent a RST on a life that ended as a handover just before: no timewait was made (`TCP_LINGER2` < 0).
    NoTimewait(Cookie),
    /// A timewait ended exactly now: seen by the kernel half where fentry loads.
    TimewaitEnded(Cookie),
    /// A transition of one of HAProxy's sockets: told only where every transition is asked for (`-a`).
    Transition(Transition),
    /// The kernel half's counters: totals since it was attached.
    Counts(Box<Counts>),
    /// A look at the sockets themselves.
    Sweep(Box<Sweep>),
    /// A process of HAProxy's began or ended.
    Process(ProcessChange),
    /// What HAProxy answered, between two looks at its sockets.
    Told(Box<Told>),
    /// How the asking of a process goes: totals, the last word counts.
    Asking(Asking),
    /// A look at everything HAProxy has open.
    Survey(Box<Survey>),
    /// What a process was configured with.
    Configured(Pid, Arc<Configuration>),
    /// Something was not seen.
    Gap(Gap),
    /// Time passed.
    Tick,
}

/// A transition of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Identity; `None` for a socket that has no cookie yet.
    pub cookie: Option<Cookie>,
    /// Side.
    pub side: Side,
    /// From.
    pub from: TcpState,
    /// To. Equal to `from` when HAProxy closed a socket that was already shut.
    pub to: TcpState,
    /// Between whom.
    pub endpoints: Endpoints,
    /// The process, where the transition was its own doing.
    pub pid: Option<Pid>,
    /// `sk_err`, of one to CLOSE: 0, or the errno that ended it, as [`EndedLife::sk_err`] has it. Recordings of old don't have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sk_err: Option<u16>,
}

/// The kernel half's counters: totals since it was attached, summed over the CPUs.
///
/// `seen = counted + delivered + lost + open`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Lives begun (for passive sockets: that started to close, or were reset).
    pub seen: BySide<u64>,
    /// Lives that ended short and ordinary: kept as counts in [`Counts::short`], no record made.
    pub counted: BySide<u64>,
    /// Lives delivered as records.
    pub delivered: BySide<u64>,
    /// Lives whose record found the ring full.
    pub lost: BySide<u64>,
    /// Lives for which the table had no room: seen, and not followed. Part of `lost` for reconciliation in views.
    pub table_full: BySide<u64>,
    /// Lives that go on, in the table at present; adopted ones apart.
    pub open: BySide<u64>,
    /// Other records (transitions, processes, ends of timewaits) that found the ring full.
    pub lost_other: u64,
    /// Transitions of HAProxy's sockets.
    pub transitions: u64,
    /// Times the kernel refused to run the program because it was already running on that CPU.
    pub missed_runs: u64,
    /// Connections that ended by RST from ESTABLISHED: by the peer's.
    pub reset_by_peer: BySide<u64>,
    /// Connections that ended by RST from ESTABLISHED: by HAProxy's.
    pub reset_by_haproxy: BySide<u64>,
    /// TIME_WAITs begun, straight from a full socket.
    pub timewait_begun: BySide<u64>,
    /// MPTCP sockets of HAProxy's seen, and not followed.
    pub mptcp: u64,
    /// Dwell times of the lives that were only counted.
    pub short: Vec<ShortDwell>,
}

impl Counts {
    /// Whether each counter is one that a kernel can have come to: a quarter of a billion a second for a week. Sums of such fit.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        const MOST: u64 = 1 << 48;
        let by_side = [
            &self.seen,
            &self.counted,
            &self.delivered,
            &self.lost,
            &self.table_full,
            &self.open,
            &self.reset_by_peer,
            &self.reset_by_haproxy,
            &self.timewait_begun,
        ];
        let single = [self.lost_other, self.transitions, self.missed_runs, self.mptcp];
        by_side.iter().all(|figures| figures.total() <= MOST)
            && single.iter().all(|figure| *figure <= MOST)
            && self.short.iter().all(|cell| cell.count <= MOST)
    }

    /// What was counted since `base`, as if the kernel half had been attached then. Lives that went on at that time were seen then.
    #[must_use]
    pub fn since(&self, base: &Self) -> Self {
        let ended = base
            .counted
            .plus(&base.delivered)
            .plus(&base.lost)
            .plus(&base.table_full);
        Self {
            seen: self.seen.since(&ended),
            counted: self.counted.since(&base.counted),
            delivered: self.delivered.since(&base.delivered),
            lost: self.lost.since(&base.lost),
            table_full: self.table_full.since(&base.table_full),
            open: self.open,
            lost_other: self.lost_other.saturating_sub(base.lost_other),
            transitions: self.transitions.saturating_sub(base.transitions),
            missed_runs: self.missed_runs.saturating_sub(base.missed_runs),
            reset_by_peer: self.reset_by_peer.since(&base.reset_by_peer),
            reset_by_haproxy: self.reset_by_haproxy.since(&base.reset_by_haproxy),
            timewait_begun: self.timewait_begun.since(&base.timewait_begun),
            mptcp: self.mptcp.saturating_sub(base.mptcp),
            short: self
                .short
                .iter()
                .filter_map(|cell| cell.since(&base.short))
                .collect(),
        }
    }
}

impl ShortDwell {
    /// What was added to it since `base`; `None`: nothing.
    fn since(&self, base: &[Self]) -> Option<Self> {
        let same = |other: &&Self| {
            (other.side, other.state, other.low, other.high) == (self.side, self.state, self.low, self.high)
        };
        let before = base.iter().find(same).map_or(0, |other| other.count);
        let count = self.count.checked_sub(before).filter(|count| *count > 0)?;
        Some(Self { count, ..*self })
    }
}

/// How many counted lives spent between `low` and `high` in a state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShortDwell {
    /// Side.
    pub side: Side,
    /// State.
    pub state: TcpState,
    /// At least this long.
    #[serde(with = "crate::ns")]
    pub low: Duration,
    /// Less than this.
    #[serde(with = "crate::ns")]
    pub high: Duration,
    /// How many.
    pub count: u64,
}

/// A look at the sockets at one moment: what was looked at, and what was there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sweep {
    /// The namespaces that were looked into, all of them to the end. A socket of another namespace, or in a state that
    /// was not looked for, is not gone because it isn't here.
    pub netns: Vec<Netns>,
    /// The states that were looked for, full sockets and timewaits alike.
    pub states: StateSet,
    /// How long it took: what its rows say is of moments between that of the sweep and this much later.
    #[serde(with = "crate::ns")]
    pub took: Duration,
    /// Whether the fds of HAProxy's processes were looked at, so that rows without `Claim::Fd` are known to be nobody's.
    pub fds: bool,
    /// The sockets. Rows with `Claim::None` that the engine doesn't know are other people's: it drops them.
    pub rows: Vec<SockRow>,
    /// `TCPTimeWaitOverflow`, summed over the namespaces: timewaits that the kernel didn't make since boot.
    pub timewait_overflow: Option<u64>,
    /// The settings of each namespace.
    pub limits: Vec<(Netns, Limits)>,
}

/// The settings of a network namespace that decide when sockets end (`net.ipv4.*`); `None`: could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `tcp_fin_timeout`.
    #[serde(with = "crate::ns::option", default, skip_serializing_if = "Option::is_none")]
    pub fin_timeout: Option<Duration>,
    /// `tcp_orphan_retries`; 0 stands for 8.
    pub orphan_retries: Option<u32>,
    /// `tcp_retries2`.
    pub retries2: Option<u32>,
}

impl Sweep {
    /// When it was over, having begun at `at`.
    #[must_use]
    pub fn end(&self, at: Mono) -> Mono {
        at.plus(self.took)
    }
}

/// A process of HAProxy's began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessChange {
    /// A worker was born by `parent`.
    Born {
        /// The new process.
        pid: Pid,
        /// Who forked it.
        parent: Pid,
    },
    /// A process ended.
    Ended {
        /// Which.
        pid: Pid,
    },
}

/// Something that was not seen, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// A record of the kernel half that could not be understood.
    Malformed {
        /// Its bytes.
        length: usize,
    },
    /// A sweep failed, or stopped half way.
    SweepFailed {
        /// Why, in words.
        why: String,
    },
    /// A process that isn't followed listens where HAProxy does (`SO_REUSEPORT`): whose an accepted socket is, only its holder tells.
    SharedListener {
        /// Where.
        local: std::net::SocketAddr,
        /// Who, where that is known.
        pid: Option<Pid>,
    },
    /// A part of a recording that could not be read.
    Unreadable {
        /// Of which, and how much.
        why: String,
    },
    /// A recording is read from its middle on: its beginning isn't there.
    Beginning {
        /// Of which, and what that costs.
        why: String,
    },
    /// Sockets in a network namespace that could not be entered.
    NetnsUnreachable {
        /// Which.
        netns: Netns,
        /// Why, in words.
        why: String,
    },
}
