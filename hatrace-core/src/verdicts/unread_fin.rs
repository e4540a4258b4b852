//! CLOSE_WAIT with the FIN unread: HAProxy doesn't read while it waits for somebody else, or it is stalled.

use super::finding::{Confidence, Fix, Responsible, Verdict, Whom};
use super::fixes;
use super::group::Group;
use super::rule::{Judgement, Rule};
use super::scene::{Scene, YOUNG};
use super::wording;
use crate::config::ProxyMode;
use crate::naming::Without;
use crate::snapshot::Lingering;
use crate::sock::{Holder, Side};
use crate::stream::EndState;
use crate::tcp::TcpState;
use crate::tolls::Party;

pub const RULE: Rule = Rule {
    verdict: Verdict::UnreadFin,
    claim,
    ended: None,
    conclude,
};

fn claim(row: &Lingering, scene: &Scene<'_>) -> Option<Party> {
    let waits = row.state == TcpState::CloseWait && row.holder == Holder::Held && row.age.at_least >= YOUNG;
    // Of one that HAProxy could not be asked about nothing can be said.
    let told = row.naming.session.is_some() && row.naming.without.is_none()
        || matches!(row.naming.without, Some(Without::Streamless(_)));
    if !waits || !told || !unread(row) && !goes_on(row, scene) {
        return None;
    }
    let party = Party::of(row)?;
    // Who is waited for is the server of the session, not the client that has left.
    let session = row.naming.session.as_ref();
    Some(Party {
        server: session.and_then(|session| session.facts.server.clone()),
        ..party
    })
}

fn unread(row: &Lingering) -> bool {
    row.unread.is_some_and(|bytes| bytes > 0)
}

/// HAProxy has read the client's FIN and goes on with the request all the same: in HTTP mode it doesn't pass the FIN on.
fn goes_on(row: &Lingering, scene: &Scene<'_>) -> bool {
    let http = scene
        .frontend(row)
        .is_some_and(|frontend| frontend.mode.value == ProxyMode::Http);
    let live = row.naming.session.is_some() && row.naming.without.is_none();
    row.side == Side::Client && http && live && instead(row, scene) != Instead::Nothing
}

/// What HAProxy waits for instead of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    /// The server's answer.
    Answer,
    /// A server's slot.
    Queue,
    /// A connection to the server.
    Connection,
    /// Nothing that shows.
    Nothing,
}

fn instead(row: &Lingering, scene: &Scene<'_>) -> Instead {
    match (row.side, scene.server_state(row)) {
        (Side::Client, Some(EndState::Queued)) => Instead::Queue,
        (Side::Client, Some(EndState::Connecting | EndState::TryAgain | EndState::Assigned)) => {
            Instead::Connection
        }
        (Side::Client, Some(EndState::Established | EndState::Ready)) => Instead::Answer,
        _ => Instead::Nothing,
    }
}

fn conclude(group: &Group<'_>, scene: &Scene<'_>) -> Judgement {
    let Some(row) = group.subjects.first() else {
        return Judgement::new(Responsible::Haproxy, Confidence::Possible);
    };
    let count = wording::count(group.subjects.len(), "connection", "connections");
    let long = wording::for_as_long(group.subjects.iter().map(|row| row.age.at_least));
    let instead = instead(row, scene);
    let server = group
        .server
        .as_deref()
        .map_or_else(|| "the server".to_owned(), |name| format!("server {name}"));
    let mut judgement = match instead {
        Instead::Answer => Judgement::new(Responsible::Server, Confidence::Likely),
        Instead::Connection => Judgement::new(Responsible::Server, Confidence::Likely),
        Instead::Queue => Judgement::new(Responsible::Haproxy, Confidence::Likely),
        Instead::Nothing => Judgement::new(Responsible::Haproxy, Confidence::Possible),
    };
    let all_read = !group.subjects.iter().any(|row| unread(row));
    judgement.because.push(format!(
        "the peer of {count} has closed {long}, and {}",
        if all_read {
            "HAProxy goes on with the request all the same"
        } else {
            "its FIN is unread (Recv-Q counts it)"
        }
    ));
    judgement.because.push(match instead {
        Instead::Answer => format!("HAProxy has passed the request on, waits for {server}'s answer, and doesn't read from the client meanwhile (no `option abortonclose`)"),
        Instead::Queue => "the request waits in a queue for a server's slot, and HAProxy doesn't read from the client meanwhile (no `option abortonclose`)".to_owned(),
        Instead::Connection => format!("HAProxy waits for a connection to {server}"),
        Instead::Nothing => "no session of HAProxy's that was told explains it".to_owned(),
    });
    judgement.because.extend(wording::clocks(group));
    judgement.because.extend(wording::doubts(group, scene));
    if group.side == Side::Client
        && let Some(proxy) = scene.backend(row)
        && proxy.mode.value == ProxyMode::Http
        && !proxy.has("abortonclose")
    {
        judgement.fix.push(fixes::option(proxy, "abortonclose"));
    }
    match instead {
        Instead::Answer => {
            judgement.whom = row
                .naming
                .pair
                .and_then(|pair| pair.endpoints)
                .map(|ends| Whom::Address(ends.peer.ip()));
            judgement
                .fix
                .push(Fix::Do(format!("find out why {server} takes so long to answer")));
        }
        Instead::Queue => judgement.fix.push(Fix::Do(
            "raise the server's maxconn, add servers, or shorten timeout queue".to_owned(),
        )),
        Instead::Connection => judgement
            .fix
            .push(Fix::Do(format!("check {server} and the way to it"))),
        Instead::Nothing => {
            judgement.whom = Some(Whom::Haproxy(row.pid));
        }
    }
    judgement
}
