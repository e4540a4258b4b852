//! What HAProxy says of itself: its streams (`show sess`), its descriptors (`show fd`), its proxies and servers. Believed only as far as
//! the kernel agrees.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Fd, FdTable, SessionPtr};
use crate::sock::{Endpoints, fold};

/// A name out of HAProxy's configuration. There are few, and many refer to each.
pub type Name = Arc<str>;

pub use crate::told::Told;

/// One stream: what HAProxy's documentation calls a session, and `show sess` lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Its address, unique among the streams that live at the same time.
    pub ptr: SessionPtr,
    /// The client as HAProxy calls it: the socket's peer, unless a `set-src` rule (or, up to 2.4, the PROXY protocol) says otherwise.
    /// `None`: a unix socket, or a stream that HAProxy itself began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SocketAddr>,
    /// The frontend. `None` for a stream that HAProxy itself began (peers, httpclient, SPOE).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontend: Option<Name>,
    /// The backend, once chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<Name>,
    /// The server, once chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Name>,
    /// HAProxy's age of it, in whole seconds: since the accept up to 2.8, since the request from 2.9 on. Not the age of a state.
    #[serde(with = "crate::ns::option", default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Duration>,
    /// The client's side.
    pub front: StreamEnd,
    /// The server's side.
    pub back: StreamEnd,
    /// When HAProxy gives up connecting, or waiting in a queue (`c_exp`, from 2.6 on).
    pub connect_expires: Expiry,
}

impl Stream {
    /// Whether it is one of HAProxy's own command line, ours for instance: no connection of anybody's.
    #[must_use]
    pub fn is_cli(&self) -> bool {
        self.frontend.as_deref() == Some("GLOBAL")
    }
}

/// One side of a stream as HAProxy believes it to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEnd {
    /// The socket's descriptor, where there is a socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<StreamFd>,
    /// The stream connector's state.
    pub state: EndState,
    /// Whether HAProxy has read the peer's FIN. `None`: its version doesn't say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eof_read: Option<bool>,
    /// Whether HAProxy has shut its own half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shut_done: Option<bool>,
    /// When it gives up waiting for the peer to send (`rex`; `rx` up to 2.7).
    pub read_expires: Expiry,
    /// When it gives up waiting for the peer to take (`wex`; `wx` up to 2.7).
    pub write_expires: Expiry,
}

/// A descriptor as a stream names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamFd {
    /// The thread group, where HAProxy says it (3.5).
    pub group: Option<FdTable>,
    /// The number.
    pub fd: Fd,
}

/// When a timer of HAProxy's fires, as of the moment it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// Not told.
    #[default]
    Unknown,
    /// None is set: never.
    Never,
    /// In about this long; whole seconds below a minute, coarser above.
    In(#[serde(with = "crate::ns")] Duration),
    /// It is overdue.
    Past,
}

/// The state of a stream connector (`include/haproxy/stconn-t.h`: `enum sc_state`; stream interfaces before 2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndState {
    /// Nothing was asked of it yet.
    #[default]
    Initial,
    /// A connection is wanted.
    Requested,
    /// Waiting in a queue for a server's slot.
    Queued,
    /// Waiting for a moment before it tries again.
    TryAgain,
    /// A server is assigned.
    Assigned,
    /// Connecting.
    Connecting,
    /// Could not connect.
    ConnectFailed,
    /// Connected a moment ago.
    Ready,
    /// Established.
    Established,
    /// Disconnected a moment ago.
    Disconnected,
    /// Closed.
    Closed,
    /// A number this program doesn't know.
    Other(u8),
}

impl EndState {
    /// From the number that `show sess` prints.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Initial,
            1 => Self::Requested,
            2 => Self::Queued,
            3 => Self::TryAgain,
            4 => Self::Assigned,
            5 => Self::Connecting,
            6 => Self::ConnectFailed,
            7 => Self::Ready,
            8 => Self::Established,
            9 => Self::Disconnected,
            10 => Self::Closed,
            other => Self::Other(other),
        }
    }
}

/// A descriptor as `show fd` tells it: what a socket without a stream is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FdLine {
    /// The descriptor.
    pub fd: StreamFd,
    /// What it is.
    pub what: FdUse,
    /// HAProxy's own port of it, where told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_port: Option<u16>,
    /// Its peer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_port: Option<u16>,
    /// The frontend of a listener or of a client's connection; the proxy of a connection that no server stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Name>,
    /// The server of a connection to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Name>,
    /// The stream that the multiplexer names, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<SessionPtr>,
    /// When HAProxy gives up on it.
    pub expires: Expiry,
}

/// What a descriptor of HAProxy's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FdUse {
    /// A listener.
    Listener,
    /// A connection at work for a stream.
    Stream,
    /// A connection to a server, a stream's; a health check's, if it goes on being none's.
    StreamOrCheck,
    /// A connection without a stream, and why.
    Idle(Streamless),
    /// Something else: a pipe, a UDP socket.
    Other,
}

