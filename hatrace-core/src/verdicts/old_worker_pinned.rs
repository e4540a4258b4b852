//! After a reload: who keeps the old worker alive, and with it its memory and its listeners' old configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::finding::{Confidence, Finding, Fix, Responsible, Verdict, Whom};
use super::scene::Scene;
use super::wording;
use crate::clock::Clock;
use crate::ids::{Cookie, Pid};
use crate::snapshot::Lingering;
use crate::sock::Side;
use crate::tcp::TcpState;
use crate::time::sum;
use crate::units;

/// How many peers the evidence names.
const NAMED: usize = 5;

/// One for each old worker that has connections.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    scene
        .replaced()
        .filter_map(|(pid, _)| finding(pid, scene))
        .collect()
}

fn finding(pid: Pid, scene: &Scene<'_>) -> Option<Finding> {
    let rows: Vec<&Lingering> = scene
        .rows
        .iter()
        .filter(|row| row.pid == Some(pid) && row.fd.is_some())
        .collect();
    let mut peers: BTreeMap<IpAddr, BTreeSet<Cookie>> = BTreeMap::new();
    let clients = rows.iter().filter(|row| row.side == Side::Client);
    for (ends, cookie) in clients.filter_map(|row| Some((row.endpoints?, row.cookie))) {
        peers.entry(ends.peer.ip()).or_default().insert(cookie);
    }
    let at_work = scene.standings().filter(|standing| {
        standing.held.pid == pid
            && standing.held.side == Side::Client
            && standing.held.state == TcpState::Established
    });
    for standing in at_work {
        peers
            .entry(standing.held.endpoints.peer.ip())
            .or_default()
            .insert(standing.held.cookie);
    }
    let total: usize = peers.values().map(BTreeSet::len).sum();
    let mut ranked: Vec<(usize, IpAddr)> = peers
        .iter()
        .map(|(peer, cookies)| (cookies.len(), *peer))
        .collect();
    ranked.sort_by_key(|(count, peer)| (std::cmp::Reverse(*count), *peer));
    let (most, first) = *ranked.first()?;
    let names: Vec<String> = ranked
        .iter()
        .take(NAMED)
        .map(|(count, peer)| format!("{peer} ({count})"))
        .collect();
    let stuck = rows.iter().filter(|row| row.side == Side::Client).count();
    let mut because = vec![format!(
        "worker {pid} was replaced by a reload and lives on for {}: {}{}",
        wording::count(total, "client connection", "client connections"),
        names.join(", "),
        if ranked.len() > NAMED { ", ..." } else { "" }
    )];
    if stuck > 0 {
        because.push(format!("{stuck} of them are half-closed and wait"));
    }
    let global = scene.global(pid);
    let mut fix = Vec::new();
    match global.and_then(|global| global.hard_stop_after.as_ref()) {
        Some(set) => because.push(format!(
            "hard-stop-after {} ({}) will end it",
            units::round(set.value),
            set.place
        )),
        None => {
            because.push("hard-stop-after is not set: nothing bounds how long it lives".to_owned());
            fix.push(match global.and_then(|global| global.place.clone()) {
                Some(place) => Fix::Write {
                    line: "hard-stop-after 10m".to_owned(),
                    section: "global".to_owned(),
                    place,
                },
                None => Fix::Do("set hard-stop-after 10m in global".to_owned()),
            });
        }
    }
    Some(Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::OldWorkerPinned,
        whom: Whom::Address(first),
        known_as: Some(format!("keeps worker {pid}")),
        proxy: None,
        server: None,
        side: Side::Client,
        state: None,
        responsible: Responsible::Peer,
        confidence: if most * 2 >= total {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
        open: total as u64,
        ended: 0,
        pinned: 0,
        socket_seconds: sum(rows.iter().map(|row| row.age.at_least)),
        p99: None,
        oldest: rows.iter().map(|row| row.age.at_least).max(),
        clock: Clock::default(),
        next_in: None,
        forecast: Vec::new(),
        because,
        fix,
        sockets: Vec::new(),
    })
}
