//! What is left open rises steadily: whose it is, and when it will reach what HAProxy allows.

use std::time::Duration;

use super::finding::{Confidence, Finding, Forecast, Responsible, Verdict, Whom};
use super::scene::{Limited, Scene};
use crate::clock::{Clock, ClockName};
use crate::config::Proxy;
use crate::snapshot::Lingering;
use crate::sock::Side;
use crate::stream::Name;
use crate::trend::{Rise, Trend};
use crate::units;

/// From so long on a rise of which nothing has gone is beyond doubt.
const LONG: Duration = Duration::from_secs(20);

/// One for each peer; and for each frontend whose rise is no single peer's.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = scene
        .courses()
        .filter_map(|((side, address), course)| {
            let rise = course.trend.rise(scene.now)?;
            let row = scene.rows.iter().find(|row| {
                row.side == *side && row.endpoints.is_some_and(|ends| ends.peer.ip() == *address)
            })?;
            Some(finding(
                scene,
                Whom::Address(*address),
                row,
                &rise,
                course.trend.open,
            ))
        })
        .collect();
    for (name, trend) in scene.frontends() {
        let known = findings
            .iter()
            .any(|finding| finding.side == Side::Client && finding.proxy.as_ref() == Some(name));
        if !known && let Some(finding) = of_frontend(scene, name, trend) {
            findings.push(finding);
        }
    }
    findings
}

/// Many peers leave a few each.
fn of_frontend(scene: &Scene<'_>, name: &Name, trend: &Trend) -> Option<Finding> {
    let rise = trend.rise(scene.now)?;
    let own = || {
        scene
            .rows
            .iter()
            .filter(|row| row.side == Side::Client && row.naming.proxy.as_ref() == Some(name))
    };
    let peers: std::collections::BTreeSet<_> =
        own().filter_map(|row| Some(row.endpoints?.peer.ip())).collect();
    // What stays on the clients' side because a server doesn't close is that server's.
    let waits = own()
        .filter(|row| row.state != crate::tcp::TcpState::CloseWait)
        .count();
    if waits * 2 < own().count() {
        return None;
    }
    Some(finding(
        scene,
        Whom::Many(peers.len() as u64),
        own().next()?,
        &rise,
        trend.open,
    ))
}

fn finding(scene: &Scene<'_>, whom: Whom, row: &Lingering, rise: &Rise, open: u64) -> Finding {
    let mut because = vec![format!(
        "{} more than {} ago, and {} gone: {:.0} more each minute",
        rise.more,
        units::words(rise.over),
        rise.gone,
        rise.rate * 60.0
    )];
    let forecast = forecasts(scene, row, rise, &mut because);
    Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::LeakGrowth,
        whom,
        known_as: None,
        proxy: row.naming.proxy.clone(),
        server: row.naming.server.clone().filter(|_| row.side == Side::Server),
        side: row.side,
        state: Some(row.state),
        responsible: Responsible::behind(row.side),
        confidence: if rise.gone == 0 && rise.over >= LONG {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
        open,
        ended: 0,
        pinned: 0,
        socket_seconds: Duration::ZERO,
        p99: None,
        oldest: None,
        clock: Clock::default(),
        next_in: None,
        forecast,
        because,
        fix: Vec::new(),
        sockets: Vec::new(),
    }
}

/// Which limits will be reached, and when: those of the frontend and of the process, at the rate at which all that is left open there
/// rises.
fn forecasts(scene: &Scene<'_>, row: &Lingering, rise: &Rise, because: &mut Vec<String>) -> Vec<Forecast> {
    let global = scene
        .configuration(row)
        .map(|configuration| &configuration.global);
    let mut forecasts: Vec<Forecast> = Vec::new();
    for limited in scene.limits(scene.frontend(row), global) {
        // What one peer leaves is a part of it; what others take away again counts as well.
        let name = limited.frontend.map(|proxy| &*proxy.name);
        let whole = scene.clients_of(name).and_then(|trend| trend.rise(scene.now));
        let rise = whole.as_ref().unwrap_or(rise);
        match level(row, rise, &limited) {
            Some(words) => because.push(words),
            None => forecasts.extend(forecast(rise, &limited)),
        }
    }
    forecasts.sort_by_key(|forecast| forecast.full_in);
    because.extend(forecasts.iter().map(words));
    forecasts
}

/// Where a clock ends each of them before that, it levels off.
fn level(row: &Lingering, rise: &Rise, limited: &Limited<'_>) -> Option<String> {
    let length = row
        .clock
        .length
        .filter(|_| row.clock.certain && row.clock.name != ClockName::None)?;
    let left = limited.maxconn.value.saturating_sub(limited.used);
    #[expect(clippy::cast_precision_loss, reason = "a count of sockets")]
    let until = left as f64 / rise.rate;
    (until > length.as_secs_f64()).then(|| {
        format!(
            "{} of the {} connections of {} are in use: no more than about {:.0} of these at the same time, as {} ends each after {}",
            limited.used,
            limited.maxconn.value,
            whose(limited.frontend),
            rise.rate * length.as_secs_f64(),
            row.clock.name.name().unwrap_or("a timeout"),
            units::round(length)
        )
    })
}

fn forecast(rise: &Rise, limited: &Limited<'_>) -> Option<Forecast> {
    let left = limited.maxconn.value.saturating_sub(limited.used);
    let (slow, fast) = rise.bounds();
    #[expect(clippy::cast_precision_loss, reason = "a count of sockets")]
    let at = |rate: f64| Duration::try_from_secs_f64(left as f64 / rate).ok();
    // Beyond a year nobody foresees anything.
    const FAR: Duration = Duration::from_secs(365 * 86_400);
    Some(Forecast {
        of: whose(limited.frontend),
        place: limited.maxconn.place.clone(),
        limit: limited.maxconn.value,
        used: limited.used,
        rate: rise.rate,
        full_in: at(rise.rate).filter(|full| *full < FAR)?,
        soonest: at(fast)?,
        latest: (slow > 0.0)
            .then(|| at(slow))
            .flatten()
            .filter(|latest| *latest < FAR),
    })
}

fn whose(frontend: Option<&Proxy>) -> String {
    frontend.map_or_else(|| "global".to_owned(), Proxy::section)
}

fn words(forecast: &Forecast) -> String {
    let bounds = match forecast.latest {
        Some(latest) => format!("{} to {}", units::words(forecast.soonest), units::words(latest)),
        None => format!("not before {}", units::words(forecast.soonest)),
    };
    format!(
        "{} of the {} connections of {} ({}) are in use: full in {} at this rate ({bounds})",
        forecast.used,
        forecast.limit,
        forecast.of,
        forecast.place,
        units::words(forecast.full_in),
    )
}
