//! The names that are known: of sockets, of the listeners they came through, of the servers they lead to; and why others have none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::ids::{Cookie, Netns, Pid};
use crate::join::Steady;
use crate::ledger::Entry;
use crate::naming::{Asking, Known, Naming, Tie, Without};
use crate::snapshot::Lingering;
use crate::sock::{Holder, Side, listening, wildcard};
use crate::stream::{Access, FdLine, FdUse, Name, ServerAddress};
use crate::tcp::TcpState;

/// What is known through HAProxy.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) known: BTreeMap<Cookie, Known>,
    pub(crate) asking: BTreeMap<Pid, Asking>,
    /// The frontend that listens at an address.
    listeners: BTreeMap<(Netns, SocketAddr), Name>,
    /// The server that an address is; `None`: several.
    servers: BTreeMap<SocketAddr, Option<(Name, Name)>>,
    pub(crate) listeners_told: BTreeSet<Pid>,
    pub(crate) servers_told: BTreeSet<Pid>,
}

impl Names {
    /// The frontend whose listener a client's socket with this local address came through.
    pub(crate) fn frontend_at(&self, netns: Netns, local: SocketAddr) -> Option<&Name> {
        let at = |address| self.listeners.get(&(netns, address));
        at(listening(local)).or_else(|| at(wildcard(local.port())))
    }

    /// The backend and the server at an address, where no other server has it.
    pub(crate) fn server_at(&self, peer: SocketAddr) -> Option<&(Name, Name)> {
        self.servers.get(&peer)?.as_ref()
    }

    pub(crate) fn learn_listeners(&mut self, lines: &[FdLine], steady: &Steady<'_>) {
        for line in lines.iter().filter(|line| line.what == FdUse::Listener) {
            let (Some(proxy), Some(held)) = (&line.proxy, steady.find(line.fd, None)) else {
                continue;
            };
            let local = held.endpoints.local;
            if held.state == TcpState::Listen && line.local_port == Some(local.port()) {
                self.listeners
                    .insert((held.netns, listening(local)), proxy.clone());
            }
        }
    }

    pub(crate) fn learn_servers(&mut self, servers: &[ServerAddress]) {
        self.servers.clear();
        for server in servers {
            let name = (server.backend.clone(), server.server.clone());
            self.servers
                .entry(server.address)
                .and_modify(|known| {
                    if known.as_ref() != Some(&name) {
                        *known = None;
                    }
                })
                .or_insert(Some(name));
        }
    }

    /// Whether HAProxy is likely to tell a socket's name soon.
    pub(crate) fn awaits(&self, entry: &Entry) -> bool {
        let pid = entry
            .seen
            .as_ref()
            .and_then(|seen| seen.open_by)
            .map(|(pid, _)| pid);
        entry.holder() == Holder::Held
            && pid.is_some_and(|pid| self.answers(pid))
            && !self.known.get(&entry.life.cookie).is_some_and(Known::settled)
    }

    /// Whether a process can be asked.
    pub(crate) fn answers(&self, pid: Pid) -> bool {
        let access = self.asking.get(&pid).and_then(|asking| asking.access.as_ref());
        matches!(access, Some(Access::Ready { .. }))
    }

    /// A socket's session and what it is called, as far as that is known.
    pub(crate) fn name(&self, row: &mut Lingering) {
        let known = self.known.get(&row.cookie);
        let mut naming = Naming::default();
        if let Some(known) = known {
            naming.session = known.session.clone();
            naming.proxy = known.proxy.clone();
            naming.server = known.server.clone();
            naming.pair = known.pair;
            naming.idle_expires = known.streamless.map(|_| (known.expires, known.asked));
        }
        if let Some(session) = &mut naming.session
            && session.tie == Tie::Live
            && row.holder != Holder::Held
        {
            session.tie = Tie::Left;
        }
        if naming.proxy.is_none() {
            (naming.proxy, naming.server) = self.by_address(row);
        }
        let shown = naming
            .session
            .as_ref()
            .is_some_and(|session| session.tie != Tie::Reused);
        naming.without = if shown { None } else { self.without(known, row) };
        row.naming = naming;
    }

    fn by_address(&self, row: &Lingering) -> (Option<Name>, Option<Name>) {
        match (row.side, row.endpoints, row.netns) {
            (Side::Client | Side::Control, Some(ends), Some(netns)) => {
                (self.frontend_at(netns, ends.local).cloned(), None)
            }
            (Side::Server, Some(ends), _) => match self.server_at(ends.peer) {
                Some((backend, server)) => (Some(backend.clone()), Some(server.clone())),
                None => (None, None),
            },
            _ => (None, None),
        }
    }

    fn without(&self, known: Option<&Known>, row: &Lingering) -> Option<Without> {
        if self.asking.is_empty() {
            return None;
        }
        if let Some(known) = known {
            if known.session.is_some() {
                return Some(Without::Reused);
            }
            if let Some(why) = known.streamless {
                return Some(Without::Streamless(why));
            }
        }
        let access = row
            .pid
            .and_then(|pid| self.asking.get(&pid))
            .and_then(|asking| asking.access.as_ref());
        Some(match (row.holder, access) {
            (Holder::Unaccepted, _) => Without::AcceptQueue,
            (Holder::Orphaned | Holder::Timewait, _) => Without::Closed,
            (Holder::Held, Some(Access::Off)) => Without::Off,
            (Holder::Held, Some(Access::Refused { code, .. })) => Without::Unreachable(*code),
            (Holder::Held, _) if known.is_some_and(|known| known.unsure > 0) => Without::Unsure,
            (Holder::Held, _) => Without::Pending,
        })
    }
}
