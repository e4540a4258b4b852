//! Sockets begin to linger in waves of a steady period: a prober, a batch job, a restart.

use super::finding::{Confidence, Finding, Responsible, Verdict, Whom};
use super::scene::Scene;
use crate::clock::Clock;
use crate::onsets::Waves;
use crate::units;

/// One for each peer whose sockets come in waves.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    scene
        .courses()
        .filter_map(|((side, address), course)| {
            let waves = course.waves()?;
            let row = scene
                .rows
                .iter()
                .find(|row| row.side == *side && row.endpoints.is_some_and(|ends| ends.peer.ip() == *address));
            let next = next(&waves, scene);
            Some(Finding {
                host: None,
                also_on: Vec::new(),
                verdict: Verdict::Periodic,
                whom: Whom::Address(*address),
                known_as: None,
                proxy: row.and_then(|row| row.naming.proxy.clone()),
                server: None,
                side: *side,
                state: row.map(|row| row.state),
                responsible: Responsible::behind(*side),
                confidence: if waves.count >= 6 {
                    Confidence::Certain
                } else {
                    Confidence::Likely
                },
                open: course.trend.open,
                ended: 0,
                pinned: 0,
                socket_seconds: std::time::Duration::ZERO,
                p99: None,
                oldest: None,
                clock: Clock::default(),
                next_in: Some(next),
                forecast: Vec::new(),
                because: vec![format!(
                    "its sockets begin to linger in waves, {} of about {} so far, every {} (± {}); the next in {}",
                    waves.count,
                    waves.size,
                    units::words(waves.period),
                    units::words(waves.jitter),
                    units::words(next)
                )],
                fix: Vec::new(),
                sockets: Vec::new(),
            })
        })
        .collect()
}

fn next(waves: &Waves, scene: &Scene<'_>) -> std::time::Duration {
    let mut at = waves.last.plus(waves.period);
    for _ in 0..1000 {
        if at > scene.now {
            break;
        }
        at = at.plus(waves.period);
    }
    at.since(scene.now)
}
