//! Nothing will ever end it: no timeout is set where one would have to be, or one so long that it doesn't count.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::{Confidence, Finding, Fix, Responsible, Verdict, Whom};
use super::scene::{SURE, Scene};
use super::{fixes, wording};
use crate::clock::{Clock, ClockName, ClockSource};
use crate::config::{Limit, Proxy, ProxyMode, TimeoutKind};
use crate::snapshot::Lingering;
use crate::sock::{Holder, Side};
use crate::stream::Name;
use crate::survey::Standing;
use crate::tcp::TcpState;
use crate::time::sum;

/// A timeout from here on bounds nothing: nobody waits for it.
const ABSURD: Duration = Duration::from_secs(6 * 3600);
/// An established connection is only held against the configuration when it has been idle for so long.
const IDLE: Duration = Duration::from_secs(30);

/// A frontend or backend, and on which side.
type Place = (Side, Name);

/// What nothing ends, by proxy.
#[derive(Default)]
struct Endless<'a> {
    rows: Vec<&'a Lingering>,
    standing: Vec<(&'a Standing, Duration)>,
}

/// One finding for each frontend or backend.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let mut endless: BTreeMap<Place, Endless<'_>> = BTreeMap::new();
    for row in scene.rows {
        if let Some(place) = lingers_for_ever(row, scene) {
            endless.entry(place).or_default().rows.push(row);
        }
    }
    for standing in scene.standings() {
        if let Some((place, idle)) = stands_for_ever(standing, scene) {
            endless.entry(place).or_default().standing.push((standing, idle));
        }
    }
    endless
        .into_iter()
        .flat_map(|((side, name), endless)| {
            // What lingers is somebody's already: of that this is a remark. What stands idle is nobody's but the configuration's.
            let Endless { rows, standing } = endless;
            let lingering = Endless {
                rows,
                standing: Vec::new(),
            };
            let idle = Endless {
                rows: Vec::new(),
                standing,
            };
            [lingering, idle].map(|part| finding(side, &name, &part, scene))
        })
        .flatten()
        .collect()
}

fn lingers_for_ever(row: &Lingering, scene: &Scene<'_>) -> Option<Place> {
    let held = row.holder == Holder::Held && matches!(row.side, Side::Client | Side::Server);
    let none = row.clock.name == ClockName::None;
    let absurd = matches!(row.clock.name, ClockName::Timeout(_))
        && row.clock.fires_in.is_some_and(|left| left >= ABSURD);
    let mine = held && (none || absurd) && scene.silence(row) >= SURE && row.state != TcpState::CloseWait;
    mine.then(|| Some((row.side, row.naming.proxy.clone()?)))
        .flatten()
}

/// A connection at rest whose proxy has nothing that would ever end it.
fn stands_for_ever(standing: &Standing, scene: &Scene<'_>) -> Option<(Place, Duration)> {
    let held = &standing.held;
    let idle = standing.idle.filter(|idle| *idle >= IDLE)?;
    if held.state != TcpState::Established || held.side != Side::Client {
        return None;
    }
    let frontend = scene.frontend_of(held)?;
    // One that never sent a request is another rule's business.
    if frontend.mode.value == ProxyMode::Http && standing.received == Some(0) {
        return None;
    }
    if bounded(frontend, scene) {
        return None;
    }
    Some(((Side::Client, frontend.name.clone()), idle))
}

/// Whether something bounds an idle connection of this frontend: a timeout of its own, or in TCP mode any of a backend it may have gone to.
fn bounded(frontend: &Proxy, scene: &Scene<'_>) -> bool {
    let short = |proxy: &Proxy, kind: TimeoutKind| {
        proxy
            .timeout(kind)
            .is_some_and(|set| matches!(set.value, Limit::After(length) if length < ABSURD))
    };
    let of_frontend = [
        TimeoutKind::Client,
        TimeoutKind::HttpKeepAlive,
        TimeoutKind::HttpRequest,
    ];
    if of_frontend.into_iter().any(|kind| short(frontend, kind)) {
        return true;
    }
    let backends = scene.backends_of(frontend);
    backends.iter().any(|backend| {
        [TimeoutKind::Tunnel, TimeoutKind::Server]
            .into_iter()
            .any(|kind| short(backend, kind))
    })
}

