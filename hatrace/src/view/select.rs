//! Which sockets a view is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use hatrace_core::event::Event;
use hatrace_core::ids::Cookie;
use hatrace_core::naming::Naming;
use hatrace_core::snapshot::{Dwell, Lingering, SessionRow, SessionSock, Snapshot};
use hatrace_core::sock::{Endpoints, Side};
use hatrace_core::stream::Name;
use hatrace_core::tcp::TcpState;
use hatrace_core::verdicts::{Finding, Whom};

/// Which sockets are wanted; an empty list wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// In one of these states.
    pub states: Vec<TcpState>,
    /// On one of these sides.
    pub sides: Vec<Side>,
    /// With a peer in one of these prefixes.
    pub peers: Vec<Prefix>,
    /// Of one of these frontends or backends.
    pub proxies: Vec<String>,
    /// Of a session that was given one of these servers, or connected to it.
    pub servers: Vec<String>,
    /// On one of these hosts, where several were put together.
    pub hosts: Vec<String>,
    /// Known to be at least this old.
    pub older: Option<Duration>,
}

impl Selection {
    /// Whether anything is left out at all.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether sockets are left out by what a histogram doesn't know: the peer, the age.
    #[must_use]
    pub fn is_finer_than_dwell(&self) -> bool {
        let names = [&self.proxies, &self.servers, &self.hosts];
        !self.peers.is_empty() || self.older.is_some() || names.iter().any(|names| !names.is_empty())
    }

    /// Whether a host is wanted. What has none is of the only one there is.
    fn keeps_host(&self, host: Option<&Name>) -> bool {
        self.hosts.is_empty() || host.is_none_or(|host| self.hosts.iter().any(|wanted| **wanted == **host))
    }

    fn keeps(&self, state: TcpState, side: Side, endpoints: Option<Endpoints>) -> bool {
        let peer = endpoints.map(|ends| ends.peer.ip());
        (self.states.is_empty() || self.states.contains(&state))
            && (self.sides.is_empty() || self.sides.contains(&side))
            && (self.peers.is_empty()
                || peer.is_some_and(|ip| self.peers.iter().any(|prefix| prefix.contains(ip))))
    }

    /// Whether a socket is wanted. Its age counts as its lower bound: "older" means known to be older.
    #[must_use]
    pub fn keeps_row(&self, row: &Lingering) -> bool {
        self.keeps(row.state, row.side, row.endpoints)
            && self.keeps_host(row.host.as_ref())
            && self.keeps_name(&row.naming)
            && self.older.is_none_or(|older| row.age.at_least >= older)
    }

    /// Whether what HAProxy calls it is wanted. What has no name isn't, where one is asked for.
    fn keeps_name(&self, naming: &Naming) -> bool {
        let facts = naming.session.as_ref().map(|session| &session.facts);
        let among = |wanted: &[String], names: &[Option<&str>]| {
            wanted.is_empty()
                || names
                    .iter()
                    .flatten()
                    .any(|name| wanted.iter().any(|w| w == name))
        };
        let frontend = facts.and_then(|facts| facts.frontend.as_deref());
        let backend = facts.and_then(|facts| facts.backend.as_deref());
        among(&self.proxies, &[naming.proxy.as_deref(), frontend, backend])
            && among(&self.servers, &[naming.server.as_deref()])
    }

    /// Whether a row of dwell times is wanted; they are of all peers and ages.
    #[must_use]
    pub fn keeps_dwell(&self, dwell: &Dwell) -> bool {
        (self.states.is_empty() || self.states.contains(&dwell.state))
            && (self.sides.is_empty() || self.sides.contains(&dwell.side))
    }

    /// Whether a line of the stream is wanted. What happens to HAProxy's processes always is.
    #[must_use]
    pub fn keeps_event(&self, event: &Event) -> bool {
        match event {
            Event::Lingers { row, .. } | Event::Left { row, .. } => self.keeps_row(row),
            Event::Transition {
                transition: told,
                held,
                ..
            } => {
                self.keeps(told.from, told.side, Some(told.endpoints))
                    && self.keeps_name(&Naming::default())
                    && self
                        .older
                        .is_none_or(|older| held.is_some_and(|held| held.at_least >= older))
            }
            Event::Process { .. } => true,
        }
    }

    /// The wanted ones of a snapshot's lingering sockets.
    #[must_use]
    pub fn lingering<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a Lingering> {
        snapshot
            .lingering
            .iter()
            .filter(|row| self.keeps_row(row))
            .collect()
    }

    /// The wanted findings: those of which a wanted socket is one, or, without sockets, of a wanted peer, side and proxy.
    #[must_use]
    pub fn findings<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a Finding> {
        if self.is_everything() {
            return snapshot.findings.iter().collect();
        }
        let rows = self.lingering(snapshot);
        let wanted: BTreeSet<(Option<&Name>, Cookie)> =
            rows.iter().map(|row| (row.host.as_ref(), row.cookie)).collect();
        snapshot
            .findings
            .iter()
            .filter(|finding| {
                let host = finding.host.as_ref();
                finding
                    .sockets
                    .iter()
                    .any(|cookie| wanted.contains(&(host, *cookie)))
                    || finding.sockets.is_empty() && self.keeps_finding(finding)
            })
            .collect()
    }

    fn keeps_finding(&self, finding: &Finding) -> bool {
        let among = |wanted: &[String], name: Option<&str>| {
            wanted.is_empty() || name.is_some_and(|name| wanted.iter().any(|wanted| wanted == name))
        };
        let peer = match &finding.whom {
            Whom::Address(address) => self.peers.iter().any(|prefix| prefix.contains(*address)),
            _ => false,
        };
        (self.peers.is_empty() || peer)
            && self.keeps_host(finding.host.as_ref())
            && (self.sides.is_empty() || self.sides.contains(&finding.side))
            && (self.states.is_empty() || finding.state.is_some_and(|state| self.states.contains(&state)))
            && among(&self.proxies, finding.proxy.as_deref())
            && among(&self.servers, finding.server.as_deref())
    }

