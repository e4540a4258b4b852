//! HAProxy's configuration as far as it decides when a connection ends: timeouts, modes, options, limits, and the line each stands on.

mod timeout;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stream::Name;
pub use timeout::{Limit, TimeoutKind};

/// What HAProxy was configured with, as far as its files tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The files, in the order in which they were read.
    pub files: Vec<Name>,
    /// `global`.
    pub global: Global,
    /// Frontends, backends and listens, in the files' order.
    pub proxies: Vec<Proxy>,
    /// What makes it doubtful that this is what the process runs with. None: the files are older than the process, and were read whole.
    pub doubts: Vec<Doubt>,
}

/// Settings of the process as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Global {
    /// Where `global` begins, first.
    pub place: Option<Place>,
    /// `maxconn`: connections of clients at most.
    pub maxconn: Option<Set<u64>>,
    /// `hard-stop-after`: how long an old worker may live on after a reload.
    pub hard_stop_after: Option<Set<Duration>>,
}

/// A `frontend`, a `backend`, or a `listen`, with what its `defaults` gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proxy {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: ProxyKind,
    /// The line of its header.
    pub place: Place,
    /// The header of the `defaults` that it takes what it doesn't say itself from.
    pub defaults: Option<Place>,
    /// `mode`; TCP where nothing says otherwise.
    pub mode: Set<ProxyMode>,
    /// `timeout`s. One that isn't there isn't set.
    pub timeouts: BTreeMap<TimeoutKind, Set<Limit>>,
    /// `option`s that are on (`true`) or that are switched off by `no option` (`false`).
    pub options: BTreeMap<Name, Set<bool>>,
    /// `maxconn` of a frontend.
    pub maxconn: Option<Set<u64>>,
    /// Where it listens.
    pub binds: Vec<Bind>,
    /// Its servers.
    pub servers: Vec<Server>,
    /// Rules that change timeouts for single streams (`http-request set-timeout`, `tcp-request content set-timeout`...).
    pub set_timeouts: Vec<Place>,
    /// The line of `source`: HAProxy's own address towards the servers.
    pub source: Option<Place>,
    /// Whether HAProxy calls its clients by their sockets' addresses.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub client_address: ClientAddress,
}

/// What HAProxy calls a client by, in its logs and on its command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAddress {
    /// The peer of its socket.
    #[default]
    Socket,
    /// A rule of the session's changes it (`http-request set-src` and its kin); `fc_src` is the socket's.
    Changed,
    /// What somebody upstream tells (`accept-proxy`, `accept-netscaler-cip`, `expect-proxy`), or `tcp-request connection set-src`.
    Told,
}

/// What a proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyKind {
    /// It accepts.
    Frontend,
    /// It connects.
    Backend,
    /// It does both.
    Listen,
}

impl ProxyKind {
    /// The section's keyword.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::Listen => "listen",
        }
    }

    /// Whether it has clients.
    #[must_use]
    pub const fn accepts(self) -> bool {
        matches!(self, Self::Frontend | Self::Listen)
    }

    /// Whether it has servers.
    #[must_use]
    pub const fn connects(self) -> bool {
        matches!(self, Self::Backend | Self::Listen)
    }
}

/// `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyMode {
    /// `tcp`.
    #[default]
    Tcp,
    /// `http`.
    Http,
    /// Another one (`log`, `spop`, `haterm`).
    Other,
}

/// Something that is set: to what, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set<T> {
    /// The value.
    pub value: T,
    /// The line. For what HAProxy sets by itself: the header of the section.
    pub place: Place,
    /// It stands in a `defaults` section.
    pub inherited: bool,
    /// Whether that line is certainly in force: not within a `.if` that can't be decided from outside.
    pub certain: bool,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file, as short as is unambiguous: `haproxy.cfg`.
    pub file: Name,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A `bind` line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bind {
    /// The line.
    pub place: Place,
    /// Its addresses, where they are ones as numbers.
    pub addresses: Vec<SocketAddr>,
    /// `tcp-ut`: TCP_USER_TIMEOUT on what is accepted there.
    #[serde(with = "crate::ns::option", default, skip_serializing_if = "Option::is_none")]
    pub tcp_ut: Option<Duration>,
    /// TLS, HTTP/2 or QUIC is spoken there: a client may end a session without a FIN.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub layered: bool,
}

