//! CLOSE_WAIT or ESTABLISHED that nobody has accepted: not a leak, a limit.

use std::time::Duration;

use super::finding::{Confidence, Finding, Fix, Responsible, Verdict, Whom};
use super::group::Group;
use super::rule::{Judgement, Rule};
use super::scene::Scene;
use super::wording;
use crate::clock::Clock;
use crate::config::{Global, Proxy};
use crate::snapshot::Lingering;
use crate::sock::{Holder, Side};
use crate::survey::Listener;
use crate::tcp::TcpState;
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
    let Some((row, ends)) = group.subjects.first().and_then(|row| Some((row, row.endpoints?))) else {
        return judgement;
    };
    let at = Queue {
        listener: scene.listener(row.netns, ends.local),
        held: scene.established_at(row.netns, ends.local),
        frontend: scene.frontend(row),
        global: scene
            .configuration(row)
            .map(|configuration| &configuration.global),
    };
    at.limits(&mut judgement.because, &mut judgement.fix);
    judgement
}

/// For so long connections must have waited: an accept queue is never empty for long on a busy listener.
const LASTING: Duration = Duration::from_secs(3);

/// Queues in which clients still wait, of whom none has given up: nothing lingers there.
pub fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    scene
        .waiting()
        .filter(|(_, since)| scene.now.since(*since) >= LASTING)
        .filter(|(listener, _)| {
            !scene.rows.iter().any(|row| {
                row.holder == Holder::Unaccepted
                    && row
                        .endpoints
                        .is_some_and(|ends| scene.listener(row.netns, ends.local) == Some(*listener))
            })
        })
        .filter_map(|(listener, since)| finding(scene, listener, scene.now.since(since)))
        .collect()
}

fn finding(scene: &Scene<'_>, listener: &Listener, waited: Duration) -> Option<Finding> {
    let frontend = scene.frontend_at(listener);
    let at = Queue {
        listener: Some(listener),
        held: scene.established_at(Some(listener.netns), listener.local),
        frontend,
        global: scene.any_global(),
    };
    // A queue that is being worked off is no limit: either one is reached, or it is half full.
    let full = listener.waiting.saturating_mul(2) >= listener.backlog;
    if !at.reached() && !full {
        return None;
    }
    let mut because = vec![format!(
        "connections have waited to be accepted for {} at least",
        crate::units::words(waited)
    )];
    let mut fix = Vec::new();
    at.limits(&mut because, &mut fix);
    Some(Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::AcceptQueue,
        whom: Whom::Haproxy(None),
        known_as: None,
        proxy: frontend.map(|proxy| proxy.name.clone()),
        server: None,
        side: Side::Client,
        state: Some(TcpState::Established),
        responsible: Responsible::Haproxy,
        confidence: if at.reached() {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
        open: u64::from(listener.waiting),
        ended: 0,
        pinned: 0,
        socket_seconds: waited.saturating_mul(listener.waiting),
        p99: None,
        oldest: Some(waited),
        clock: Clock::default(),
        next_in: None,
        forecast: Vec::new(),
        because,
        fix,
        sockets: Vec::new(),
    })
}

/// A listener's queue beside the limits that may keep HAProxy from accepting.
struct Queue<'a> {
    listener: Option<&'a Listener>,
    /// Connections that HAProxy has open through it.
    held: u64,
    frontend: Option<&'a Proxy>,
    global: Option<&'a Global>,
}

impl Queue<'_> {
    /// Whether the frontend has as many as it may.
    fn reached(&self) -> bool {
        let limit = self.frontend.and_then(|proxy| proxy.maxconn.as_ref());
        limit.is_some_and(|set| self.held >= set.value)
    }

    /// Says which limit it is, and what to write.
    fn limits(&self, because: &mut Vec<String>, fix: &mut Vec<Fix>) {
        if let Some(queue) = self.listener {
            because.push(format!(
                "the listener has {} waiting, of {} that its backlog holds",
                queue.waiting, queue.backlog
            ));
        }
        let limit = self
            .frontend
            .and_then(|proxy| proxy.maxconn.as_ref().map(|set| (proxy, set)));
        if let (Some((proxy, set)), true) = (limit, self.reached()) {
            because.push(format!(
                "{} has {} connections open, and its maxconn ({}) is {}",
                proxy.section(),
                self.held,
                set.place,
                set.value
            ));
            fix.push(Fix::Write {
                line: format!("maxconn {}", set.value.saturating_mul(2)),
                section: proxy.section(),
                place: set.place.clone(),
            });
            return;
        }
        if let Some(global) = self.global.and_then(|global| global.maxconn.as_ref()) {
            because.push(format!("global maxconn ({}) is {}", global.place, global.value));
            fix.push(Fix::Write {
                line: format!("maxconn {}", global.value.saturating_mul(2)),
                section: "global".to_owned(),
                place: global.place.clone(),
            });
        }
        fix.push(Fix::Do(
            "if no maxconn is reached, a thread of HAProxy's is stalled: `show activity`, `show info` (Run_queue, Idle_pct)".to_owned(),
        ));
    }
}
