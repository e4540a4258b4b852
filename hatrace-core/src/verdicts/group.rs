//! Sockets under one verdict, by whom they wait for: by address, by network where many addresses share the blame, or as the user wants.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::finding::{Prefix, Verdict, Whom};
use crate::snapshot::Lingering;
use crate::sock::Side;
use crate::stream::Name;
use crate::tolls::{Party, Toll};

/// By what findings are grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By address; by network, where many addresses of one share the blame.
    #[default]
    Peer,
    /// By network: /24, /64.
    Prefix,
    /// By server: on the clients' side the one the session was given.
    Server,
    /// By frontend or backend.
    Proxy,
}

/// The sockets of one party under one verdict.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// Under which.
    pub verdict: Verdict,
    /// Whom they wait for.
    pub whom: Whom,
    /// The addresses behind that.
    pub addresses: BTreeSet<IpAddr>,
    /// The side.
    pub side: Side,
    /// The frontend or backend.
    pub proxy: Option<Name>,
    /// The server.
    pub server: Option<Name>,
    /// The sockets that wait.
    pub subjects: Vec<&'a Lingering>,
    /// The other sockets of their sessions.
    pub pinned: Vec<&'a Lingering>,
    /// Those that have waited.
    pub toll: Toll,
}

impl<'a> Group<'a> {
    /// An empty one.
    #[must_use]
    pub fn new(verdict: Verdict, party: &Party) -> Self {
        Self {
            verdict,
            whom: Whom::Address(party.address),
            addresses: BTreeSet::from([party.address]),
            side: party.side,
            proxy: party.proxy.clone(),
            server: party.server.clone(),
            subjects: Vec::new(),
            pinned: Vec::new(),
            toll: Toll::default(),
        }
    }

    /// How much it weighs: open sockets and ended ones.
    fn weight(&self) -> u64 {
        self.subjects.len() as u64 + self.toll.ended
    }

    /// The waits that go on.
    #[must_use]
    pub fn ages(&self) -> Vec<Duration> {
        self.subjects.iter().map(|row| row.age.at_least).collect()
    }

    fn swallow(&mut self, other: Self) {
        self.addresses.extend(other.addresses);
        self.subjects.extend(other.subjects);
        self.pinned.extend(other.pinned);
        self.toll.merge(&other.toll);
        if self.server != other.server {
            self.server = None;
        }
        if self.proxy != other.proxy {
            self.proxy = None;
        }
    }
}

/// Puts groups together as wanted.
#[must_use]
pub fn gather(groups: Vec<Group<'_>>, by: By) -> Vec<Group<'_>> {
    match by {
        By::Peer => crowds(groups),
        By::Prefix => merge(groups, |group| {
            let address = group.addresses.first().copied();
            (
                address.map(|address| Prefix::of(address).to_string()),
                group.proxy.clone(),
            )
        }),
        By::Server => merge(groups, |group| {
            let given = group.subjects.first().and_then(|row| row.naming.server.clone());
            (
                group.server.clone().or(given).map(|name| name.to_string()),
                group.proxy.clone(),
            )
        }),
        By::Proxy => merge(groups, |group| group.proxy.clone()),
    }
}

fn merge<'a, K: Ord>(groups: Vec<Group<'a>>, key: impl Fn(&Group<'a>) -> K) -> Vec<Group<'a>> {
    let mut merged: BTreeMap<(Verdict, Side, K), Group<'a>> = BTreeMap::new();
    for group in groups {
        match merged.entry((group.verdict, group.side, key(&group))) {
            std::collections::btree_map::Entry::Occupied(mut there) => there.get_mut().swallow(group),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(group);
            }
        }
    }
    merged.into_values().map(named).collect()
}

/// Says whom a group of several addresses is.
fn named(mut group: Group<'_>) -> Group<'_> {
    let networks: BTreeSet<Prefix> = group
        .addresses
        .iter()
        .map(|address| Prefix::of(*address))
        .collect();
    let mut addresses = group.addresses.iter();
    group.whom = match (addresses.next(), addresses.next(), networks.first()) {
        (Some(only), None, _) => Whom::Address(*only),
        (_, _, Some(network)) if networks.len() == 1 => Whom::Prefix(*network),
        _ => Whom::Many(group.addresses.len() as u64),
    };
    group
}

/// How many addresses make a crowd.
const CROWD: usize = 4;
/// How many each of a crowd may have and still be one of it.
const FEW: u64 = 5;
/// More small groups than this are one of many networks.
const MANY: usize = 8;

/// Clients that have a few each are no culprits of their own where there are many of them: they share the blame by network, or as many.
fn crowds(groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let key = |group: &Group<'_>| {
        let network = group.addresses.first().map(|address| Prefix::of(*address));
        (group.verdict, group.proxy.clone(), network)
    };
    let small = |group: &Group<'_>| group.side != Side::Server && group.weight() <= FEW;
    let mut sizes: BTreeMap<_, usize> = BTreeMap::new();
    for group in groups.iter().filter(|group| small(group)) {
        *sizes.entry(key(group)).or_default() += 1;
    }
    let (crowded, alone): (Vec<_>, Vec<_>) = groups
        .into_iter()
        .partition(|group| small(group) && sizes.get(&key(group)).is_some_and(|size| *size >= CROWD));
    let mut gathered = merge(crowded, |group| {
        let network = group.addresses.first().map(|address| Prefix::of(*address));
        (network, group.proxy.clone())
    });
    let scattered = |group: &Group<'_>| group.side != Side::Server && group.weight() <= FEW;
    let mut stray: BTreeMap<_, usize> = BTreeMap::new();
    for group in alone.iter().filter(|group| scattered(group)) {
        *stray.entry((group.verdict, group.proxy.clone())).or_default() += 1;
    }
    let (strays, rest): (Vec<_>, Vec<_>) = alone.into_iter().partition(|group| {
        scattered(group)
            && stray
                .get(&(group.verdict, group.proxy.clone()))
                .is_some_and(|count| *count > MANY)
    });
    gathered.extend(rest);
    gathered.extend(merge(strays, |group| group.proxy.clone()));
    gathered
}
