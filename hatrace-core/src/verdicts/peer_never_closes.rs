//! Held FIN_WAIT2: the peer has acknowledged HAProxy's FIN and doesn't send its own. Of one peer far more than its share.

use super::finding::{Confidence, Responsible, Verdict};
use super::group::Group;
use super::rule::{Ended, Judgement, Rule};
use super::scene::{HABIT, SURE, Scene, YOUNG};
use super::{fixes, wording};
use crate::snapshot::Lingering;
use crate::sock::Side;
use crate::tolls::{Awaited, Party};

pub const RULE: Rule = Rule {
    verdict: Verdict::PeerNeverCloses,
    claim,
    ended: Some(Ended {
        awaited: Awaited::Fin,
        mine: |party, scene| scene.stands_out(party),
    }),
    conclude,
};

fn claim(row: &Lingering, scene: &Scene<'_>) -> Option<Party> {
    waits(row, scene).filter(|party| scene.stands_out(party))
}

/// Whom a held FIN_WAIT2 waits for: one that has been silent long enough to say so, or a younger one of a peer that is known for it.
pub fn waits(row: &Lingering, scene: &Scene<'_>) -> Option<Party> {
    if row.side == Side::Unknown || Awaited::of(row) != Some(Awaited::Fin) {
        return None;
    }
    let party = Party::of(row)?;
    let young = row.age.at_least < YOUNG;
    (scene.silence(row) >= YOUNG || young && scene.is_known_for_silence(&party)).then_some(party)
}

/// Waits of a group that speak for themselves: sockets silent for long, and those that HAProxy had to end after as long.
pub fn telling(group: &Group<'_>, scene: &Scene<'_>) -> usize {
    let silent = group
        .subjects
        .iter()
        .filter(|row| scene.silence(row) >= SURE)
        .count();
    let ended = group.toll.longer_than(YOUNG).saturating_sub(group.toll.by_peer);
    silent + usize::try_from(ended).unwrap_or(usize::MAX)
}

fn conclude(group: &Group<'_>, scene: &Scene<'_>) -> Judgement {
    let telling = telling(group, scene);
    let mut judgement = Judgement::new(
        Responsible::behind(group.side),
        match group.toll.by_peer {
            0 if telling >= HABIT => Confidence::Certain,
            // A peer that closes late closes.
            _ if telling > 0 => Confidence::Likely,
            _ => Confidence::Possible,
        },
    );
    evidence(group, scene, &mut judgement);
    let all = scene.unclosed_by_side.get(&group.side).copied().unwrap_or(0);
    let own = scene.unclosed_by(group.side, &group.addresses);
    let well = scene.well_ended(group.side);
    let mut share = format!(
        "{own} of the {all} that were left like this on the {} side are its own",
        group.side
    );
    if well > 0 {
        share.push_str(&format!(
            "; {well} other connections of that side were closed properly meanwhile"
        ));
    }
    judgement.because.insert(judgement.because.len().min(1), share);
    judgement
}

/// What the kernel and HAProxy show of sockets that wait for their peer's FIN.
pub fn evidence(group: &Group<'_>, scene: &Scene<'_>, judgement: &mut Judgement) {
    let because = &mut judgement.because;
    let subjects = &group.subjects;
    if !subjects.is_empty() {
        because.push(format!(
            "on {} the peer has acknowledged HAProxy's FIN (FIN_WAIT2) and sent nothing since, neither its own FIN nor data, {}",
            wording::count(subjects.len(), "connection", "connections"),
            wording::for_as_long(subjects.iter().map(|row| scene.silence(row)))
        ));
    }
    if !group.pinned.is_empty() {
        because.push(format!(
            "the other side of {}, in CLOSE_WAIT, has done its part: HAProxy keeps it open for this one",
            wording::count(group.pinned.len(), "session", "sessions")
        ));
    }
    because.extend(wording::ended(group));
    because.extend(wording::clocks(group));
    because.extend(wording::doubts(group, scene));
    if let Some(row) = subjects.first()
        && let Some(fix) = fixes::close_sooner(row, scene)
    {
        let old = subjects
            .iter()
            .filter(|row| row.age.at_least >= fixes::FIN)
            .count();
        if old > 0 {
            because.push(format!("a timeout of 30s would have freed {old} of them by now"));
        }
        judgement.fix.push(fix);
    }
}
