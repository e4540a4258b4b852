//! HAProxy connected to itself: each such connection is two of its sockets. What they wait for is the outermost peer.

use super::finding::{Confidence, Responsible, Verdict};
use super::group::Group;
use super::peer_never_closes;
use super::rule::{Judgement, Rule};
use super::scene::{SURE, Scene, YOUNG};
use crate::snapshot::Lingering;
use crate::tolls::{Awaited, Party};

pub const RULE: Rule = Rule {
    verdict: Verdict::SelfLoop,
    claim,
    ended: None,
    conclude,
};

fn claim(row: &Lingering, scene: &Scene<'_>) -> Option<Party> {
    if !scene.loops(row) || Awaited::of(row) != Some(Awaited::Fin) || scene.silence(row) < YOUNG {
        return None;
    }
    Party::of(row)
}

fn conclude(group: &Group<'_>, scene: &Scene<'_>) -> Judgement {
    let sure = group.subjects.iter().any(|row| scene.silence(row) >= SURE);
    let mut judgement = Judgement::new(
        Responsible::behind(group.side),
        if sure {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
    );
    if let Some(row) = group.subjects.first() {
        let chain = scene.chain(row);
        let loops = chain.iter().filter(|row| scene.mirror(row).is_some()).count() / 2;
        let names: Vec<String> = chain
            .iter()
            .filter_map(|row| {
                let proxy = row.naming.proxy.as_deref()?;
                Some(format!("{proxy} {}", row.state))
            })
            .collect();
        judgement.because.push(format!(
            "HAProxy is connected to itself {} on the way: {} -> {}; each such connection is two of its sockets and counted once",
            if loops == 1 { "once".to_owned() } else { format!("{loops} times") },
            row.endpoints.map_or_else(|| "?".to_owned(), |ends| ends.peer.ip().to_string()),
            names.join(" -> ")
        ));
    }
    peer_never_closes::evidence(group, scene, &mut judgement);
    judgement
}
