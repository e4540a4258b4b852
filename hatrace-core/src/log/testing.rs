//! Connections and lines that are made up, for tests.

use super::entry::Entry;
use super::stories::Stories;
use crate::ending::Code;
use crate::ids::{Cookie, Netns};
use crate::input::{Input, Transition};
use crate::life::{EndedLife, Life, Step};
use crate::sock::{Endpoints, Side};
use crate::tcp::TcpState;
use crate::time::{Mono, Since};

pub(super) const CLIENT: &str = "10.0.0.7:5000";
/// By which the log's clock is ahead.
pub(super) const HOUR: i64 = 3_600_000;

pub(super) fn at(ms: u64) -> Mono {
    Mono::from_ns(ms * 1_000_000)
}

pub(super) fn wall(at: Mono) -> i64 {
    i64::try_from(at.ns() / 1_000_000).unwrap()
}

fn endpoints() -> Endpoints {
    Endpoints::new("192.0.2.1:443".parse().unwrap(), CLIENT.parse().unwrap())
}

/// A transition of a connection of the client's.
pub(super) fn step(stories: &mut Stories, cookie: u64, when: u64, from: TcpState, to: TcpState) {
    let transition = Transition {
        cookie: Some(Cookie(cookie)),
        side: Side::Client,
        from,
        to,
        endpoints: endpoints(),
        pid: None,
        sk_err: None,
    };
    stories.take(at(when), &Input::Transition(transition));
}

/// A connection of the client's: established, its first step towards the end, gone.
pub(super) fn connection(
    stories: &mut Stories,
    cookie: u64,
    begun: Option<u64>,
    first: (TcpState, u64),
    gone: (TcpState, u64, u16),
) {
    if let Some(begun) = begun {
        step(stories, cookie, begun, TcpState::SynRecv, TcpState::Established);
    }
    let endpoints = endpoints();
    let closing = first.0 != TcpState::Established;
    let life = Life {
        cookie: Cookie(cookie),
        side: Side::Client,
        netns: Netns(1),
        pid: None,
        connecting_at: None,
        established_at: None,
        closing: closing.then_some(Step {
            state: first.0,
            at: Since::Exact(at(first.1)),
        }),
        second: None,
        orphaned_at: (first.0 == TcpState::FinWait1).then(|| at(first.1)),
        retransmits: 0,
        reset_sent: false,
        adopted: false,
    };
    let ended = EndedLife {
        life,
        at: at(gone.1),
        from: gone.0,
        sk_err: gone.2,
        dead: true,
        done: gone.0 == TcpState::FinWait2,
        unaccepted: false,
        endpoints,
        unread: 0,
        unacked: 0,
    };
    stories.take(at(gone.1), &Input::Ended(Box::new(ended)));
}

pub(super) fn line(accepted: u64, total: u64, code: &[u8]) -> Entry<'_> {
    Entry {
        accepted: Some(i64::try_from(accepted).unwrap() + HOUR),
        total: Some(i64::try_from(total).unwrap()),
        client: Some("10.0.0.7".parse().unwrap()),
        client_port: Some(5000),
        code: Code::parse(code),
        ..Entry::default()
    }
}
