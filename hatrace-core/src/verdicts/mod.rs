//! The verdicts: what is wrong, whose doing it is, which clock is running, what frees the sockets.
//!
//! A rule a file. Some claim sockets, one by one and in order, so that each is under one verdict at most; they are judged by whom they wait
//! for. Others look at everything at once: at what is idle, at limits, at how things come and go. A state alone blames nobody: its side, its
//! pair, how long it has been silent and what others did meanwhile count. Whoever isn't sure says so.

mod accept_queue;
mod connect_unanswered;
mod finding;
mod fixes;
mod group;
mod half_closed_pair;
mod harmless;
mod leak_growth;
mod no_timeout;
mod old_worker_pinned;
mod orphan_flood;
mod path_drops_fin;
mod peer_never_closes;
mod periodic;
mod rule;
mod scene;
mod self_loop;
mod server_port_exhaustion;
mod slow_reader;
mod unexplained;
mod unread_fin;
mod unreaped_preconnect;
mod wording;
mod zombie_session;

use std::collections::BTreeMap;

pub use finding::{Confidence, Finding, Fix, Forecast, Prefix, Responsible, Verdict, Whom};
pub use group::By;
pub(crate) use scene::{SURE, Scene};

use crate::clock::Clock;
use crate::snapshot::Lingering;
use crate::sock::Side;
use crate::time::sum;
use crate::tolls::Party;
use group::{Group, gather};
use rule::Rule;

/// The rules that claim sockets, in the order in which they are asked. What explains a socket most closely comes first; who finds no
/// explanation comes last.
const RULES: [&Rule; 10] = [
    &accept_queue::RULE,
    &self_loop::RULE,
    &connect_unanswered::RULE,
    &slow_reader::RULE,
    &path_drops_fin::RULE,
    &harmless::RULE,
    &peer_never_closes::RULE,
    &half_closed_pair::RULE,
    &unread_fin::RULE,
    &unexplained::RULE,
];

/// The rules that look at everything at once.
const SURVEYORS: [fn(&Scene<'_>) -> Vec<Finding>; 9] = [
    accept_queue::findings,
    no_timeout::findings,
    zombie_session::findings,
    unreaped_preconnect::findings,
    old_worker_pinned::findings,
    server_port_exhaustion::findings,
    orphan_flood::findings,
    leak_growth::findings,
    periodic::findings,
];

/// Every finding, those that cost most first.
pub(crate) fn judge(scene: &Scene<'_>, by: By) -> Vec<Finding> {
    let mut findings: Vec<Finding> = gather(claimed(scene), by)
        .iter()
        .filter_map(|group| conclude(group, scene))
        .collect();
    findings.extend(SURVEYORS.iter().flat_map(|rule| rule(scene)));
    rank(&mut findings);
    findings
}

/// Those that accuse and cost most first.
pub(crate) fn rank(findings: &mut [Finding]) {
    findings.sort_by(|one, other| {
        (other.accuses(), other.socket_seconds, other.open)
            .cmp(&(one.accuses(), one.socket_seconds, one.open))
            .then_with(|| (one.verdict, &one.whom, &one.host).cmp(&(other.verdict, &other.whom, &other.host)))
    });
}

/// Each socket to the first rule that claims it, by whom it waits for.
fn claimed<'a>(scene: &'a Scene<'_>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<(usize, Party), Group<'a>> = BTreeMap::new();
    for row in scene.rows {
        let subject = scene.subject(row);
        let claim = RULES
            .iter()
            .enumerate()
            .find_map(|(index, rule)| Some((index, (rule.claim)(subject, scene)?)));
        let Some((index, party)) = claim else { continue };
        let Some(rule) = RULES.get(index) else { continue };
        let group = groups
            .entry((index, party.clone()))
            .or_insert_with(|| Group::new(rule.verdict, &party));
        if subject.cookie == row.cookie {
            group.subjects.push(row);
        } else {
            group.pinned.push(row);
        }
    }
    for (index, rule) in RULES.iter().enumerate() {
        let Some(ended) = rule.ended else { continue };
        let over = scene.tolls.of(ended.awaited);
        for (party, toll) in over.filter(|(party, _)| (ended.mine)(party, scene)) {
            let same = |(own, other): &(usize, Party)| *own == index && other.is_or_was(party);
            match groups.iter_mut().find(|(key, _)| same(key)) {
                Some((_, group)) => group.toll.merge(toll),
                None if scene.is_telling(toll) => {
                    let mut group = Group::new(rule.verdict, party);
                    group.toll.merge(toll);
                    groups.insert((index, party.clone()), group);
                }
                None => {}
            }
        }
    }
    groups.into_values().collect()
}

