//! CLOSE_WAIT or ESTABLISHED that nobody has accepted: not a leak, a limit.

use super::finding::{Confidence, Fix, Responsible, Verdict, Whom};
use super::group::Group;
use super::rule::{Judgement, Rule};
use super::scene::Scene;
use super::wording;
use crate::snapshot::Lingering;
use crate::sock::{Holder, Side};
use crate::tolls::Party;

pub const RULE: Rule = Rule {
    verdict: Verdict::AcceptQueue,
    claim,
    ended: None,
    conclude,
};

/// By listener: who connects there has no part in it.
fn claim(row: &Lingering, _: &Scene<'_>) -> Option<Party> {
    let local = row.endpoints.filter(|_| row.holder == Holder::Unaccepted)?.local;
    Some(Party {
        side: Side::Client,
        address: local.ip(),
        port: Some(local.port()),
        proxy: row.naming.proxy.clone(),
        server: None,
    })
}

fn conclude(group: &Group<'_>, scene: &Scene<'_>) -> Judgement {
    let mut judgement = Judgement::new(Responsible::Haproxy, Confidence::Certain);
    judgement.whom = Some(Whom::Haproxy(None));
    judgement.because.push(format!(
        "{} in the accept queue {} and given up by the client already: no descriptor, no session, HAProxy hasn't seen them",
        wording::count(group.subjects.len(), "connection waits", "connections wait"),
        wording::for_as_long(group.subjects.iter().map(|row| row.age.at_least))
    ));
    let Some(row) = group.subjects.first() else {
        return judgement;
    };
    if let Some(queue) = row
        .endpoints
        .and_then(|ends| scene.listener(row.netns, ends.local))
    {
        judgement.because.push(format!(
            "the listener has {} waiting, of {} that its backlog holds",
            queue.waiting, queue.backlog
        ));
    }
    let frontend = scene.frontend(row);
    let limit = frontend.and_then(|proxy| proxy.maxconn.as_ref().map(|set| (proxy, set)));
    let held = row
        .endpoints
        .map_or(0, |ends| scene.established_at(row.netns, ends.local));
    match limit {
        Some((proxy, set)) if held >= set.value => {
            judgement.because.push(format!(
                "{} has {held} connections open, and its maxconn ({}) is {}",
                proxy.section(),
                set.place,
                set.value
            ));
            judgement.fix.push(Fix::Write {
                line: format!("maxconn {}", set.value * 2),
                section: proxy.section(),
                place: set.place.clone(),
            });
        }
        _ => {
            let global = scene
                .configuration(row)
                .and_then(|configuration| configuration.global.maxconn.as_ref());
            if let Some(global) = global {
                judgement
                    .because
                    .push(format!("global maxconn ({}) is {}", global.place, global.value));
                judgement.fix.push(Fix::Write {
                    line: format!("maxconn {}", global.value * 2),
                    section: "global".to_owned(),
                    place: global.place.clone(),
                });
            }
            judgement.fix.push(Fix::Do(
                "if no maxconn is reached, a thread of HAProxy's is stalled: `show activity`, `show info` (Run_queue, Idle_pct)".to_owned(),
            ));
        }
    }
    judgement
}
