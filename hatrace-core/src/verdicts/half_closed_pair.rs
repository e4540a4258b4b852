//! One side of a session in FIN_WAIT2, held; the other, mostly, in CLOSE_WAIT. The side in FIN_WAIT2 names who must close.

use super::finding::{Confidence, Responsible, Verdict};
use super::group::Group;
use super::peer_never_closes::{evidence, telling, waits};
use super::rule::{Ended, Judgement, Rule};
use super::scene::{HABIT, SURE, Scene};
use crate::snapshot::Lingering;
use crate::tolls::{Awaited, Party};

pub const RULE: Rule = Rule {
    verdict: Verdict::HalfClosedPair,
    claim,
    ended: Some(Ended {
        awaited: Awaited::Fin,
        mine: |party, scene| !scene.stands_out(party),
    }),
    conclude,
};

fn claim(row: &Lingering, scene: &Scene<'_>) -> Option<Party> {
    waits(row, scene)
}

fn conclude(group: &Group<'_>, scene: &Scene<'_>) -> Judgement {
    let silent = group.subjects.iter().filter(|row| scene.silence(row) >= SURE);
    let silent_pairs = silent.clone().filter(|row| row.naming.pair.is_some()).count();
    let long = silent.clone().any(|row| scene.silence(row) >= SURE * 3);
    let mut judgement = Judgement::new(
        Responsible::behind(group.side),
        if group.toll.by_peer == 0 && (silent_pairs >= HABIT || silent_pairs > 0 && long) {
            Confidence::Certain
        } else if telling(group, scene) > 0 {
            Confidence::Likely
        } else {
            Confidence::Possible
        },
    );
    evidence(group, scene, &mut judgement);
    judgement
}