/// Why a connection of HAProxy's has no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Streamless {
    /// A client's connection between two requests.
    KeepAlive,
    /// A client's connection that has not sent a complete request yet.
    NoRequest,
    /// A client's connection from which the PROXY protocol's header has not come yet.
    ProxyHeader,
    /// A TLS handshake under way.
    Handshake,
    /// A client's connection whose answer has been sent while its request still comes, or is to be read off.
    Draining,
    /// A connection to a server kept for the next request.
    Pool,
    /// A health check.
    Check,
    /// HAProxy's own command line.
    Cli,
    /// Of a multiplexer that says no more.
    Unspecified,
}

impl Streamless {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::KeepAlive => "idle-keep-alive",
            Self::NoRequest => "no-request-yet",
            Self::ProxyHeader => "awaits-proxy-header",
            Self::Handshake => "tls-handshake",
            Self::Draining => "draining",
            Self::Pool => "server-pool",
            Self::Check => "health-check",
            Self::Cli => "haproxy-cli",
            Self::Unspecified => "no-stream",
        }
    }
}

/// A stream in the long form: what tells it from another one at the same address, and the server's side of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// Its address.
    pub ptr: SessionPtr,
    /// Its number since the process began: with the process an identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// When it was accepted, as HAProxy writes it: `20/Nov/2026:09:43:55.252730`, in HAProxy's own time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// The client as HAProxy calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SocketAddr>,
    /// Frontend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontend: Option<Name>,
    /// Backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<Name>,
    /// Server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Name>,
    /// HAProxy's address towards the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_local: Option<SocketAddr>,
    /// The server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_peer: Option<SocketAddr>,
    /// The client's socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub front_fd: Option<StreamFd>,
    /// The server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_fd: Option<StreamFd>,
}

impl Detail {
    /// Whether it is of the same stream as a line of the short form, and the kernel's addresses of the server's socket agree.
    pub(crate) fn agrees(&self, stream: &Stream, back: Option<Endpoints>) -> bool {
        let address = |told: Option<SocketAddr>, own: SocketAddr| told.is_none_or(|told| fold(told) == own);
        self.frontend == stream.frontend
            && self.source == stream.source
            && self.front_fd.map(|fd| fd.fd) == stream.front.fd.map(|fd| fd.fd)
            && back
                .is_none_or(|back| address(self.back_local, back.local) && address(self.back_peer, back.peer))
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAddress {
    /// The backend.
    pub backend: Name,
    /// The server.
    pub server: Name,
    /// Its address; v4-mapped folded.
    pub address: SocketAddr,
}

impl ServerAddress {
    /// One, its address folded.
    #[must_use]
    pub fn new(backend: Name, server: Name, address: SocketAddr) -> Self {
        Self {
            backend,
            server,
            address: fold(address),
        }
    }
}

/// One row of `show stat` (HAProxy management guide 9.1): a frontend, a backend, or a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What it is.
    pub kind: ServiceKind,
    /// The proxy (`pxname`).
    pub proxy: Name,
    /// The server (`svname`); `None` for a proxy itself.
    pub server: Option<Name>,
    /// Its state: `OPEN`, `UP`, `DOWN`, `MAINT`, `no check`, ...
    pub status: String,
    /// Sessions now (`scur`).
    pub current: Option<u64>,
    /// The most there were (`smax`).
    pub most: Option<u64>,
    /// The limit: a server's or a frontend's `maxconn`, a backend's `fullconn` (`slim`).
    pub limit: Option<u64>,
    /// Requests waiting in its queue now (`qcur`).
    pub queued: Option<u64>,
    /// Sessions since the start (`stot`).
    pub total: Option<u64>,
}

/// What a row of `show stat` is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceKind {
    /// A frontend.
    Frontend,
    /// A server.
    Server,
    /// A backend.
    Backend,
}

/// Why a process can't be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreachable {
    /// It has no stats socket, or nobody listens on the one that was named.
    NoSocket,
    /// Its socket is `level user`: `show sess` is refused.
    LevelUser,
    /// All clients that its socket takes are there already (`stats maxconn`).
    SlotsTaken,
    /// Its socket doesn't answer.
    NoAnswer,
    /// What answers isn't HAProxy.
    Garbage,
    /// It has been replaced by a reload, and the socket answers for the new worker.
    OldWorker,
    /// The socket answers for another process.
    OtherProcess,
    /// We may not open the socket.
    Denied,
}

impl Unreachable {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoSocket => "no-socket",
            Self::LevelUser => "level-user",
            Self::SlotsTaken => "slots-taken",
            Self::NoAnswer => "no-answer",
            Self::Garbage => "garbage",
            Self::OldWorker => "old-worker",
            Self::OtherProcess => "other-process",
            Self::Denied => "denied",
        }
    }
}

/// Whether a process can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// The user switched it off (`--no-api`).
    Off,
    /// It answers.
    Ready {
        /// Through which socket.
        through: String,
    },
    /// It doesn't.
    Refused {
        /// The reason.
        code: Unreachable,
        /// The reason in words.
        why: String,
        /// What to do about it: a line of configuration, or a command.
        remedy: Option<String>,
    },
}