/// A `server` line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// The line.
    pub place: Place,
    /// Its name.
    pub name: Name,
    /// Its address, where the line has one as a number.
    pub address: Option<SocketAddr>,
    /// `maxconn`.
    pub maxconn: Option<u64>,
    /// `tcp-ut`: TCP_USER_TIMEOUT on connections to it.
    #[serde(with = "crate::ns::option", default, skip_serializing_if = "Option::is_none")]
    pub tcp_ut: Option<Duration>,
    /// `source` on the line itself.
    pub source: bool,
    /// TLS or HTTP/2 is spoken with it: it may end a session without a FIN.
    #[serde(default, skip_serializing_if = "crate::ns::is_default")]
    pub layered: bool,
}

/// Why the configuration may not be what the process runs with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It can't be read.
    Unreadable {
        /// Which file.
        file: String,
        /// Why not.
        why: String,
    },
    /// It was written after the process had started.
    Newer {
        /// Which file.
        file: String,
        /// By how much.
        #[serde(with = "crate::ns")]
        by: Duration,
    },
    /// A condition that only HAProxy itself can decide.
    Undecided {
        /// The line of the `.if`.
        place: Place,
        /// The condition.
        condition: String,
    },
    /// A line that can't be understood where it matters.
    Garbled {
        /// The line.
        place: Place,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, why } => write!(f, "{file} can't be read ({why})"),
            Self::Newer { file, .. } => {
                write!(
                    f,
                    "{file} has been changed since the process started: it runs with an older one"
                )
            }
            Self::Undecided { place, condition } => {
                write!(
                    f,
                    "the condition at {place} ({condition}) can't be decided from outside"
                )
            }
            Self::Garbled { place, why } => write!(f, "{place} was not understood: {why}"),
        }
    }
}

impl Configuration {
    /// The proxy that accepts under this name.
    #[must_use]
    pub fn frontend(&self, name: &str) -> Option<&Proxy> {
        self.proxies
            .iter()
            .find(|proxy| proxy.kind.accepts() && &*proxy.name == name)
    }

    /// The proxy that connects under this name. A frontend may have a namesake.
    #[must_use]
    pub fn backend(&self, name: &str) -> Option<&Proxy> {
        self.proxies
            .iter()
            .find(|proxy| proxy.kind.connects() && &*proxy.name == name)
    }

    /// The server at an address, if it is exactly one.
    #[must_use]
    pub fn server_at(&self, address: SocketAddr) -> Option<(&Proxy, &Server)> {
        let mut found = self
            .proxies
            .iter()
            .flat_map(|proxy| proxy.servers.iter().map(move |server| (proxy, server)))
            .filter(|(_, server)| server.address == Some(address));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The proxy that listens at an address, if it is exactly one and no line leaves it open.
    #[must_use]
    pub fn listening_at(&self, local: SocketAddr) -> Option<&Proxy> {
        let mut found = self.proxies.iter().filter(|proxy| {
            let mut addresses = proxy.binds.iter().flat_map(|bind| &bind.addresses);
            addresses.any(|address| {
                address.port() == local.port()
                    && (address.ip().is_unspecified() || address.ip() == local.ip())
            })
        });
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// Whether a file is not the one the process was started with, or can't be read: every timeout is doubtful then.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.doubts
            .iter()
            .any(|doubt| matches!(doubt, Doubt::Unreadable { .. } | Doubt::Newer { .. }))
    }
}

impl Proxy {
    /// A timeout that is set, to a length or to never.
    #[must_use]
    pub fn timeout(&self, kind: TimeoutKind) -> Option<&Set<Limit>> {
        self.timeouts.get(&kind)
    }

    /// Whether an option is on.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options.get(option).is_some_and(|set| set.value)
    }

    /// As its header says: `frontend fe`.
    #[must_use]
    pub fn section(&self) -> String {
        format!("{} {}", self.kind.keyword(), self.name)
    }
}