fn conclude(group: &Group<'_>, scene: &Scene<'_>) -> Option<Finding> {
    let rule = RULES.iter().find(|rule| rule.verdict == group.verdict)?;
    let judgement = (rule.conclude)(group, scene);
    let ages = group.ages();
    let mut sockets: Vec<&Lingering> = group.subjects.iter().chain(&group.pinned).copied().collect();
    sockets.sort_by_key(|row| (std::cmp::Reverse(row.age.at_least), row.cookie));
    let whom = judgement.whom.unwrap_or_else(|| group.whom.clone());
    Some(Finding {
        host: None,
        also_on: Vec::new(),
        verdict: group.verdict,
        known_as: known_as(group, &whom, scene),
        whom,
        proxy: group.proxy.clone(),
        server: group.server.clone(),
        side: group.side,
        state: group
            .subjects
            .first()
            .or(group.pinned.first())
            .map(|row| row.state)
            .or_else(|| waited_in(rule)),
        responsible: judgement.responsible,
        confidence: judgement.confidence,
        open: group.subjects.len() as u64,
        ended: group.toll.ended,
        pinned: group.pinned.len() as u64,
        socket_seconds: sum(ages.iter().copied()).saturating_add(group.toll.seconds),
        p99: group.toll.p99(&ages),
        oldest: ages.iter().max().copied(),
        clock: clock_of(group),
        next_in: None,
        forecast: Vec::new(),
        because: judgement.because,
        fix: judgement.fix,
        sockets: sockets.iter().map(|row| row.cookie).collect(),
    })
}

/// The state that a rule's sockets wait in, where none is left to show it.
fn waited_in(rule: &Rule) -> Option<crate::tcp::TcpState> {
    use crate::tcp::TcpState::{FinWait1, FinWait2, SynSent};
    use crate::tolls::Awaited;
    Some(match rule.ended?.awaited {
        Awaited::Fin => FinWait2,
        Awaited::Ack => FinWait1,
        Awaited::Connection => SynSent,
    })
}

/// The clock of most of a group's sockets; of those, the one that fires first.
fn clock_of(group: &Group<'_>) -> Clock {
    let mut names: BTreeMap<_, usize> = BTreeMap::new();
    for row in &group.subjects {
        *names.entry(row.clock.name).or_default() += 1;
    }
    let most = names
        .iter()
        .max_by_key(|(_, count)| **count)
        .map(|(name, _)| *name);
    group
        .subjects
        .iter()
        .filter(|row| Some(row.clock.name) == most)
        .min_by_key(|row| row.clock.fires_in.unwrap_or(std::time::Duration::MAX))
        .map_or_else(Clock::default, |row| row.clock.clone())
}

/// What an address is beside a peer: a configured server, a process of this host, HAProxy itself.
fn known_as(group: &Group<'_>, whom: &Whom, scene: &Scene<'_>) -> Option<String> {
    let Whom::Address(address) = whom else { return None };
    if let Some(neighbour) = group.subjects.iter().find_map(|row| scene.neighbour(row.cookie)) {
        return Some(format!("{} ({}) on this host", neighbour.name, neighbour.pid));
    }
    if group.subjects.iter().any(|row| scene.mirror(row).is_some()) {
        return Some("HAProxy itself".to_owned());
    }
    if group.side == Side::Server {
        return None;
    }
    let server = scene
        .configured
        .values()
        .flat_map(|configuration| &configuration.proxies)
        .flat_map(|proxy| proxy.servers.iter().map(move |server| (proxy, server)))
        .find(|(_, server)| {
            server
                .address
                .is_some_and(|at| at.ip() == *address && !address.is_loopback())
        })?;
    Some(format!("also server {}/{}", server.0.name, server.1.name))
}
