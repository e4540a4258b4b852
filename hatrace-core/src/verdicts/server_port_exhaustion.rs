//! TIME_WAITs use up the ports towards one server: `connect()` fails when the range is full, and is slow long before.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::finding::{Confidence, Finding, Fix, Responsible, Verdict, Whom};
use super::scene::Scene;
use crate::clock::Clock;
use crate::ids::Netns;
use crate::sock::Side;
use crate::tcp::TcpState;

/// From this part of the range on it is worth saying, and from that one it is certain that it will run out under any burst.
const WORTH: u64 = 70;
const CERTAIN: u64 = 90;

/// One for each pair of HAProxy's address and a server's.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let mut at_work: BTreeMap<(Netns, IpAddr, SocketAddr), u64> = BTreeMap::new();
    for standing in scene
        .standings()
        .filter(|standing| standing.held.side == Side::Server)
    {
        let ends = standing.held.endpoints;
        *at_work
            .entry((standing.held.netns, ends.local.ip(), ends.peer))
            .or_default() += 1;
    }
    scene
        .timewaits()
        .filter(|waiting| scene.is_server(waiting.to))
        .filter_map(|waiting| {
            let (low, high) = scene.space(waiting.netns)?.ports?;
            let size = u64::from(high.saturating_sub(low)) + 1;
            let open = at_work
                .get(&(waiting.netns, waiting.from, waiting.to))
                .copied()
                .unwrap_or(0);
            let used = waiting.count + open;
            (used * 100 >= size * WORTH).then(|| {
                finding(
                    scene,
                    waiting.from,
                    waiting.to,
                    (waiting.count, open),
                    (low, high),
                )
            })
        })
        .collect()
}

fn finding(
    scene: &Scene<'_>,
    from: IpAddr,
    to: SocketAddr,
    (timewaits, open): (u64, u64),
    (low, high): (u16, u16),
) -> Finding {
    let size = u64::from(high - low) + 1;
    let server = scene.server_named(to);
    let used = timewaits + open;
    let mut fix = vec![
        Fix::Do("net.ipv4.ip_local_port_range = 1024 65535 (sysctl -w)".to_owned()),
        Fix::Do("net.ipv4.tcp_tw_reuse = 1 (sysctl -w): ports in TIME_WAIT are used again after a second".to_owned()),
        Fix::Do("keep connections to the server: in HTTP mode `http-reuse safe` without `option httpclose` or `http-server-close`".to_owned()),
    ];
    if let Some((proxy, server)) = server {
        fix.push(Fix::Write {
            line: format!("source with one more address for server {}", server.name),
            section: proxy.section(),
            place: server.place.clone(),
        });
    }
    Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::ServerPortExhaustion,
        whom: Whom::Address(to.ip()),
        known_as: Some(to.to_string()),
        proxy: server.map(|(proxy, _)| proxy.name.clone()),
        server: server.map(|(_, server)| server.name.clone()),
        side: Side::Server,
        state: Some(TcpState::TimeWait),
        responsible: Responsible::Haproxy,
        confidence: if used * 100 >= size * CERTAIN {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
        open: timewaits,
        ended: 0,
        pinned: 0,
        socket_seconds: std::time::Duration::ZERO,
        p99: None,
        oldest: None,
        clock: Clock::default(),
        next_in: None,
        forecast: Vec::new(),
        because: vec![
            format!(
                "{used} of the {size} local ports from {from} to {to} are used up: {timewaits} by TIME_WAITs of 60 s each, {open} by connections"
            ),
            format!("net.ipv4.ip_local_port_range is {low} {high}"),
            "HAProxy closes first towards this server, so the TIME_WAIT is on its side".to_owned(),
        ],
        fix,
        sockets: Vec::new(),
    }
}
