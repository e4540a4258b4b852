//! Several hosts, or several processes of one, as one: each was followed by an engine of its own, what they say is put together.
//!
//! Nothing is judged anew: a finding rests on the evidence of one host. What is shared between them is said beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::dwell::Dwells;
use crate::naming::Without;
use crate::snapshot::{Dwell, Notice, Snapshot, Spike, Totals};
use crate::sock::{BySide, Side};
use crate::stream::Name;
use crate::tcp::TcpState;
use crate::verdicts::{Finding, rank};

/// One of those that are put together.
#[derive(Clone, Debug)]
pub struct Part {
    /// The host.
    pub host: Name,
    /// What was said of it.
    pub snapshot: Snapshot,
    /// A later one is of the same processes: what lingered at the end of this one is no news, and only what ended counts.
    pub past: bool,
}

/// All of them as one; `watched`: from the first beginning to the last end. `None`: there are none.
#[must_use]
pub fn merge(parts: Vec<Part>, watched: Duration) -> Option<Snapshot> {
    let mut times = Dwells::default();
    let mut spikes: BTreeMap<(Side, TcpState), Vec<Spike>> = BTreeMap::new();
    let mut whole: Option<Snapshot> = None;
    for part in parts {
        times.add(&part.snapshot.times, !part.past);
        for dwell in &part.snapshot.dwell {
            gather(
                spikes.entry((dwell.side, dwell.state)).or_default(),
                &dwell.spikes,
            );
        }
        let told = stamped(part);
        match &mut whole {
            None => whole = Some(told),
            Some(whole) => append(whole, told),
        }
    }
    let mut whole = whole?;
    whole.watched = watched;
    whole.dwell = rows(&times, &spikes);
    whole.times = times;
    whole
        .lingering
        .sort_by_key(|row| (std::cmp::Reverse(row.age.at_least), row.host.clone(), row.cookie));
    whole.sessions.sort_by_key(|row| {
        (
            std::cmp::Reverse(row.stream.age),
            row.host.clone(),
            row.pid,
            row.stream.ptr,
        )
    });
    whole
        .without_session
        .sort_by_key(|(why, count)| (std::cmp::Reverse(*count), *why));
    also_elsewhere(&mut whole.findings);
    rank(&mut whole.findings);
    Some(whole)
}

/// With its host's name on everything.
fn stamped(part: Part) -> Snapshot {
    let Part {
        host,
        mut snapshot,
        past,
    } = part;
    if past {
        // What was open then is told by the later one, as it is by then.
        snapshot.lingering.clear();
        snapshot.findings.clear();
        snapshot.sessions.clear();
        snapshot.services.clear();
        snapshot.without_session.clear();
        snapshot.asking.clear();
        snapshot.configured.clear();
        snapshot.totals.with_session = 0;
        snapshot.totals.open = BySide::default();
    }
    let name = || Some(host.clone());
    snapshot.lingering.iter_mut().for_each(|row| row.host = name());
    snapshot
        .findings
        .iter_mut()
        .for_each(|finding| finding.host = name());
    snapshot.sessions.iter_mut().for_each(|row| row.host = name());
    snapshot.services.iter_mut().for_each(|row| row.host = name());
    for notice in &mut snapshot.notices {
        notice.text = format!("{host}: {}", notice.text);
    }
    snapshot
}

fn append(whole: &mut Snapshot, more: Snapshot) {
    whole.at = whole.at.max(more.at);
    whole.totals = sum(&whole.totals, &more.totals);
    whole.lingering.extend(more.lingering);
    whole.findings.extend(more.findings);
    whole.sessions.extend(more.sessions);
    whole.services.extend(more.services);
    whole.notices.extend(more.notices);
    whole.ended_processes.extend(more.ended_processes);
    whole.asking.extend(more.asking);
    whole.configured.extend(more.configured);
    let mut reasons: BTreeMap<Without, u64> = whole.without_session.drain(..).collect();
    for (why, count) in more.without_session {
        *reasons.entry(why).or_default() += count;
    }
    whole.without_session = reasons.into_iter().collect();
}

fn sum(one: &Totals, other: &Totals) -> Totals {
    Totals {
        sockets: one.sockets.saturating_add(other.sockets),
        adopted: one.adopted.saturating_add(other.adopted),
        transitions: one.transitions.saturating_add(other.transitions),
        lost: one.lost.saturating_add(other.lost),
        missed_runs: one.missed_runs.saturating_add(other.missed_runs),
        counted: one.counted.plus(&other.counted),
        delivered: one.delivered.plus(&other.delivered),
        seen: one.seen.plus(&other.seen),
        open: one.open.plus(&other.open),
        lost_lives: one.lost_lives.plus(&other.lost_lives),
        evicted: one.evicted.saturating_add(other.evicted),
        with_session: one.with_session.saturating_add(other.with_session),
    }
}

