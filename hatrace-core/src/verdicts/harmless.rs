//! What looks alarming and isn't: orphaned FIN_WAIT2 within `tcp_fin_timeout`, half-closed connections that are at work.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::finding::{Confidence, Responsible, Verdict, Whom};
use super::group::Group;
use super::rule::{Judgement, Rule};
use super::scene::{Scene, YOUNG};
use super::wording;
use crate::snapshot::Lingering;
use crate::sock::Holder;
use crate::tcp::TcpState;
use crate::tolls::{Awaited, Party};

pub const RULE: Rule = Rule {
    verdict: Verdict::Harmless,
    claim,
    ended: None,
    conclude,
};

/// By side and proxy: it is nobody's doing.
fn claim(row: &Lingering, scene: &Scene<'_>) -> Option<Party> {
    let orphaned =
        row.state == TcpState::FinWait2 && matches!(row.holder, Holder::Orphaned | Holder::Timewait);
    let at_work = match Awaited::of(row) {
        Some(Awaited::Fin) => row.age.at_least >= YOUNG && scene.silence(row) < YOUNG,
        // Those of which nothing is acknowledged were another rule's.
        Some(Awaited::Ack) => row.age.at_least >= YOUNG && !scene.window_shut(row),
        _ => false,
    };
    if !orphaned && !at_work {
        return None;
    }
    let party = Party::of(row)?;
    let anybody = match party.address {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    };
    Some(Party {
        address: anybody,
        port: None,
        server: None,
        ..party
    })
}

fn conclude(group: &Group<'_>, _: &Scene<'_>) -> Judgement {
    let mut judgement = Judgement::new(Responsible::Nobody, Confidence::Certain);
    let addresses: BTreeSet<IpAddr> = group
        .subjects
        .iter()
        .filter_map(|row| Some(row.endpoints?.peer.ip()))
        .collect();
    judgement.whom = Some(Whom::Many(addresses.len() as u64));
    let (orphans, at_work): (Vec<&Lingering>, Vec<&Lingering>) = group
        .subjects
        .iter()
        .copied()
        .partition(|row| row.holder != Holder::Held && row.state == TcpState::FinWait2);
    if !at_work.is_empty() {
        judgement.because.push(format!(
            "{} half-closed and still at work: the other half moves",
            wording::count(at_work.len(), "connection is", "connections are")
        ));
    }
    if !orphans.is_empty() {
        judgement.because.push(format!(
            "HAProxy has closed {} and is done with them; the kernel ends each after tcp_fin_timeout if the peer doesn't close before",
            wording::count(orphans.len(), "connection", "connections")
        ));
        let mut peers: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for ends in orphans.iter().filter_map(|row| row.endpoints) {
            *peers.entry(ends.peer.ip()).or_default() += 1;
        }
        if let Some((peer, most)) = peers.iter().max_by_key(|(_, count)| **count)
            && *most > 1
        {
            judgement.because.push(format!("{most} of them are {peer}'s"));
        }
    }
    judgement
}
