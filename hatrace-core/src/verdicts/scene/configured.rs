//! What the configuration tells of the sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Scene;
use crate::config::{Configuration, Global, Proxy, ProxyKind, Server, Set};
use crate::ids::Pid;
use crate::snapshot::Lingering;
use crate::sock::{HeldSock, Side};
use crate::survey::Listener;

impl<'a> Scene<'a> {
    /// What the process of a row was configured with.
    #[must_use]
    pub fn configuration(&self, row: &Lingering) -> Option<&'a Configuration> {
        match row.pid {
            Some(pid) => self.configured.get(&pid),
            None => self
                .configured
                .values()
                .next()
                .filter(|_| self.configured.len() == 1),
        }
        .map(Arc::as_ref)
    }

    /// The frontend of a row's connection.
    #[must_use]
    pub fn frontend(&self, row: &Lingering) -> Option<&'a Proxy> {
        let session = row.naming.session.as_ref();
        let told = session.and_then(|session| session.facts.frontend.as_deref());
        let own = row.naming.proxy.as_deref().filter(|_| row.side == Side::Client);
        self.configuration(row)?.frontend(own.or(told)?)
    }

    /// The backend of a row's connection.
    #[must_use]
    pub fn backend(&self, row: &Lingering) -> Option<&'a Proxy> {
        let session = row.naming.session.as_ref();
        let told = session.and_then(|session| session.facts.backend.as_deref());
        let own = row.naming.proxy.as_deref().filter(|_| row.side == Side::Server);
        self.configuration(row)?.backend(own.or(told)?)
    }

    /// The proxy on the row's own side.
    #[must_use]
    pub fn proxy(&self, row: &Lingering) -> Option<&'a Proxy> {
        match row.side {
            Side::Client => self.frontend(row),
            Side::Server => self.backend(row),
            Side::Control | Side::Unknown => None,
        }
    }

    /// The frontend or backend of that name, in whichever process's configuration.
    #[must_use]
    pub fn named(&self, side: Side, name: &str) -> Option<&'a Proxy> {
        self.configured.values().find_map(|configuration| match side {
            Side::Server => configuration.backend(name),
            _ => configuration.frontend(name),
        })
    }

    /// The frontend of a socket at work.
    #[must_use]
    pub fn frontend_of(&self, held: &HeldSock) -> Option<&'a Proxy> {
        let configuration = self.configured.get(&held.pid)?;
        let told = self.names.frontend_at(held.netns, held.endpoints.local);
        match told {
            Some(name) => configuration.frontend(name),
            None => configuration.listening_at(held.endpoints.local),
        }
    }

    /// The frontend of a listener.
    #[must_use]
    pub fn frontend_at(&self, listener: &Listener) -> Option<&'a Proxy> {
        let told = self.names.frontend_at(listener.netns, listener.local);
        self.configured.values().find_map(|configuration| match told {
            Some(name) => configuration.frontend(name),
            None => configuration.listening_at(listener.local),
        })
    }

    /// `global` of whichever process: all of them were started with the same files.
    #[must_use]
    pub fn any_global(&self) -> Option<&'a Global> {
        self.configured
            .values()
            .next()
            .map(|configuration| &configuration.global)
    }

    /// The backends that a frontend's connections may go to: its own, or any.
    #[must_use]
    pub fn backends_of(&self, frontend: &'a Proxy) -> Vec<&'a Proxy> {
        if frontend.kind.connects() {
            return vec![frontend];
        }
        self.configured
            .values()
            .flat_map(|configuration| &configuration.proxies)
            .filter(|proxy| proxy.kind == ProxyKind::Backend)
            .collect()
    }

    /// `global` of a process.
    #[must_use]
    pub fn global(&self, pid: Pid) -> Option<&'a Global> {
        self.configured
            .get(&pid)
            .map(|configuration| &configuration.global)
    }

    /// The server at an address, by HAProxy's word or its configuration.
    #[must_use]
    pub fn server_named(&self, address: SocketAddr) -> Option<(&'a Proxy, &'a Server)> {
        self.configured
            .values()
            .find_map(|configuration| configuration.server_at(address))
    }

    /// Whether a server is at an address: by HAProxy's word, its configuration, or because it is connected there.
    #[must_use]
    pub fn is_server(&self, address: SocketAddr) -> bool {
        self.server_named(address).is_some()
            || self.names.server_at(address).is_some()
            || self
                .standings()
                .any(|standing| standing.held.side == Side::Server && standing.held.endpoints.peer == address)
    }

    /// Whether a configuration may not be what its process runs with.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.configured
            .values()
            .any(|configuration| configuration.is_stale())
    }

    /// Why, in words.
    #[must_use]
    pub fn stale(&self) -> Option<String> {
        let stale = self
            .configured
            .values()
            .find(|configuration| configuration.is_stale())?;
        stale.doubts.first().map(ToString::to_string)
    }

    /// What limits the connections of clients, with how many there are of them: the frontend's own `maxconn`, and the process's.
    #[must_use]
    pub fn limits(&self, frontend: Option<&'a Proxy>, global: Option<&'a Global>) -> Vec<Limited<'a>> {
        let clients = |of: Option<&Proxy>| {
            self.standings()
                .filter(|standing| standing.held.side == Side::Client)
                .filter(|standing| {
                    of.is_none_or(|proxy| {
                        self.frontend_of(&standing.held)
                            .is_some_and(|own| own.name == proxy.name)
                    })
                })
                .count() as u64
        };
        let own = frontend.and_then(|proxy| {
            Some(Limited {
                frontend: Some(proxy),
                maxconn: proxy.maxconn.as_ref()?,
                used: clients(Some(proxy)),
            })
        });
        let all = global.and_then(|global| {
            Some(Limited {
                frontend: None,
                maxconn: global.maxconn.as_ref()?,
                used: clients(None),
            })
        });
        own.into_iter().chain(all).collect()
    }
}

/// A limit on clients' connections, and how far it is used up.
#[derive(Clone, Copy, Debug)]
pub struct Limited<'a> {
    /// Whose; `None`: the process's.
    pub frontend: Option<&'a Proxy>,
    /// The limit.
    pub maxconn: &'a Set<u64>,
    /// How many are open.
    pub used: u64,
}
