//! Evidence in words that several rules share.

use std::time::Duration;

use super::group::Group;
use super::scene::Scene;
use crate::clock::{Clock, ClockName, ClockSource};
use crate::snapshot::Lingering;
use crate::units;

/// `1 socket`, `3 sockets`.
#[must_use]
pub fn count(count: usize, one: &str, more: &str) -> String {
    let word = if count == 1 { one } else { more };
    format!("{count} {word}")
}

/// `for 12.3s`, `for 12.3s to 41.0s`.
#[must_use]
pub fn for_as_long(spans: impl Iterator<Item = Duration> + Clone) -> String {
    let least = spans.clone().min().unwrap_or_default();
    let most = spans.max().unwrap_or_default();
    let (least, most) = (units::words(least), units::words(most));
    if least == most {
        format!("for {least}")
    } else {
        format!("for {least} to {most}")
    }
}

/// What ends these sockets, or that nothing does.
#[must_use]
pub fn clocks(group: &Group<'_>) -> Option<String> {
    let rows = || group.subjects.iter();
    let all = rows().count();
    let none = rows().filter(|row| row.clock.name == ClockName::None).count();
    if none > 0 {
        let which = if none == all {
            "them".to_owned()
        } else {
            format!("{none} of them")
        };
        return Some(format!("no clock will end {which}: HAProxy has no timer running"));
    }
    let soonest = rows()
        .filter(|row| row.clock.ends())
        .min_by_key(|row| row.clock.fires_in.unwrap_or(Duration::MAX))?;
    Some(clock(&soonest.clock, all))
}

fn clock(clock: &Clock, of: usize) -> String {
    let name = clock.name.name().unwrap_or("a clock");
    let mut words = match clock.length {
        Some(length) => format!("{name} {}", units::round(length)),
        None => name.to_owned(),
    };
    if let ClockSource::Line(place) = &clock.source {
        words.push_str(&format!(" ({place})"));
    }
    words.push_str(if of == 1 { " ends it" } else { " ends each" });
    if let Some(left) = clock.fires_in {
        let which = if of == 1 { "" } else { "the first " };
        words.push_str(&format!(", {which}in {}", units::words(left)));
    }
    if !clock.certain {
        words.push_str("; that name is not certain");
    }
    words
}

/// Waits of the same kind that are over.
#[must_use]
pub fn ended(group: &Group<'_>) -> Option<String> {
    let toll = &group.toll;
    if toll.ended == 0 {
        return None;
    }
    let more = if group.subjects.is_empty() { "" } else { " more" };
    let by_peer = match toll.by_peer {
        0 => "none by the peer".to_owned(),
        all if all == toll.ended => "by the peer, late".to_owned(),
        some => format!("{some} of them by the peer, late"),
    };
    Some(format!(
        "{}{more} ended after up to {}, {by_peer}",
        toll.ended,
        units::words(toll.longest)
    ))
}

/// Why a configured timeout may not be what it seems.
#[must_use]
pub fn doubts(group: &Group<'_>, scene: &Scene<'_>) -> Option<String> {
    let row: &Lingering = group.subjects.first()?;
    let configuration = scene.configuration(row)?;
    let doubt = configuration.doubts.first()?;
    configuration
        .is_stale()
        .then(|| format!("{doubt}: names of timeouts are not certain"))
}
