//! Telling the kernel half which local addresses are HAProxy's listeners.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use hatrace_common::wire::{Listener, port};
use hatrace_core::ids::Netns;
use hatrace_core::input::Gap;
use hatrace_core::sock::{Side, fold};
use hatrace_core::tcp::TcpState;

use super::decode::{endpoints, side_number};
use super::files::Held;
use super::load::{Key, Loaded};
use crate::sockdiag::DiagRow;
use crate::target::Target;

/// The listeners the kernel half has been told of.
#[derive(Default)]
pub struct Told {
    entries: BTreeMap<(Netns, SocketAddr), Side>,
    /// Inodes of listeners in HAProxy's hands when last looked.
    held: BTreeSet<u64>,
}

impl Told {
    /// Tells of one more listener; `false`: it is known already, with that side.
    pub fn add(&mut self, loaded: &mut Loaded, netns: Netns, local: SocketAddr, side: Side) -> bool {
        let local = fold(local);
        if self.entries.insert((netns, local), side) == Some(side) {
            return false;
        }
        let key = Key(wire_listener(netns, local));
        if let Err(error) = loaded.listeners.insert(key, u32::from(side_number(side)), 0) {
            tracing::warn!("listener {local} can't be told to the kernel half: {error}");
        }
        loaded.ports.set(local.port(), self.answer(local.port()));
        true
    }

    /// Listeners among what is held. One that only a master holds is HAProxy's own business: its CLI.
    pub fn learn(&mut self, loaded: &mut Loaded, held: &[Held], target: &Target) {
        let mut sides: BTreeMap<(Netns, SocketAddr), Side> = BTreeMap::new();
        self.held.clear();
        for Held { pid, row } in held
            .iter()
            .filter(|held| held.row.state == TcpState::Listen.number())
        {
            self.held.insert(row.inode);
            let side = if target.is_master(*pid) {
                Side::Control
            } else {
                Side::Client
            };
            let local = endpoints(&row.ends).local;
            let known = sides.entry((Netns(row.netns), local)).or_insert(side);
            if side == Side::Client {
                *known = Side::Client;
            }
        }
        for ((netns, local), side) in sides {
            self.add(loaded, netns, local, side);
        }
    }

    /// Holds what was told against every listener there is. Where somebody else listens on an address of HAProxy's, accepted
    /// sockets can't be told apart by it: while HAProxy listens there too that is said, and when it doesn't any more it
    /// is no longer HAProxy's address.
    pub fn compare(&mut self, loaded: &mut Loaded, listening: &[(Netns, DiagRow)]) -> Vec<Gap> {
        let ours = |row: &DiagRow| row.inode.is_some_and(|inode| self.held.contains(&inode));
        let (own, others): (BTreeSet<_>, BTreeSet<_>) = {
            let place = |(netns, row): &(Netns, DiagRow)| (*netns, row.endpoints.local);
            let (own, others): (Vec<_>, Vec<_>) = listening.iter().partition(|(_, row)| ours(row));
            (
                own.into_iter().map(place).collect(),
                others.into_iter().map(place).collect(),
            )
        };
        let mut gaps = Vec::new();
        for (netns, local) in others {
            if !self.entries.contains_key(&(netns, local)) {
                continue;
            }
            if own.contains(&(netns, local)) {
                gaps.push(Gap::SharedListener { local, pid: None });
            } else {
                self.remove(loaded, netns, local);
            }
        }
        gaps
    }

    /// Takes a listener back: somebody else listens there now.
    fn remove(&mut self, loaded: &mut Loaded, netns: Netns, local: SocketAddr) {
        let local = fold(local);
        if self.entries.remove(&(netns, local)).is_some() {
            let _ = loaded.listeners.remove(&Key(wire_listener(netns, local)));
            loaded.ports.set(local.port(), self.answer(local.port()));
        }
    }

    /// Every listener, with its side.
    pub fn iter(&self) -> impl Iterator<Item = (Netns, SocketAddr, Side)> {
        self.entries
            .iter()
            .map(|(&(netns, local), &side)| (netns, local, side))
    }

    /// The fast answer for a port: namespace and address, where one listener of a frontend is all there is on it.
    fn answer(&self, wanted: u16) -> u64 {
        let on_port: BTreeSet<_> = self
            .iter()
            .filter(|(_, local, _)| local.port() == wanted)
            .map(|(netns, local, side)| (netns, local.ip(), side))
            .collect();
        let mut on_port = on_port.into_iter();
        match (on_port.next(), on_port.next()) {
            (None, _) => port::NONE,
            (Some((netns, ip, Side::Client)), None) if ip.is_unspecified() => u64::from(netns.0),
            (Some((netns, IpAddr::V4(ip), Side::Client)), None) => {
                u64::from(u32::from_ne_bytes(ip.octets())) << 32 | u64::from(netns.0)
            }
            _ => port::ASK,
        }
    }
}

/// The key of a listening address: the wildcard of either family is all zeros, IPv4 is mapped into IPv6.
fn wire_listener(netns: Netns, local: SocketAddr) -> Listener {
    let addr = match local.ip() {
        ip if ip.is_unspecified() => [0; 16],
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    Listener {
        netns: netns.0,
        port: local.port(),
        zero: 0,
        addr,
    }
}

/// The address of a listener that the kernel half has seen begin.
pub fn address_of(listener: &Listener) -> SocketAddr {
    fold(SocketAddr::new(IpAddr::V6(listener.addr.into()), listener.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn keys_meet_the_children_they_are_for() {
        assert_eq!(
            wire_listener(Netns(1), addr("0.0.0.0:80")),
            wire_listener(Netns(1), addr("[::]:80"))
        );
        let v4 = wire_listener(Netns(1), addr("10.0.0.1:80"));
        assert_eq!(v4.addr[10..], [0xff, 0xff, 10, 0, 0, 1]);
        assert_eq!(address_of(&v4), addr("10.0.0.1:80"));
    }

    #[test]
    fn only_a_lone_wildcard_gets_the_fast_answer() {
        let mut told = Told::default();
        told.entries.insert((Netns(7), addr("[::]:80")), Side::Client);
        told.entries.insert((Netns(7), addr("0.0.0.0:81")), Side::Client);
        told.entries
            .insert((Netns(7), addr("127.0.0.1:81")), Side::Client);
        told.entries.insert((Netns(7), addr("0.0.0.0:82")), Side::Control);
        assert_eq!(told.answer(80), 7);
        assert_eq!(told.answer(81), port::ASK);
        assert_eq!(told.answer(82), port::ASK);
        assert_eq!(told.answer(83), port::NONE);
    }
}
