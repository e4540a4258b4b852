//! FIN_WAIT1, CLOSING, LAST_ACK with retransmissions: nobody acknowledges HAProxy's FIN.

use super::finding::{Confidence, Fix, Responsible, Verdict};
use super::group::Group;
use super::rule::{Ended, Judgement, Rule};
use super::scene::{Scene, YOUNG};
use super::wording;
use crate::snapshot::Lingering;
use crate::tolls::{Awaited, Party};

pub const RULE: Rule = Rule {
    verdict: Verdict::PathDropsFin,
    claim,
    ended: Some(Ended {
        awaited: Awaited::Ack,
        mine: |_, _| true,
    }),
    conclude,
};

/// A loss now and then is the network's way; three in a row are another thing.
const LOST: u32 = 3;

fn claim(row: &Lingering, scene: &Scene<'_>) -> Option<Party> {
    let waits = Awaited::of(row) == Some(Awaited::Ack) && row.retransmits >= 1;
    (waits && scene.unacknowledged(row) >= YOUNG.min(row.age.at_least) && row.age.at_least >= YOUNG / 2)
        .then(|| Party::of(row))
        .flatten()
}

fn conclude(group: &Group<'_>, scene: &Scene<'_>) -> Judgement {
    let subjects = &group.subjects;
    let sure = subjects
        .iter()
        .filter(|row| row.retransmits >= LOST && scene.unacknowledged(row) >= YOUNG / 2)
        .count();
    let mut judgement = Judgement::new(
        Responsible::Path,
        if sure > 0 {
            Confidence::Certain
        } else {
            Confidence::Likely
        },
    );
    if !subjects.is_empty() {
        let most = subjects.iter().map(|row| row.retransmits).max().unwrap_or(0);
        let least = subjects.iter().map(|row| row.retransmits).min().unwrap_or(0);
        let times = if most == least {
            format!("{most} times")
        } else {
            format!("{least} to {most} times")
        };
        judgement.because.push(format!(
            "HAProxy's FIN was sent again {times} on {} and not acknowledged {}",
            wording::count(subjects.len(), "connection", "connections"),
            wording::for_as_long(subjects.iter().map(|row| scene.unacknowledged(row)))
        ));
        judgement.because.push(
            "the peer's host is gone, or something between drops the packets (a firewall that has forgotten the connection, a client that has left its network)".to_owned(),
        );
    }
    judgement.because.extend(wording::ended(group));
    judgement.because.extend(wording::clocks(group));
    if let Some(row) = subjects.first() {
        judgement.fix.extend(user_timeout(row, scene));
    }
    judgement
}

/// `tcp-ut` bounds how long the kernel tries.
fn user_timeout(row: &Lingering, scene: &Scene<'_>) -> Option<Fix> {
    let proxy = scene.proxy(row)?;
    let (place, known, what) = match row.side {
        crate::sock::Side::Server => {
            let servers = &proxy.servers;
            let own = servers
                .iter()
                .find(|server| Some(&server.name) == row.naming.server.as_ref())?;
            (own.place.clone(), own.tcp_ut, "server")
        }
        _ => {
            let port = row.endpoints?.local.port();
            let own = proxy
                .binds
                .iter()
                .find(|bind| bind.addresses.iter().any(|address| address.port() == port))?;
            (own.place.clone(), own.tcp_ut, "bind")
        }
    };
    known.is_none().then(|| Fix::Write {
        line: format!("tcp-ut 30s on the {what} line"),
        section: proxy.section(),
        place,
    })
}
