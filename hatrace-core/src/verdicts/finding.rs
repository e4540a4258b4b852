//! A finding: what is wrong, whose doing it is, how sure that is and why, and what would free the sockets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Place;
use crate::ids::{Cookie, Pid};
use crate::sock::Side;
use crate::stream::Name;
use crate::tcp::TcpState;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// One peer acknowledges HAProxy's FIN and doesn't send its own, far more often than the others.
    PeerNeverCloses,
    /// One side of a session waits for its peer's FIN while the other side has it.
    HalfClosedPair,
    /// HAProxy's FIN is retransmitted and not acknowledged.
    PathDropsFin,
    /// The peer has closed, and HAProxy has not read that.
    UnreadFin,
    /// The peer takes nothing: its window is shut.
    SlowReader,
    /// A server doesn't answer the connection.
    ConnectUnanswered,
    /// Connections wait to be accepted.
    AcceptQueue,
    /// Nothing will ever end it: no timeout is set, or an absurd one.
    NoTimeout,
    /// HAProxy has a descriptor open whose connection is gone.
    ZombieSession,
    /// A worker replaced by a reload lives on because of its connections.
    OldWorkerPinned,
    /// TIME_WAITs use up the ports towards a server.
    ServerPortExhaustion,
    /// Connections that HAProxy has closed use up what the kernel keeps of such.
    OrphanFlood,
    /// What one peer leaves open rises steadily.
    LeakGrowth,
    /// HAProxy is connected to itself, or to another proxy of this host.
    SelfLoop,
    /// Connections that never sent anything are not ended.
    UnreapedPreconnect,
    /// Sockets begin to linger in waves.
    Periodic,
    /// HAProxy has not closed, and nothing that was seen says why.
    Unexplained,
    /// Nothing to worry about.
    Harmless,
}

impl Verdict {
    /// Each.
    pub const ALL: [Self; 18] = [
        Self::PeerNeverCloses,
        Self::HalfClosedPair,
        Self::PathDropsFin,
        Self::UnreadFin,
        Self::SlowReader,
        Self::ConnectUnanswered,
        Self::AcceptQueue,
        Self::NoTimeout,
        Self::ZombieSession,
        Self::OldWorkerPinned,
        Self::ServerPortExhaustion,
        Self::OrphanFlood,
        Self::LeakGrowth,
        Self::SelfLoop,
        Self::UnreapedPreconnect,
        Self::Periodic,
        Self::Unexplained,
        Self::Harmless,
    ];

    /// The word the views and the JSON use.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PeerNeverCloses => "peer-never-closes",
            Self::HalfClosedPair => "half-closed-pair",
            Self::PathDropsFin => "path-drops-fin",
            Self::UnreadFin => "unread-fin",
            Self::SlowReader => "slow-reader",
            Self::ConnectUnanswered => "connect-unanswered",
            Self::AcceptQueue => "accept-queue",
            Self::NoTimeout => "no-timeout",
            Self::ZombieSession => "zombie-session",
            Self::OldWorkerPinned => "old-worker-pinned",
            Self::ServerPortExhaustion => "server-port-exhaustion",
            Self::OrphanFlood => "orphan-flood",
            Self::LeakGrowth => "leak-growth",
            Self::SelfLoop => "self-loop",
            Self::UnreapedPreconnect => "unreaped-preconnect",
            Self::Periodic => "periodic",
            Self::Unexplained => "unexplained",
            Self::Harmless => "harmless",
        }
    }

    /// Whether it says of whom sockets wait for something: listed among the culprits, each socket under one of them. The others are
    /// remarks on populations.
    #[must_use]
    pub const fn accuses(self) -> bool {
        !matches!(
            self,
            Self::AcceptQueue
                | Self::OldWorkerPinned
                | Self::ServerPortExhaustion
                | Self::OrphanFlood
                | Self::LeakGrowth
                | Self::Periodic
                | Self::Unexplained
                | Self::Harmless
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Responsible {
    /// The client, or whatever stands before HAProxy.
    Peer,
    /// A server of HAProxy's.
    Server,
    /// HAProxy, or whoever configures it.
    Haproxy,
    /// What lies between HAProxy and the peer; or a peer that is gone.
    Path,
    /// The kernel's limits.
    Kernel,
    /// Nobody.
    Nobody,
}

impl Responsible {
    /// The word the views and the JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Server => "server",
            Self::Haproxy => "haproxy",
            Self::Path => "path",
            Self::Kernel => "kernel",
            Self::Nobody => "nobody",
        }
    }

    /// Who sits at that side's other end.
    #[must_use]
    pub const fn behind(side: Side) -> Self {
        match side {
            Side::Server => Self::Server,
            Side::Client | Side::Control | Side::Unknown => Self::Peer,
        }
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// It fits what was seen; something else would as well.
    Possible,
    /// What was seen speaks for it.
    Likely,
    /// What the kernel and HAProxy show leaves no other reading.
    Certain,
}

impl Confidence {
    /// The word the views and the JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// Whom a finding points at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whom {
    /// One address.
    Address(IpAddr),
    /// Several addresses of one network.
    Prefix(Prefix),
    /// Addresses of many networks: how many addresses.
    Many(u64),
    /// HAProxy itself: one process, or all.
    Haproxy(Option<Pid>),
}

impl Whom {
    /// Whether it is the same one wherever it is seen from: loopback is somebody else on each host.
    #[must_use]
    pub const fn is_outside(&self) -> bool {
        match self {
            Self::Address(address) => !address.is_loopback() && !address.is_unspecified(),
            Self::Prefix(prefix) => !prefix.base.is_loopback(),
            Self::Many(_) | Self::Haproxy(_) => false,
        }
    }
}

/// A network: /24 or /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// Its first address.
    pub base: IpAddr,
    /// The length of its mask.
    pub length: u8,
}

