//! A descriptor that HAProxy has open while its connection is gone: `ss` shows nothing, `lsof` says "protocol: TCP".

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::{Confidence, Finding, Fix, Responsible, Verdict, Whom};
use super::scene::Scene;
use super::wording;
use crate::clock::Clock;
use crate::ids::Pid;
use crate::sock::Side;
use crate::survey::Standing;
use crate::tcp::TcpState;
use crate::time::sum;

/// A socket is closed for a moment before it is connected, and before HAProxy closes its descriptor.
const LASTING: Duration = Duration::from_secs(3);

/// One for each process.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let mut by_process: BTreeMap<Pid, Vec<(&Standing, Duration)>> = BTreeMap::new();
    for (standing, since) in scene.closed() {
        let age = scene.now.since(since);
        if age >= LASTING {
            by_process
                .entry(standing.held.pid)
                .or_default()
                .push((standing, age));
        }
    }
    by_process
        .into_iter()
        .map(|(pid, zombies)| finding(pid, &zombies))
        .collect()
}

fn finding(pid: Pid, zombies: &[(&Standing, Duration)]) -> Finding {
    let ages = || zombies.iter().map(|(_, age)| *age);
    let fds: Vec<String> = zombies
        .iter()
        .take(5)
        .map(|(standing, _)| standing.held.fd.0.to_string())
        .collect();
    Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::ZombieSession,
        whom: Whom::Haproxy(Some(pid)),
        known_as: None,
        proxy: None,
        server: None,
        side: zombies.first().map_or(Side::Unknown, |(standing, _)| standing.held.side),
        state: Some(TcpState::Close),
        responsible: Responsible::Haproxy,
        confidence: Confidence::Certain,
        open: zombies.len() as u64,
        ended: 0,
        pinned: 0,
        socket_seconds: sum(ages()),
        p99: None,
        oldest: ages().max(),
        clock: Clock::default(),
        next_in: None,
        forecast: Vec::new(),
        because: vec![
            format!(
                "{} open in process {pid} (fd {}{}) whose connection the kernel has ended, {}, by two looks",
                wording::count(zombies.len(), "descriptor is", "descriptors are"),
                fds.join(", "),
                if zombies.len() > fds.len() { ", ..." } else { "" },
                wording::for_as_long(ages())
            ),
            "HAProxy doesn't poll them any more, or has lost them: its bug, or a forced end (`ss -K`) on the side that it doesn't poll".to_owned(),
        ],
        fix: vec![
            Fix::Do("reload HAProxy; hard-stop-after bounds the old worker".to_owned()),
            Fix::Do("compare `show fd` of these descriptors with HAProxy's known bugs, and update it".to_owned()),
        ],
        sockets: zombies.iter().map(|(standing, _)| standing.held.cookie).collect(),
    }
}
