//! What one peer leaves open rises steadily: when it will reach what HAProxy allows.

use std::time::Duration;

use super::finding::{Confidence, Finding, Responsible, Verdict, Whom};
use super::scene::Scene;
use crate::clock::Clock;
use crate::onsets::Course;
use crate::sock::Side;
use crate::units;

/// What counts as a rise: so many more, over so long, with next to none that went away.
const MORE: u64 = 8;
const LONG: Duration = Duration::from_secs(10);

/// One for each peer.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    scene
        .courses()
        .filter_map(|((side, address), course)| finding(scene, *side, *address, course))
        .collect()
}

fn finding(scene: &Scene<'_>, side: Side, address: std::net::IpAddr, course: &Course) -> Option<Finding> {
    let rise = course.rise(scene.now)?;
    if rise.more < MORE || rise.over < LONG || rise.gone * 10 > rise.begun {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of sockets")]
    let a_minute = rise.more as f64 / rise.over.as_secs_f64() * 60.0;
    let row = scene
        .rows
        .iter()
        .find(|row| row.side == side && row.endpoints.is_some_and(|ends| ends.peer.ip() == address))?;
    let mut because = vec![format!(
        "{} more than {} ago, and {} gone: {a_minute:.0} more each minute",
        rise.more,
        units::words(rise.over),
        rise.gone
    )];
    if let Some((limit, used, name)) = scene.limit(row) {
        let left = limit.saturating_sub(used);
        #[expect(clippy::cast_precision_loss, reason = "counts of sockets")]
        let seconds = left as f64 / a_minute * 60.0;
        because.push(format!(
            "{used} of the {limit} connections of {name} are in use: full in {} at this rate",
            units::words(Duration::from_secs_f64(seconds.min(1e9)))
        ));
    }
    Some(Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::LeakGrowth,
        whom: Whom::Address(address),
        known_as: None,
        proxy: row.naming.proxy.clone(),
        server: row.naming.server.clone().filter(|_| side == Side::Server),
        side,
        state: Some(row.state),
        responsible: Responsible::behind(side),
        confidence: if rise.gone == 0 && rise.over >= LONG * 2 {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
        open: course.open,
        ended: 0,
        pinned: 0,
        socket_seconds: Duration::ZERO,
        p99: None,
        oldest: None,
        clock: Clock::default(),
        next_in: None,
        because,
        fix: Vec::new(),
        sockets: Vec::new(),
    })
}