impl Prefix {
    /// The network an address is taken to be in: a /24, or a /64 of IPv6.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self {
                base: IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
                length: 24,
            },
            IpAddr::V6(v6) => Self {
                base: IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
                length: 64,
            },
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Many(1) => f.write_str("1 address"),
            Self::Many(addresses) => write!(f, "{addresses} addresses"),
            Self::Haproxy(Some(pid)) => write!(f, "haproxy {pid}"),
            Self::Haproxy(None) => f.write_str("haproxy"),
        }
    }
}

/// When a limit on clients' connections will be reached if what rises goes on to.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Whose `maxconn`: `frontend fe`, `global`.
    pub of: String,
    /// Where it is set.
    pub place: Place,
    /// The limit.
    pub limit: u64,
    /// Connections that are open.
    pub used: u64,
    /// More each second.
    pub rate: f64,
    /// When it is reached.
    pub full_in: Duration,
    /// Not before this, in 19 cases of 20.
    pub soonest: Duration,
    /// Nor after this; `None`: the rate isn't known well enough to say.
    pub latest: Option<Duration>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// A line of the configuration to write.
    Write {
        /// The line.
        line: String,
        /// In which section: `frontend fe`.
        section: String,
        /// The line to replace; where there is none yet, the section's header.
        place: Place,
    },
    /// Something else, in words.
    Do(String),
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { line, section, place } => write!(f, "{line} ({section}, {place})"),
            Self::Do(words) => f.write_str(words),
        }
    }
}

impl Finding {
    /// Whether it is listed among the culprits: it says of whom its own sockets wait for something.
    #[must_use]
    pub const fn accuses(&self) -> bool {
        let remark = matches!(self.verdict, Verdict::NoTimeout) && self.sockets.is_empty();
        self.verdict.accuses() && !remark
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// On which host, where several were put together.
    pub host: Option<Name>,
    /// Other hosts on which the same verdict points at the same address.
    pub also_on: Vec<Name>,
    /// What is wrong.
    pub verdict: Verdict,
    /// Whom it points at.
    pub whom: Whom,
    /// What else that address is: a server of the configuration, HAProxy itself.
    pub known_as: Option<String>,
    /// The frontend of a client's side, the backend of a server's.
    pub proxy: Option<Name>,
    /// The server.
    pub server: Option<Name>,
    /// On which side of HAProxy.
    pub side: Side,
    /// In which state it waits, where that is one.
    pub state: Option<TcpState>,
    /// Who must act.
    pub responsible: Responsible,
    /// How sure that is.
    pub confidence: Confidence,
    /// Sockets that wait in that state now.
    pub open: u64,
    /// Sockets that did, and have left it.
    pub ended: u64,
    /// Other sockets that these keep open: the other sides of their sessions.
    pub pinned: u64,
    /// The seconds all of them have waited, together; open ages included.
    pub socket_seconds: Duration,
    /// The 99th percentile of the waits.
    pub p99: Option<Duration>,
    /// The longest wait that goes on.
    pub oldest: Option<Duration>,
    /// The clock of most of them; of those, the one that fires first.
    pub clock: Clock,
    /// Of waves: when the next one is due.
    pub next_in: Option<Duration>,
    /// Of what rises: which limits it will reach, the first one first.
    pub forecast: Vec<Forecast>,
    /// The evidence, in words.
    pub because: Vec<String>,
    /// What would free them.
    pub fix: Vec<Fix>,
    /// Every socket it explains, the oldest first.
    pub sockets: Vec<Cookie>,
}