fn finding(side: Side, name: &Name, endless: &Endless<'_>, scene: &Scene<'_>) -> Option<Finding> {
    let proxy = endless
        .rows
        .first()
        .and_then(|row| scene.proxy(row))
        .or_else(|| scene.named(side, name));
    let (open, standing) = (endless.rows.len(), endless.standing.len());
    let ages = || {
        let lingering = endless.rows.iter().map(|row| row.age.at_least);
        lingering.chain(endless.standing.iter().map(|(_, idle)| *idle))
    };
    let oldest = ages().max()?;
    let mut because = Vec::new();
    if open > 0 {
        because.push(format!(
            "no clock ends {} in reasonable time: neither the kernel's nor HAProxy's",
            wording::count(open, "half-closed connection", "half-closed connections")
        ));
    }
    if standing > 0 {
        because.push(format!(
            "{} idle {} and nothing will end {}",
            wording::count(
                standing,
                "established connection has been",
                "established connections have been"
            ),
            wording::for_as_long(endless.standing.iter().map(|(_, idle)| *idle)),
            if standing == 1 { "it" } else { "them" }
        ));
    }
    because.extend(proxy.map(|proxy| what_is_set(proxy, side)));
    because.extend(scene.stale());
    let fix = proxy.map_or_else(
        || vec![Fix::Do(format!("set the timeouts of {name}"))],
        |proxy| missing(proxy, side),
    );
    Some(Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::NoTimeout,
        whom: Whom::Haproxy(None),
        known_as: None,
        proxy: Some(name.clone()),
        server: None,
        side,
        state: endless
            .rows
            .first()
            .map(|row| row.state)
            .or(Some(TcpState::Established)),
        responsible: Responsible::Haproxy,
        confidence: if scene.is_stale() {
            Confidence::Likely
        } else {
            Confidence::Certain
        },
        open: (open + standing) as u64,
        ended: 0,
        pinned: 0,
        socket_seconds: sum(ages()),
        p99: None,
        oldest: Some(oldest),
        clock: Clock {
            source: proxy.map_or(ClockSource::Told, |proxy| ClockSource::Line(proxy.place.clone())),
            ..endless
                .rows
                .first()
                .map_or_else(Clock::never, |row| row.clock.clone())
        },
        next_in: None,
        forecast: Vec::new(),
        because,
        fix,
        // What lingers is under the verdict of whom it waits for; what doesn't is under none but this.
        sockets: endless
            .standing
            .iter()
            .map(|(standing, _)| standing.held.cookie)
            .collect(),
    })
}

/// The timeouts that matter here, as they are.
fn what_is_set(proxy: &Proxy, side: Side) -> String {
    let kinds = match side {
        Side::Server => [TimeoutKind::ServerFin, TimeoutKind::Tunnel, TimeoutKind::Server],
        _ => [TimeoutKind::ClientFin, TimeoutKind::Tunnel, TimeoutKind::Client],
    };
    let words: Vec<String> = kinds
        .into_iter()
        .filter(|kind| *kind != TimeoutKind::Tunnel || proxy.kind.connects())
        .map(|kind| match proxy.timeout(kind) {
            None => format!("{} is not set", kind.name()),
            Some(set) => match set.value {
                Limit::Never => format!("{} 0 means never ({})", kind.name(), set.place),
                Limit::After(length) => format!(
                    "{} is {} ({})",
                    kind.name(),
                    crate::units::round(length),
                    set.place
                ),
            },
        })
        .collect();
    format!("in {} ({}) {}", proxy.section(), proxy.place, words.join(", "))
}

fn missing(proxy: &Proxy, side: Side) -> Vec<Fix> {
    let useless = |kind: TimeoutKind| {
        proxy
            .timeout(kind)
            .is_none_or(|set| !matches!(set.value, Limit::After(length) if length < ABSURD))
    };
    let tcp = proxy.mode.value != ProxyMode::Http;
    let wanted: &[(TimeoutKind, &str)] = match side {
        Side::Server => &[
            (TimeoutKind::ServerFin, "30s"),
            (TimeoutKind::Server, "1m"),
            (TimeoutKind::Tunnel, "1h"),
        ],
        _ => &[(TimeoutKind::ClientFin, "30s"), (TimeoutKind::Client, "1m")],
    };
    wanted
        .iter()
        .filter(|(kind, _)| useless(*kind) && (tcp || *kind != TimeoutKind::Tunnel))
        .map(|(kind, value)| fixes::timeout(proxy, *kind, value))
        .collect()
}
