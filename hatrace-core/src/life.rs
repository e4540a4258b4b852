//! One socket's life as the kernel half records it: when it entered each state it passed.

use serde::{Deserialize, Serialize};

use crate::ids::{Cookie, Netns, Pid};
use crate::sock::{Endpoints, Side};
use crate::tcp::TcpState;
use crate::time::{Mono, Since};

/// The entry into a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The state entered.
    pub state: TcpState,
    /// When.
    pub at: Since,
}

/// Which end's FIN (or RST) came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FirstFin {
    /// HAProxy closed first: the socket went to FIN_WAIT1.
    Haproxy,
    /// The peer closed first: the socket went to CLOSE_WAIT.
    Peer,
    /// Neither yet.
    None,
}

impl FirstFin {
    /// The word the JSON contract uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Peer => "peer",
            Self::None => "none",
        }
    }
}

/// The kernel half's record of a life. A passive socket's begins when it starts to close (its earlier life is not
/// recorded: that is what keeps the tracer cheap), an active one's at SYN_SENT.
///
/// A closing socket passes at most two states before CLOSE: FIN_WAIT1 then FIN_WAIT2 or CLOSING, or CLOSE_WAIT then LAST_ACK.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// Identity.
    pub cookie: Cookie,
    /// Side.
    pub side: Side,
    /// In which network namespace.
    pub netns: Netns,
    /// The process seen closing it, or that opened it; `None` when only softirqs have touched it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<Pid>,
    /// SYN_SENT entered: active sockets only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connecting_at: Option<Mono>,
    /// ESTABLISHED entered: active sockets only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub established_at: Option<Mono>,
    /// The first closing state: FIN_WAIT1 or CLOSE_WAIT (or later, for a socket older than hatrace).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closing: Option<Step>,
    /// The second: FIN_WAIT2, CLOSING or LAST_ACK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<Step>,
    /// When HAProxy closed the fd of a socket that was already shut (`FIN_WAIT2 -> FIN_WAIT2`), or closed it outright.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphaned_at: Option<Mono>,
    /// Retransmissions seen while it was closing.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub retransmits: u32,
    /// A RST was sent.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub reset_sent: bool,
    /// It was there before hatrace.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub adopted: bool,
}

impl Life {
    /// The state it is in, and since when, as far as the record goes. `None`: established, not recorded.
    #[must_use]
    pub fn current(&self) -> Option<Step> {
        self.second
            .or(self.closing)
            .or(match (self.established_at, self.connecting_at) {
                (Some(at), _) => Some(Step {
                    state: TcpState::Established,
                    at: Since::Exact(at),
                }),
                (None, Some(at)) => Some(Step {
                    state: TcpState::SynSent,
                    at: Since::Exact(at),
                }),
                (None, None) => None,
            })
    }

    /// Whose FIN came first. An adopted socket's first step tells as well: only the side that was shut first
    /// passes FIN_WAIT2, only the other LAST_ACK; CLOSING means both at once, HAProxy's sent first.
    #[must_use]
    pub fn first_fin(&self) -> FirstFin {
        match self.closing.map(|step| step.state) {
            Some(TcpState::FinWait1 | TcpState::FinWait2 | TcpState::Closing) => FirstFin::Haproxy,
            Some(TcpState::CloseWait | TcpState::LastAck) => FirstFin::Peer,
            _ => FirstFin::None,
        }
    }
}

/// A life whose full socket is gone, as it was delivered by the kernel half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedLife {
    /// The record, as it stood at the end.
    pub life: Life,
    /// When the full socket went to CLOSE.
    pub at: Mono,
    /// The state it left for CLOSE.
    pub from: TcpState,
    /// `sk_err`: 0, or the errno that ended it (104 RST received, 110 timed out, 103 aborted, 32 RST in CLOSE_WAIT).
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub sk_err: u16,
    /// `SOCK_DEAD`: HAProxy no longer had it open.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub dead: bool,
    /// `SOCK_DONE`: the peer's FIN had been received.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub done: bool,
    /// HAProxy never accepted it.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub unaccepted: bool,
    /// Between whom.
    pub endpoints: Endpoints,
    /// Bytes received and not read at the end.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub unread: u32,
    /// Bytes written and not acknowledged at the end.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub unacked: u32,
}

/// How the full socket of a life ended (`include/net/tcp.h`, `net/ipv4/tcp_minisocks.c: tcp_time_wait()`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Both FINs exchanged and acknowledged: nothing is left of it (from LAST_ACK).
    Closed,
    /// A timewait mini-socket goes on in FIN_WAIT2, until the peer's FIN or `tcp_fin_timeout`.
    HandedFinWait2,
    /// A timewait mini-socket goes on in TIME_WAIT, for 60 s.
    HandedTimeWait,
    /// The peer sent a RST.
    ResetByPeer,
    /// HAProxy's side gave it up with a RST (linger 0, unread data, never accepted).
    ResetByHaproxy,
    /// The kernel gave up: retransmissions, keepalive or user timeout ran out.
    TimedOut,
    /// An administrator's tool destroyed it (`ss -K`).
    Aborted,
    /// A connection attempt that failed.
    NotConnected,
}

impl EndedLife {
    /// Which of the endings it was.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        const EPIPE: u16 = 32;
        const ECONNABORTED: u16 = 103;
        const ECONNRESET: u16 = 104;
        const ETIMEDOUT: u16 = 110;
        if matches!(self.from, TcpState::SynSent) {
            return Ending::NotConnected;
        }
        match self.sk_err {
            0 => self.ending_without_error(),
            ECONNRESET | EPIPE => Ending::ResetByPeer,
            ECONNABORTED => Ending::Aborted,
            ETIMEDOUT => Ending::TimedOut,
            // EHOSTUNREACH and its kin: an ICMP error made the retransmissions end early.
            _ => Ending::TimedOut,
        }
    }

    const fn ending_without_error(&self) -> Ending {
        match self.from {
            TcpState::FinWait2 if self.done => Ending::HandedTimeWait,
            TcpState::FinWait2 if self.dead && !self.life.reset_sent => Ending::HandedFinWait2,
            TcpState::Closing => Ending::HandedTimeWait,
            TcpState::LastAck => Ending::Closed,
            _ => Ending::ResetByHaproxy,
        }
    }
}
