//! Of a line, what finds its sockets and is held against them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::entry::{Entry, Written};
use crate::config::{ClientAddress, Configuration, ProxyMode};
use crate::ending::Code;
use crate::sock::fold;

/// What the configuration says of the proxies that lines are of, as far as it decides what their sockets can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Their clients' addresses come by the PROXY protocol and its kin, or by a rule before the session: `fc_src` has them too.
    told: BTreeSet<Vec<u8>>,
    /// A rule of the session's changes them: `fc_src` has the socket's.
    changed: BTreeSet<Vec<u8>>,
    /// Frontends that TLS or HTTP/2 may end a session of, without a FIN.
    layered_clients: BTreeSet<Vec<u8>>,
    /// Proxies whose connections may have several requests.
    http: BTreeSet<Vec<u8>>,
    /// Where each server is, where the configuration has its address.
    servers: BTreeMap<Vec<u8>, SocketAddr>,
    /// Backends that are known to speak to their servers without such a layer.
    plain_servers: BTreeSet<Vec<u8>>,
}

impl Proxies {
    /// Takes in what is configured.
    pub fn learn(&mut self, configuration: &Configuration) {
        for proxy in &configuration.proxies {
            let name = || proxy.name.as_bytes().to_vec();
            match proxy.client_address {
                ClientAddress::Socket => {}
                ClientAddress::Told => drop(self.told.insert(name())),
                ClientAddress::Changed => drop(self.changed.insert(name())),
            }
            if proxy.mode.value == ProxyMode::Http {
                self.http.insert(name());
            }
            if proxy.binds.iter().any(|bind| bind.layered) {
                self.layered_clients.insert(name());
            }
            for server in &proxy.servers {
                let name = [name(), b"/".to_vec(), server.name.as_bytes().to_vec()].concat();
                self.servers
                    .extend(server.address.map(|address| (name, fold(address))));
            }
            if proxy.kind.connects() && !proxy.servers.iter().any(|server| server.layered) {
                self.plain_servers.insert(name());
            }
        }
    }

    /// The address of an entry's server.
    fn server(&self, entry: &Entry<'_>) -> Option<SocketAddr> {
        if self.servers.is_empty() || !entry.has_server() {
            return None;
        }
        self.servers
            .get(&[entry.backend, b"/", entry.server].concat())
            .copied()
    }

    /// Whether an entry is of one of them. A line that doesn't name its proxies may be of any.
    fn among(proxies: &BTreeSet<Vec<u8>>, entry: &Entry<'_>) -> bool {
        !proxies.is_empty()
            && (entry.frontend.is_empty()
                || proxies.contains(entry.frontend)
                || proxies.contains(entry.backend))
    }

    /// The address of the client's socket, where the line has it.
    fn client(&self, entry: &Entry<'_>) -> Option<SocketAddr> {
        let socket = || address(entry.socket, entry.socket_port);
        if Self::among(&self.told, entry) {
            None
        } else if Self::among(&self.changed, entry) {
            socket()
        } else {
            socket().or_else(|| address(entry.client, entry.client_port))
        }
    }
}

fn address(ip: Option<IpAddr>, port: Option<u16>) -> Option<SocketAddr> {
    Some(fold(SocketAddr::new(ip?, port?)))
}

/// Whether a request came over HTTP/2 or HTTP/3.
fn is_layered(request: &[u8]) -> bool {
    request
        .windows(6)
        .any(|part| part == b"HTTP/2" || part == b"HTTP/3")
}

/// One line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// The peer of the client's socket; `None`: the line has another address of the client's.
    pub(super) client: Option<SocketAddr>,
    /// The same, or else what the log calls the client.
    pub(super) called: SocketAddr,
    /// HAProxy's end of it.
    pub(super) front: Option<SocketAddr>,
    /// HAProxy's end towards the server, and the server's.
    pub(super) server: Option<(SocketAddr, SocketAddr)>,
    /// Where its line doesn't have them: the server's address, and between when the connection to it was established, or given up.
    pub(super) towards: Option<(SocketAddr, Written, Written)>,
    pub(super) accepted: Written,
    pub(super) ended: Written,
    pub(super) code: Code,
    /// A request: its connection may have others.
    pub(super) request: bool,
    /// An exchange of HTTP that is no tunnel: HAProxy doesn't close half of a connection during it.
    pub(super) exchange: bool,
    /// TLS or HTTP/2 may have told of the client's end before its socket did.
    pub(super) client_hidden: bool,
    /// The same of the server's, or that isn't known.
    pub(super) server_hidden: bool,
}

impl Said {
    /// The same by UTC, of a log whose clock is so far ahead.
    pub(super) fn by_utc(self, ahead: i64) -> Self {
        Self {
            towards: self
                .towards
                .map(|(server, from, to)| (server, from - ahead, to - ahead)),
            accepted: self.accepted - ahead,
            ended: self.ended - ahead,
            ..self
        }
    }

    /// `None`: the line doesn't tell what is needed, or was written before its session's end.
    pub(super) fn of(entry: &Entry<'_>, proxies: &Proxies) -> Option<Self> {
        let client = proxies.client(entry);
        if entry.early {
            return None;
        }
        let accepted = entry.accepted?;
        let server = address(entry.back, entry.back_port).zip(address(entry.server_ip, entry.server_port));
        let http = proxies.http.contains(entry.frontend);
        let request = http || entry.status.is_some() || entry.response.is_some();
        // A request may have been given a connection that was there.
        let towards = proxies.server(entry).filter(|_| server.is_none() && !request);
        let queued = accepted + entry.queue.unwrap_or(0).max(0);
        Some(Self {
            client,
            called: client.or_else(|| address(entry.client, entry.client_port))?,
            front: client.and_then(|_| address(entry.front, entry.front_port)),
            server,
            towards: towards.map(|server| (server, queued, queued + entry.connect.unwrap_or(0).max(0))),
            accepted,
            ended: entry.ended()?,
            code: entry.code?.without_cookie(),
            request,
            exchange: entry.status.is_some_and(|status| status != 101) && !entry.uri.starts_with(b"CONNECT"),
            client_hidden: entry.tls
                || proxies.layered_clients.contains(entry.frontend)
                || is_layered(entry.uri),
            server_hidden: !proxies.plain_servers.contains(entry.backend),
        })
    }
}
