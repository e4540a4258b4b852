//! CLOSE_WAIT that HAProxy holds although nothing that was seen explains it. Nobody is accused.

use super::finding::{Confidence, Fix, Responsible, Verdict, Whom};
use super::group::Group;
use super::rule::{Judgement, Rule};
use super::scene::{Scene, YOUNG};
use super::wording;
use crate::naming::Without;
use crate::snapshot::Lingering;
use crate::sock::Holder;
use crate::tcp::TcpState;
use crate::tolls::Party;

pub const RULE: Rule = Rule {
    verdict: Verdict::Unexplained,
    claim,
    ended: None,
    conclude,
};

fn claim(row: &Lingering, _: &Scene<'_>) -> Option<Party> {
    let mine = row.state == TcpState::CloseWait && row.holder == Holder::Held && row.age.at_least >= YOUNG;
    mine.then(|| Party::of(row)).flatten()
}

fn conclude(group: &Group<'_>, scene: &Scene<'_>) -> Judgement {
    // The other side may be what isn't followed, and its peer the one that is waited for.
    let layered = scene.counts.mptcp > 0 && group.subjects.iter().any(|row| row.naming.pair.is_none());
    let responsible = if layered {
        Responsible::Nobody
    } else {
        Responsible::Haproxy
    };
    let mut judgement = Judgement::new(responsible, Confidence::Possible);
    judgement.whom = Some(Whom::Haproxy(group.subjects.first().and_then(|row| row.pid)));
    judgement.because.push(format!(
        "the peer of {} has closed {}, and HAProxy has not",
        wording::count(group.subjects.len(), "connection", "connections"),
        wording::for_as_long(group.subjects.iter().map(|row| row.age.at_least))
    ));
    let unnamed = group.subjects.iter().find_map(|row| row.naming.without);
    judgement.because.push(match unnamed {
        Some(Without::Unreachable(_) | Without::Off) => {
            "HAProxy could not be asked, so the other side of the session isn't known".to_owned()
        }
        _ if layered => {
            "HAProxy has MPTCP sockets, which are not followed: the other side may be one, and its peer the one to close".to_owned()
        }
        Some(Without::Streamless(why)) => format!("by HAProxy's word it has no session ({})", why.code()),
        _ => "what else its session waits for was not seen".to_owned(),
    });
    judgement.because.extend(wording::clocks(group));
    if matches!(unnamed, Some(Without::Unreachable(_) | Without::Off)) {
        judgement.fix.push(Fix::Do(
            "let hatrace ask HAProxy: `stats socket ... level operator`".to_owned(),
        ));
    }
    judgement
}
