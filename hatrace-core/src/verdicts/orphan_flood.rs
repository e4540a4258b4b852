//! Connections that HAProxy has closed and whose peers don't acknowledge that: the kernel keeps only so many of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::finding::{Confidence, Finding, Fix, Responsible, Verdict, Whom};
use super::scene::Scene;
use crate::clock::Clock;
use crate::snapshot::Lingering;
use crate::sock::{Holder, Side};
use crate::time::sum;

/// From this part of `tcp_max_orphans` on it is worth saying: the kernel counts those that send much twice or four times
/// (`tcp_out_of_resources()`), so it may already be giving some up.
const WORTH: u64 = 40;
const CERTAIN: u64 = 90;

/// At most one: the limit is the host's.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let Some((orphans, limit)) = scene.orphans() else {
        return Vec::new();
    };
    let own: Vec<&Lingering> = scene
        .rows
        .iter()
        .filter(|row| row.holder == Holder::Orphaned)
        .collect();
    // Somebody else's, if HAProxy has next to none of them.
    if orphans * 100 < limit * WORTH || (own.len() as u64) * 10 < orphans {
        return Vec::new();
    }
    vec![finding(&own, orphans, limit)]
}

fn finding(own: &[&Lingering], orphans: u64, limit: u64) -> Finding {
    let mut peers: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for ends in own.iter().filter_map(|row| row.endpoints) {
        *peers.entry(ends.peer.ip()).or_default() += 1;
    }
    let unacknowledged = own.iter().filter(|row| row.retransmits > 0).count();
    let (whom, most) = peers
        .iter()
        .max_by_key(|(_, count)| **count)
        .map_or((Whom::Haproxy(None), 0), |(peer, count)| {
            (Whom::Address(*peer), *count)
        });
    let alone = most * 2 >= own.len() as u64;
    Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::OrphanFlood,
        whom: if alone { whom } else { Whom::Many(peers.len() as u64) },
        known_as: None,
        proxy: None,
        server: None,
        side: own.first().map_or(Side::Unknown, |row| row.side),
        state: own.first().map(|row| row.state),
        responsible: if unacknowledged * 2 >= own.len() {
            Responsible::Path
        } else {
            Responsible::Peer
        },
        confidence: if orphans * 100 >= limit * CERTAIN {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
        open: own.len() as u64,
        ended: 0,
        pinned: 0,
        socket_seconds: sum(own.iter().map(|row| row.age.at_least)),
        p99: None,
        oldest: own.iter().map(|row| row.age.at_least).max(),
        clock: own.first().map_or_else(Clock::default, |row| row.clock.clone()),
        next_in: None,
        forecast: Vec::new(),
        because: vec![
            format!("{orphans} orphans of the {limit} that this host keeps (net.ipv4.tcp_max_orphans); {} of them are HAProxy's", own.len()),
            format!("{unacknowledged} of those retransmit a FIN that nobody acknowledges"),
            "beyond the limit the kernel resets them at once (\"TCP: too many orphaned sockets\")".to_owned(),
        ],
        fix: vec![
            Fix::Do("net.ipv4.tcp_orphan_retries = 3 (sysctl -w): the kernel gives up after seconds instead of minutes".to_owned()),
            Fix::Do("tcp-ut 30s on the bind lines: the same for HAProxy alone".to_owned()),
        ],
        sockets: Vec::new(),
    }
}