    /// Whether a session is wanted: its names, its client, its age by HAProxy's account, the state of a socket of its.
    #[must_use]
    pub fn keeps_session(&self, row: &SessionRow) -> bool {
        let stream = &row.stream;
        let name = |wanted: &[String], names: [Option<&str>; 2]| {
            wanted.is_empty()
                || names
                    .iter()
                    .flatten()
                    .any(|name| wanted.iter().any(|w| w == name))
        };
        let socket = |side: Side, sock: Option<&SessionSock>| {
            sock.is_some_and(|sock| {
                (self.states.is_empty() || self.states.contains(&sock.state))
                    && (self.sides.is_empty() || self.sides.contains(&side))
            })
        };
        let peers = [row.front.map(|front| front.endpoints.peer), stream.source];
        name(
            &self.proxies,
            [stream.frontend.as_deref(), stream.backend.as_deref()],
        ) && name(&self.servers, [stream.server.as_deref(), None])
            && self.keeps_host(row.host.as_ref())
            && self
                .older
                .is_none_or(|older| stream.age.is_some_and(|age| age >= older))
            && (self.peers.is_empty()
                || peers
                    .iter()
                    .flatten()
                    .any(|peer| self.peers.iter().any(|prefix| prefix.contains(peer.ip()))))
            && (self.states.is_empty() && self.sides.is_empty()
                || socket(Side::Client, row.front.as_ref())
                || socket(Side::Server, row.back.as_ref()))
    }

    /// The wanted ones of a snapshot's sessions.
    #[must_use]
    pub fn sessions<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a SessionRow> {
        snapshot
            .sessions
            .iter()
            .filter(|row| self.keeps_session(row))
            .collect()
    }

    /// The wanted ones of a snapshot's dwell times.
    pub fn dwell<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Dwell> {
        snapshot.dwell.iter().filter(|dwell| self.keeps_dwell(dwell))
    }
}

impl fmt::Display for Selection {
    /// As the options that make it: `--state FIN_WAIT2 --peer 10.0.0.0/8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options: Vec<String> = Vec::new();
        options.extend(self.states.iter().map(|state| format!("--state {state}")));
        options.extend(self.sides.iter().map(|side| format!("--side {side}")));
        options.extend(self.peers.iter().map(|peer| format!("--peer {peer}")));
        options.extend(self.proxies.iter().map(|proxy| format!("--proxy {proxy}")));
        options.extend(self.servers.iter().map(|server| format!("--server {server}")));
        options.extend(self.hosts.iter().map(|host| format!("--host {host}")));
        options.extend(
            self.older
                .map(|older| format!("--older {}", super::units::round(older))),
        );
        f.write_str(&options.join(" "))
    }
}

/// An address with the number of its leading bits that count: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// Whether `ip` is in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= u32::from(self.length)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= u32::from(self.length)
            }
            _ => false,
        }
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || "want an address or a prefix, without a port: 10.0.0.7, 10.0.0.0/8, 2001:db8::/32".to_owned();
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let given: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let length: u8 = match length {
            Some(length) => length.trim().parse().map_err(|_| wrong())?,
            None => bits(given),
        };
        if length > bits(given) {
            return Err(format!("a prefix of {given} has at most {} bits", bits(given)));
        }
        // Addresses are shown with v4-mapped ones folded, so a mapped prefix means the IPv4 one.
        match given.to_canonical() {
            folded @ IpAddr::V4(_) if given.is_ipv6() && length >= 96 => Ok(Self {
                address: folded,
                length: length - 96,
            }),
            _ => Ok(Self {
                address: given,
                length,
            }),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == bits(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn within(text: &str, ip: &str) -> bool {
        prefix(text).contains(ip.parse().unwrap())
    }

    #[test]
    fn prefixes_hold_their_addresses() {
        assert!(within("10.0.0.7", "10.0.0.7"));
        assert!(!within("10.0.0.7", "10.0.0.8"));
        assert!(within("10.0.0.7/8", "10.255.1.2"));
        assert!(!within("10.0.0.0/8", "11.0.0.0"));
        assert!(within("0.0.0.0/0", "192.0.2.1"));
        assert!(!within("0.0.0.0/0", "2001:db8::1"));
        assert!(within("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!within("2001:db8::/33", "2001:db8:8000::1"));
        assert!(within("::/0", "2001:db8::1"));
        assert!(within("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(within("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert_eq!(prefix("::ffff:10.0.0.7").to_string(), "10.0.0.7");
        assert_eq!(prefix("10.0.0.0/8").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.7:80",
            "10.0.0.0/33",
            "10.0.0.0/",
            "::1/129",
            "web1",
            "1.2.3.4/-1",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_selection_keeps_what_it_names() {
        let snapshot = sample::snapshot();
        let kept = |selection: Selection| selection.lingering(&snapshot).len();
        assert_eq!(kept(Selection::default()), 5);
        assert_eq!(
            kept(Selection {
                states: vec![TcpState::CloseWait],
                ..Selection::default()
            }),
            2
        );
        assert_eq!(
            kept(Selection {
                peers: vec![prefix("10.0.0.0/24")],
                sides: vec![Side::Client],
                ..Selection::default()
            }),
            3
        );
        assert_eq!(
            kept(Selection {
                older: Some(Duration::from_secs(100)),
                ..Selection::default()
            }),
            2
        );
    }
}
