//! What is known of one socket: whose side it is on, between whom, and how a look at the kernel found it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Cookie, Fd, FdTable, Netns, Pid};
use crate::tcp::TcpState;

/// Which side of HAProxy a socket is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Accepted by a frontend's listener.
    Client,
    /// Connected to a server by HAProxy.
    Server,
    /// HAProxy's own business: its CLI, the master's socket.
    Control,
    /// Not tellable.
    Unknown,
}

impl Side {
    /// Every side, in the order views list them.
    pub const ALL: [Self; 4] = [Self::Client, Self::Server, Self::Control, Self::Unknown];

    /// The word the views and the JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Control => "control",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One figure for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BySide<T>([T; 4]);

impl<T: Copy> BySide<T> {
    /// The figure of `side`.
    #[must_use]
    pub const fn get(&self, side: Side) -> T {
        self.0[side as usize]
    }

    /// Sets the figure of `side`.
    pub const fn set(&mut self, side: Side, value: T) {
        self.0[side as usize] = value;
    }
}

impl BySide<u64> {
    /// All sides together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().copied().fold(0, u64::saturating_add)
    }

    /// What was added since `base`: figures that only grow.
    #[must_use]
    pub fn since(&self, base: &Self) -> Self {
        let mut grown = *self;
        for (figure, base) in grown.0.iter_mut().zip(base.0) {
            *figure = figure.saturating_sub(base);
        }
        grown
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        for (figure, other) in sum.0.iter_mut().zip(other.0) {
            *figure = figure.saturating_add(other);
        }
        sum
    }
}

/// The two ends of a connection as HAProxy's socket sees them. IPv4 mapped into IPv6 is folded to IPv4, so that
/// one peer is one peer whether the listener is `:::443` or `0.0.0.0:443`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoints {
    /// HAProxy's end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

impl Endpoints {
    /// The pair, v4-mapped addresses folded.
    #[must_use]
    pub fn new(local: SocketAddr, peer: SocketAddr) -> Self {
        Self {
            local: fold(local),
            peer: fold(peer),
        }
    }
}

/// `::ffff:10.0.0.7` as `10.0.0.7`.
#[must_use]
pub fn fold(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V6(v6) => v6
            .to_ipv4_mapped()
            .map_or(addr, |v4| SocketAddr::new(IpAddr::V4(v4), addr.port())),
        IpAddr::V4(_) => addr,
    }
}

/// A listening address with the wildcard of either family as one: a dual-stack `:::443` takes IPv4 connections as well.
#[must_use]
pub fn listening(local: SocketAddr) -> SocketAddr {
    let local = fold(local);
    if local.ip().is_unspecified() {
        wildcard(local.port())
    } else {
        local
    }
}

/// The wildcard of either family, as [`listening`] has it.
#[must_use]
pub const fn wildcard(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

/// Who keeps a lingering socket in existence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// HAProxy: the fd is open. No kernel timer ends a held FIN_WAIT2 or CLOSE_WAIT.
    Held,
    /// The kernel: HAProxy has closed, the full socket goes on (FIN_WAIT1, LAST_ACK, CLOSING, some FIN_WAIT2).
    Orphaned,
    /// The kernel: a timewait mini-socket has taken over (FIN_WAIT2 under `tcp_fin_timeout`, TIME_WAIT).
    Timewait,
    /// The accept queue: HAProxy has not accepted it yet.
    Unaccepted,
}

impl Holder {
    /// The word the views and the JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Orphaned => "orphaned",
            Self::Timewait => "timewait",
            Self::Unaccepted => "unaccepted",
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a row of a [`Sweep`](crate::input::Sweep) is known to be HAProxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// A followed HAProxy process has it open at this fd.
    Fd {
        /// The process.
        pid: Pid,
        /// Its descriptor.
        fd: Fd,
    },
    /// Nobody has it open, and its local address is that of a listener of HAProxy's.
    Listener,
    /// Neither: it is HAProxy's only if its cookie is already known.
    None,
}

/// A TCP socket that a process has open, in whatever state: what a descriptor stands for at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSock {
    /// The process.
    pub pid: Pid,
    /// In which of its tables.
    pub table: FdTable,
    /// At which descriptor.
    pub fd: Fd,
    /// The socket.
    pub cookie: Cookie,
    /// Its state.
    pub state: TcpState,
    /// Its side.
    pub side: Side,
    /// Between whom; of a listener the peer is no one.
    pub endpoints: Endpoints,
    /// In which network namespace.
    pub netns: Netns,
}

/// One socket as a look at the kernel found it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SockRow {
    /// The socket's cookie.
    pub cookie: Cookie,
    /// A timewait mini-socket, not a full socket; `state` is then its substate.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub timewait: bool,
    /// The state, or a timewait's substate (FIN_WAIT2 or TIME_WAIT).
    pub state: TcpState,
    /// Why it is believed to be HAProxy's.
    pub claim: Claim,
    /// The side, where the claim tells it; `Unknown` for `Claim::None`.
    pub side: Side,
    /// Between whom.
    pub endpoints: Endpoints,
    /// In which network namespace.
    pub netns: Netns,
    /// The socket's inode; `None` for an orphan, a timewait, or a connection that was not accepted yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// Whether the kernel says that its owner has closed it (`SOCK_DEAD`), where the source can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphaned: Option<bool>,
    /// Its queues were read: else `unread` and `unacked` say nothing.
    #[serde(default = "crate::ns::yes", skip_serializing_if = "crate::ns::is_yes")]
    pub queues: bool,
    /// Bytes received and not read (`rcv_nxt - copied_seq`); an unread FIN counts as one.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub unread: u32,
    /// Bytes written and not acknowledged (`write_seq - snd_una`).
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub unacked: u32,
    /// Retransmissions of the current segment without an answer (`icsk_retransmits`).
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub retransmits: u8,
    /// The kernel timer that runs on it.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub timer: Timer,
    /// How long ago it last moved, for a full socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Quiet>,
    /// The wait for an acknowledgement that runs, or would (`tcpi_rto`), for a full socket.
    #[serde(with = "crate::ns::option", default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Duration>,
}

/// The kernel timer that runs on a socket, with what is left of it (`idiag_timer`, `idiag_expires`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// None.
    #[default]
    None,
    /// Retransmission.
    Retransmit(#[serde(with = "crate::ns")] Duration),
    /// Keepalive, or the FIN_WAIT2 timer of an orphan.
    Keepalive(#[serde(with = "crate::ns")] Duration),
    /// Timewait. Can overrun: the timer wheel fires up to an eighth late; zero then.
    Timewait(#[serde(with = "crate::ns")] Duration),
    /// Zero-window probe.
    Probe(#[serde(with = "crate::ns")] Duration),
}

/// How long ago a full socket last moved (`tcp_info`: `tcpi_last_data_sent` and its fellows), at the moment of the look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// Last data sent. A FIN alone doesn't count.
    #[serde(with = "crate::ns")]
    pub data_sent: Duration,
    /// Last data received. A FIN alone doesn't count.
    #[serde(with = "crate::ns")]
    pub data_received: Duration,
    /// Last segment with an ACK received; a FIN counts.
    #[serde(with = "crate::ns")]
    pub ack_received: Duration,
}
