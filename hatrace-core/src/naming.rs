//! What a socket is called: its session, its proxy and server, the other socket of its stream; or why it has no session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Cookie, Fd, Pid, SessionPtr};
use crate::sock::{Endpoints, Side};
use crate::stream::{Access, Expiry, Name, StreamEnd, Streamless, Unreachable};
use crate::tcp::TcpState;
use crate::time::Mono;

/// What is known of a socket through HAProxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Naming {
    /// The session that holds it, or held it.
    pub session: Option<Session>,
    /// Why none is named. `None` where one is, or for a socket that nobody would ask about.
    pub without: Option<Without>,
    /// The frontend of a client's socket, the backend of a server's.
    pub proxy: Option<Name>,
    /// The server: of a server's socket the one it is connected to, of a client's the one its session was given.
    pub server: Option<Name>,
    /// The other socket of the session.
    pub pair: Option<Pair>,
    /// When HAProxy gives up on a socket without a session, and when it said so.
    pub idle_expires: Option<(Expiry, Mono)>,
}

/// A session as it is tied to one socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Its pointer.
    pub ptr: SessionPtr,
    /// Whether it still has the socket.
    pub tie: Tie,
    /// What HAProxy said of it.
    pub facts: Arc<Facts>,
    /// What HAProxy believes of this socket's side of it.
    pub believed: StreamEnd,
}

/// What HAProxy said of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The process.
    pub pid: Pid,
    /// Frontend.
    pub frontend: Option<Name>,
    /// Backend.
    pub backend: Option<Name>,
    /// Server.
    pub server: Option<Name>,
    /// The client as HAProxy calls it, where that isn't the socket's peer: a `set-src` rule; up to 2.4 the PROXY protocol too.
    pub called: Option<SocketAddr>,
    /// HAProxy's age of it when it was asked.
    pub age: Option<Duration>,
    /// Its number since the process began and when it was accepted, as HAProxy writes it, where it was asked at length.
    pub identity: Option<(u64, String)>,
    /// What HAProxy believes of the client's side.
    pub front: StreamEnd,
    /// What it believes of the server's.
    pub back: StreamEnd,
    /// When it gives up connecting, or waiting in a queue.
    pub connect_expires: Expiry,
    /// When it said all this.
    pub asked: Mono,
    /// The streams on this socket, this one first: more than one on a multiplexed connection (HTTP/2).
    pub streams: Vec<SessionPtr>,
}

/// How a session stands to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// It held it when HAProxy was last asked, and the descriptor is still open.
    Live,
    /// It held it; HAProxy has closed the descriptor since.
    Left,
    /// It held it, and its pointer is another connection's session by now: not to be shown as this socket's.
    Reused,
}

impl Tie {
    /// The word the JSON uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Left => "left",
            Self::Reused => "reused",
        }
    }
}

/// The other socket of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Which.
    pub cookie: Cookie,
    /// Its side.
    pub side: Side,
    /// Its state.
    pub state: TcpState,
    /// Between whom.
    pub endpoints: Option<Endpoints>,
}

/// Why a socket has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Without {
    /// HAProxy was not asked yet, or not since it began to linger.
    Pending,
    /// HAProxy has no stream for it, and says what it is.
    Streamless(Streamless),
    /// It waits in the accept queue: HAProxy doesn't know it.
    AcceptQueue,
    /// HAProxy had closed it before it was asked about.
    Closed,
    /// Two looks didn't agree on whose it is.
    Unsure,
    /// Its session's pointer is another connection's by now.
    Reused,
    /// HAProxy can't be asked.
    Unreachable(Unreachable),
    /// The user doesn't want it asked.
    Off,
}

impl Without {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pending => "not-asked-yet",
            Self::Streamless(why) => why.code(),
            Self::AcceptQueue => "accept-queue",
            Self::Closed => "closed-before-asked",
            Self::Unsure => "unsure",
            Self::Reused => "pointer-reused",
            Self::Unreachable(why) => why.code(),
            Self::Off => "api-off",
        }
    }
}

/// What the engine would like HAProxy to be asked, about one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Descriptors of lingering sockets that have no name, the oldest first.
    pub sockets: Vec<(Fd, Cookie)>,
    /// Lingering sockets whose frontend only a listener's name can tell.
    pub listeners: bool,
    /// Lingering sockets whose server only its address can tell.
    pub servers: bool,
}

impl Wants {
    /// Whether there is nothing to ask.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sockets.is_empty() && !self.listeners && !self.servers
    }
}

/// How the asking of one process went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// The process.
    pub pid: Pid,
    /// Whether it answers.
    pub access: Option<Access>,
    /// Questions asked.
    pub questions: u64,
    /// How long HAProxy took over them, in all, as measured from outside.
    #[serde(with = "crate::ns")]
    pub took: Duration,
    /// The longest answer.
    #[serde(with = "crate::ns")]
    pub longest: Duration,
}

/// What the engine keeps of one socket's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) session: Option<Session>,
    pub(crate) streamless: Option<Streamless>,
    pub(crate) proxy: Option<Name>,
    pub(crate) server: Option<Name>,
    pub(crate) pair: Option<Pair>,
    /// Of a socket without a stream: when HAProxy gives up on it.
    pub(crate) expires: Expiry,
    /// Looks that didn't agree, one after the other.
    pub(crate) unsure: u8,
    /// When HAProxy was last asked about it.
    pub(crate) asked: Mono,
}

impl Known {
    /// Whether there is nothing more to ask about it.
    pub(crate) const fn settled(&self) -> bool {
        self.session.is_some() || self.streamless.is_some() || self.unsure >= Self::TRIES
    }

    /// The same session, asked about again: its other socket that is closed by now is still the one it was, and so is its identity.
    pub(crate) fn keep(&mut self, before: &Self) {
        let (Some(now), Some(then)) = (&mut self.session, &before.session) else {
            return;
        };
        // A younger one at the same address is another stream on the same connection.
        if now.ptr != then.ptr || now.facts.age < then.facts.age {
            return;
        }
        if now.facts.identity.is_none() && then.facts.identity.is_some() {
            Arc::make_mut(&mut now.facts).identity = then.facts.identity.clone();
        }
        if self.pair.is_none() {
            self.pair = before.pair.map(|pair| Pair {
                state: TcpState::Close,
                ..pair
            });
        }
    }

    /// A socket that two looks don't agree on so many times in a row is left alone.
    const TRIES: u8 = 5;
}
