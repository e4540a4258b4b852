//! The peer takes nothing: its window is shut, and what HAProxy has for it stands still. The other side of the session waits.

use super::finding::{Confidence, Fix, Responsible, Verdict};
use super::group::Group;
use super::rule::{Judgement, Rule};
use super::scene::{HABIT, SURE, Scene, YOUNG};
use super::wording;
use crate::snapshot::Lingering;
use crate::sock::{Holder, Timer};
use crate::tcp::TcpState;
use crate::tolls::{Awaited, Party};

pub const RULE: Rule = Rule {
    verdict: Verdict::SlowReader,
    claim,
    ended: None,
    conclude,
};

/// Either it closes itself and can't get its last bytes out, or it waits for a session whose other side can't.
fn claim(row: &Lingering, scene: &Scene<'_>) -> Option<Party> {
    let closing = Awaited::of(row) == Some(Awaited::Ack) && scene.window_shut(row);
    if closing && row.age.at_least >= YOUNG {
        return Party::of(row);
    }
    let waits = row.state == TcpState::CloseWait && row.holder == Holder::Held && row.age.at_least >= YOUNG;
    if !waits {
        return None;
    }
    let pair = row.naming.pair?;
    let other = scene.standing(pair.cookie)?;
    let shut = matches!(other.timer, Timer::Probe(_)) && other.unacked > 0;
    shut.then_some(())?;
    // The pair's proxy and server are the session's.
    let facts = row.naming.session.as_ref().map(|session| &session.facts);
    let server = pair.side == crate::sock::Side::Server;
    Some(Party {
        side: pair.side,
        address: other.held.endpoints.peer.ip(),
        port: server.then_some(other.held.endpoints.peer.port()),
        proxy: facts.and_then(|facts| {
            if server {
                facts.backend.clone()
            } else {
                facts.frontend.clone()
            }
        }),
        server: facts.and_then(|facts| facts.server.clone()).filter(|_| server),
    })
}

fn conclude(group: &Group<'_>, scene: &Scene<'_>) -> Judgement {
    let long = |row: &&&Lingering| row.age.at_least >= SURE && still(row, scene) >= YOUNG;
    let sure = group.subjects.iter().filter(long).count();
    let mut judgement = Judgement::new(
        Responsible::behind(group.side),
        match sure {
            0 => Confidence::Possible,
            some if some >= HABIT || group.subjects.iter().any(|row| still(row, scene) >= SURE) => {
                Confidence::Certain
            }
            _ => Confidence::Likely,
        },
    );
    let bytes: u64 = group.subjects.iter().map(|row| waiting(row, scene)).sum();
    judgement.because.push(format!(
        "its receive window is shut on {} and {bytes} bytes stand still {} (Send-Q; the kernel probes the window)",
        wording::count(group.subjects.len(), "connection", "connections"),
        wording::for_as_long(group.subjects.iter().map(|row| still(row, scene)))
    ));
    let waiting = group
        .subjects
        .iter()
        .filter(|row| row.state == TcpState::CloseWait)
        .count();
    if waiting > 0 {
        judgement.because.push(format!(
            "meanwhile {} of the other side can't be read to the end: CLOSE_WAIT with data behind the FIN",
            wording::count(waiting, "connection", "connections")
        ));
    }
    judgement.because.extend(wording::clocks(group));
    judgement.fix.push(Fix::Do(format!(
        "the {} must read; a shorter timeout on its side bounds how long HAProxy waits",
        judgement.responsible.name()
    )));
    judgement
}

fn still(row: &Lingering, scene: &Scene<'_>) -> std::time::Duration {
    match row.naming.pair {
        Some(pair) if row.state == TcpState::CloseWait => scene.standing_still(pair.cookie),
        _ => scene.still(row),
    }
}

fn waiting(row: &Lingering, scene: &Scene<'_>) -> u64 {
    let other = row.naming.pair.and_then(|pair| scene.standing(pair.cookie));
    match other {
        Some(other) if row.state == TcpState::CloseWait => u64::from(other.unacked),
        _ => u64::from(row.unacked.unwrap_or(0)),
    }
}
