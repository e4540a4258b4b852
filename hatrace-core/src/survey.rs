//! A look at everything HAProxy has open, at work or not, and at what the kernel keeps around it: taken now and then, because what is wrong
//! isn't always closing.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Cookie, Netns, Pid};
use crate::sock::{HeldSock, Timer, listening, wildcard};
use crate::tcp::TcpState;
use crate::time::Mono;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// What HAProxy has open, but for its listeners.
    pub sockets: Vec<Standing>,
    /// Its listeners.
    pub listeners: Vec<Listener>,
    /// TIME_WAITs by their two addresses; those of servers' ports, and others'.
    pub timewaits: Vec<Waiting>,
    /// What each network namespace allows.
    pub spaces: Vec<(Netns, Space)>,
    /// Processes that hold the other end of a connection of HAProxy's on the same host, and aren't HAProxy.
    pub neighbours: Vec<Neighbour>,
    /// Workers that have been replaced by a reload, and the master they share with their successor.
    pub replaced: Vec<(Pid, Pid)>,
}

/// A socket that HAProxy has open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Whose, where, in which state.
    pub held: HeldSock,
    /// Bytes received and not read.
    pub unread: u32,
    /// Bytes written and not acknowledged.
    pub unacked: u32,
    /// The timer that runs.
    pub timer: Timer,
    /// For how long no data has moved either way; `None`: the kernel didn't tell.
    #[serde(with = "crate::ns::option", default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// Bytes received since it began (`tcpi_bytes_received`), where told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
}

/// A listener's accept queue (`ss` calls them Recv-Q and Send-Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Where.
    pub netns: Netns,
    /// Its address.
    pub local: SocketAddr,
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// How many may.
    pub backlog: u32,
}

/// TIME_WAITs between two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Where.
    pub netns: Netns,
    /// From this address, whatever the port.
    pub from: IpAddr,
    /// To this address and port.
    pub to: SocketAddr,
    /// How many.
    pub count: u64,
}

/// What a network namespace allows, and what of it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// `net.ipv4.ip_local_port_range`.
    pub ports: Option<(u16, u16)>,
    /// Orphans now (`/proc/net/sockstat`), of whomsoever on this host.
    pub orphans: Option<u64>,
    /// `net.ipv4.tcp_max_orphans`; the host's.
    pub max_orphans: Option<u64>,
}

/// A process of this host at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// HAProxy's socket.
    pub cookie: Cookie,
    /// The process.
    pub pid: Pid,
    /// Its name.
    pub name: String,
}

/// Surveys so far: the last one, and what has lasted from one to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surveys {
    /// Its sockets are in the order of their cookies.
    pub(crate) last: Option<(Mono, Survey)>,
    /// Descriptors whose connection is gone, since when.
    pub(crate) closed: BTreeMap<Cookie, Mono>,
    /// Listeners with connections waiting to be accepted, since when.
    pub(crate) waiting: BTreeMap<(Netns, SocketAddr), Mono>,
    /// Sockets whose queues have not moved, since when.
    pub(crate) still: BTreeMap<Cookie, (u32, u32, Mono)>,
}

impl Surveys {
    pub(crate) fn take(&mut self, at: Mono, mut survey: Survey) {
        survey
            .sockets
            .sort_unstable_by_key(|standing| standing.held.cookie);
        let (mut closed, mut still) = (BTreeMap::new(), BTreeMap::new());
        for standing in &survey.sockets {
            let cookie = standing.held.cookie;
            if standing.held.state == TcpState::Close {
                closed.insert(cookie, self.closed.get(&cookie).copied().unwrap_or(at));
            }
            let queues = (standing.unread, standing.unacked);
            if queues != (0, 0) {
                let since = match self.still.get(&cookie) {
                    Some(&(unread, unacked, since)) if (unread, unacked) == queues => since,
                    _ => at,
                };
                still.insert(cookie, (queues.0, queues.1, since));
            }
        }
        let before = std::mem::take(&mut self.waiting);
        for listener in survey.listeners.iter().filter(|listener| listener.waiting > 0) {
            let key = (listener.netns, listener.local);
            self.waiting.insert(key, before.get(&key).copied().unwrap_or(at));
        }
        self.closed = closed;
        self.still = still;
        self.last = Some((at, survey));
    }

    /// A socket as the last survey found it.
    pub(crate) fn standing(&self, cookie: Cookie) -> Option<&Standing> {
        let (_, survey) = self.last.as_ref()?;
        let found = survey
            .sockets
            .binary_search_by_key(&cookie, |standing| standing.held.cookie);
        survey.sockets.get(found.ok()?)
    }

    /// The listener that a local address belongs to.
    pub(crate) fn listener(&self, netns: Option<Netns>, local: SocketAddr) -> Option<&Listener> {
        let (_, survey) = self.last.as_ref()?;
        let at = |address: SocketAddr| {
            survey.listeners.iter().find(|listener| {
                netns.is_none_or(|netns| netns == listener.netns) && listening(listener.local) == address
            })
        };
        at(listening(local)).or_else(|| at(wildcard(local.port())))
    }
}
