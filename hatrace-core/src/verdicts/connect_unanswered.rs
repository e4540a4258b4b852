//! SYN_SENT: a server's address doesn't answer.

use super::finding::{Confidence, Fix, Responsible, Verdict};
use super::group::Group;
use super::rule::{Ended, Judgement, Rule};
use super::scene::{HABIT, Scene, YOUNG};
use super::wording;
use crate::snapshot::Lingering;
use crate::tolls::{Awaited, Party};

pub const RULE: Rule = Rule {
    verdict: Verdict::ConnectUnanswered,
    claim,
    ended: Some(Ended {
        awaited: Awaited::Connection,
        mine: |_, _| true,
    }),
    conclude,
};

fn claim(row: &Lingering, _: &Scene<'_>) -> Option<Party> {
    let waits = Awaited::of(row) == Some(Awaited::Connection) && row.age.at_least >= YOUNG / 2;
    waits.then(|| Party::of(row)).flatten()
}

fn conclude(group: &Group<'_>, _: &Scene<'_>) -> Judgement {
    let subjects = &group.subjects;
    let unanswered = subjects.len() as u64 + group.toll.ended - group.toll.by_peer.min(group.toll.ended);
    let mut judgement = Judgement::new(
        Responsible::Server,
        // A firewall that drops the SYN looks the same from here.
        if unanswered >= HABIT as u64 {
            Confidence::Likely
        } else {
            Confidence::Possible
        },
    );
    if !subjects.is_empty() {
        judgement.because.push(format!(
            "{} SYN without an answer {}: the server, or a firewall before it, says nothing",
            wording::count(
                subjects.len(),
                "connection has sent its",
                "connections have sent their"
            ),
            wording::for_as_long(subjects.iter().map(|row| row.age.at_least))
        ));
    }
    judgement.because.extend(wording::ended(group));
    judgement.because.extend(wording::clocks(group));
    judgement.fix.push(Fix::Do(
        "check the server and the way to it; health checks (`check`) take it out of rotation".to_owned(),
    ));
    judgement
}