fn rows(times: &Dwells, spikes: &BTreeMap<(Side, TcpState), Vec<Spike>>) -> Vec<Dwell> {
    let mut rows = times.rows();
    for row in &mut rows {
        row.spikes = spikes.get(&(row.side, row.state)).cloned().unwrap_or_default();
    }
    rows
}

/// Spikes of one length are one.
fn gather(into: &mut Vec<Spike>, spikes: &[Spike]) {
    for spike in spikes {
        match into.iter_mut().find(|known| known.at == spike.at) {
            None => into.push(spike.clone()),
            Some(known) => {
                known.count += spike.count;
                for clock in &spike.clocks {
                    if !known.clocks.contains(clock) {
                        known.clocks.push(clock.clone());
                    }
                }
            }
        }
    }
    into.sort_by_key(|spike| spike.at);
}

/// Who does the same to several hosts: said of each, as it is no coincidence.
fn also_elsewhere(findings: &mut [Finding]) {
    let hosts = |of: &Finding| {
        let same = |other: &&Finding| (other.verdict, &other.whom) == (of.verdict, &of.whom);
        let hosts = findings
            .iter()
            .filter(same)
            .filter_map(|other| other.host.clone());
        hosts
            .filter(|host| of.host.as_ref() != Some(host))
            .collect::<BTreeSet<Name>>()
    };
    let also: Vec<BTreeSet<Name>> = findings
        .iter()
        .map(|finding| match finding.whom.is_outside() && finding.accuses() {
            true => hosts(finding),
            false => BTreeSet::new(),
        })
        .collect();
    for (finding, also) in findings.iter_mut().zip(also) {
        finding.also_on = also.into_iter().collect();
    }
}

/// What putting them together costs in truth, where some are of the same processes.
#[must_use]
pub fn again(host: &str, count: u64) -> Notice {
    Notice {
        code: "recorded-again",
        count,
        text: format!(
            "{host}: {count} of its recordings were followed by another one: what lingers, and who is to blame, is by the last; dwell times are of all, and sockets that several of them saw are counted in each."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Settings};
    use crate::ids::{Cookie, Netns, Pid};
    use crate::input::Input;
    use crate::life::{Life, Step};
    use crate::time::{Mono, Since};
    use crate::verdicts::By;

    fn part(host: &str, cookies: std::ops::Range<u64>, age: u64, past: bool) -> Part {
        let settings = Settings {
            min: Duration::from_secs(1),
            max_lives: 100,
            polled: false,
            exact_timewaits: true,
            by: By::Peer,
            sessions: false,
        };
        let start = Mono::from_ns(1_000_000_000);
        let mut engine = Engine::new(settings, start);
        for cookie in cookies {
            let life = Life {
                cookie: Cookie(cookie),
                side: Side::Client,
                netns: Netns(1),
                pid: Some(Pid(7)),
                connecting_at: None,
                established_at: None,
                closing: Some(Step {
                    state: TcpState::CloseWait,
                    at: Since::Exact(start),
                }),
                second: None,
                orphaned_at: None,
                retransmits: 0,
                reset_sent: false,
                adopted: false,
            };
            engine.handle(start, Input::Open(life));
        }
        Part {
            host: host.into(),
            snapshot: engine.snapshot(start.plus(Duration::from_secs(age))),
            past,
        }
    }

    #[test]
    fn hosts_are_told_apart_and_counted_together() {
        let parts = vec![part("lb1", 0..3, 60, false), part("lb2", 0..2, 90, false)];
        let whole = merge(parts, Duration::from_secs(100)).unwrap();
        let hosts: Vec<&str> = whole
            .lingering
            .iter()
            .filter_map(|row| row.host.as_deref())
            .collect();
        assert_eq!(hosts, ["lb2", "lb2", "lb1", "lb1", "lb1"]);
        assert_eq!((whole.dwell.len(), whole.dwell[0].open), (1, 5));
        assert_eq!(whole.dwell[0].max, Duration::from_secs(90));
        assert_eq!(whole.watched, Duration::from_secs(100));
    }

    #[test]
    fn what_a_later_one_tells_is_told_once() {
        let parts = vec![part("lb1", 0..3, 60, true), part("lb1", 0..2, 90, false)];
        let whole = merge(parts, Duration::from_secs(100)).unwrap();
        assert_eq!((whole.lingering.len(), whole.dwell[0].open), (2, 2));
    }

    #[test]
    fn in_whatever_order_they_come_it_is_the_same() {
        let one = || part("lb1", 0..3, 60, false);
        let other = || part("lb2", 0..2, 60, false);
        let said = |parts| format!("{:?}", merge(parts, Duration::from_secs(60)).unwrap().lingering);
        assert_eq!(said(vec![one(), other()]), said(vec![other(), one()]));
        assert!(merge(Vec::new(), Duration::ZERO).is_none());
    }
}
