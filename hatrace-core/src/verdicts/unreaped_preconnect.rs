//! Connections that never sent a byte and are not ended: browsers open them ahead, probers forget them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::finding::{Confidence, Finding, Responsible, Verdict, Whom};
use super::scene::{HABIT, Scene};
use super::{fixes, wording};
use crate::clock::Clock;
use crate::config::{Limit, Proxy, ProxyMode, TimeoutKind};
use crate::sock::Side;
use crate::stream::Name;
use crate::survey::Standing;
use crate::tcp::TcpState;
use crate::time::sum;

/// A first request takes its time; after this it should have come, by the guides' values for `timeout http-request`.
const ENOUGH: Duration = Duration::from_secs(20);
/// `timeout client` above this reaps nobody in time where `timeout http-request` is missing.
const LONG: Duration = Duration::from_secs(120);

/// One for each frontend in HTTP mode.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let mut by_frontend: BTreeMap<Name, Vec<(&Standing, Duration)>> = BTreeMap::new();
    for standing in scene.standings() {
        let held = &standing.held;
        let mute =
            held.state == TcpState::Established && held.side == Side::Client && standing.received == Some(0);
        let Some(idle) = standing.idle.filter(|idle| mute && *idle >= ENOUGH) else {
            continue;
        };
        if let Some(frontend) = scene
            .frontend_of(held)
            .filter(|frontend| unreaped(frontend, idle))
        {
            by_frontend
                .entry(frontend.name.clone())
                .or_default()
                .push((standing, idle));
        }
    }
    by_frontend
        .into_iter()
        .filter(|(_, mute)| mute.len() >= HABIT)
        .filter_map(|(name, mute)| finding(&name, &mute, scene))
        .collect()
}

/// Whether the configuration leaves it be: nothing is set that would have ended it, or not for long.
fn unreaped(frontend: &Proxy, idle: Duration) -> bool {
    let set = |kind| frontend.timeout(kind).map(|set| set.value);
    let reaping = set(TimeoutKind::HttpRequest).or(set(TimeoutKind::Client));
    frontend.mode.value == ProxyMode::Http
        && match reaping {
            Some(Limit::After(length)) => length >= LONG || idle > length + ENOUGH,
            Some(Limit::Never) | None => true,
        }
}

fn finding(name: &Name, mute: &[(&Standing, Duration)], scene: &Scene<'_>) -> Option<Finding> {
    let frontend = scene.named(Side::Client, name)?;
    let idles = || mute.iter().map(|(_, idle)| *idle);
    let addresses: BTreeSet<_> = mute
        .iter()
        .map(|(standing, _)| standing.held.endpoints.peer.ip())
        .collect();
    let set = |kind: TimeoutKind| match frontend.timeout(kind) {
        Some(set) => format!("{} is set at {}", kind.name(), set.place),
        None => format!("{} is not set", kind.name()),
    };
    Some(Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::UnreapedPreconnect,
        whom: Whom::Haproxy(None),
        known_as: None,
        proxy: Some(name.clone()),
        server: None,
        side: Side::Client,
        state: Some(TcpState::Established),
        responsible: Responsible::Haproxy,
        confidence: if scene.is_stale() {
            Confidence::Likely
        } else {
            Confidence::Certain
        },
        open: mute.len() as u64,
        ended: 0,
        pinned: 0,
        socket_seconds: sum(idles()),
        p99: None,
        oldest: idles().max(),
        clock: Clock::default(),
        next_in: None,
        forecast: Vec::new(),
        because: vec![
            format!(
                "{} of {} never sent a byte {} and take a slot of maxconn each",
                wording::count(mute.len(), "connection", "connections"),
                wording::count(addresses.len(), "address has", "addresses have"),
                wording::for_as_long(idles())
            ),
            format!(
                "in {} ({}) {}, {}",
                frontend.section(),
                frontend.place,
                set(TimeoutKind::HttpRequest),
                set(TimeoutKind::Client)
            ),
        ],
        fix: [
            fixes::timeout(frontend, TimeoutKind::HttpRequest, "10s"),
            fixes::timeout(frontend, TimeoutKind::HttpKeepAlive, "10s"),
        ]
        .into_iter()
        // Once they are ended, each would be logged as an error (408, cR).
        .chain((!frontend.has("http-ignore-probes")).then(|| fixes::option(frontend, "http-ignore-probes")))
        .collect(),
        sockets: mute.iter().map(|(standing, _)| standing.held.cookie).collect(),
    })
}
