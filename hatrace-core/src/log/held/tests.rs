//! Both stories of one session, and addresses that are used again.

use super::*;
use crate::ids::{Cookie, Netns};
use crate::input::{Input, Transition};
use crate::life::{EndedLife, Life, Step};
use crate::sock::Endpoints;
use crate::tcp::TcpState;
use crate::time::Since;

const CLIENT: &str = "10.0.0.7:5000";
const HOUR: i64 = 3_600_000;

fn at(ms: u64) -> Mono {
    Mono::from_ns(ms * 1_000_000)
}

fn wall(at: Mono) -> i64 {
    i64::try_from(at.ns() / 1_000_000).unwrap()
}

/// A connection of the client's: established, its first step towards the end, gone.
fn connection(
    stories: &mut Stories,
    cookie: u64,
    begun: Option<u64>,
    first: (TcpState, u64),
    gone: (TcpState, u64, u16),
) {
    let endpoints = Endpoints::new("192.0.2.1:443".parse().unwrap(), CLIENT.parse().unwrap());
    if let Some(begun) = begun {
        let transition = Transition {
            cookie: Some(Cookie(cookie)),
            side: Side::Client,
            from: TcpState::SynRecv,
            to: TcpState::Established,
            endpoints,
            pid: None,
        };
        stories.take(at(begun), &Input::Transition(transition));
    }
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
        orphaned_at: None,
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

fn line(accepted: u64, total: u64, code: &[u8]) -> Entry<'_> {
    Entry {
        accepted: Some(i64::try_from(accepted).unwrap() + HOUR),
        total: Some(i64::try_from(total).unwrap()),
        client: Some("10.0.0.7".parse().unwrap()),
        client_port: Some(5000),
        code: Code::parse(code),
        ..Entry::default()
    }
}

fn held(stories: &Stories, lines: &[(u64, u64, &[u8])]) -> Held {
    let mut taken = Lines::default();
    for (accepted, total, code) in lines {
        taken.take(&line(*accepted, *total, code), stories);
    }
    taken.hold(stories, wall, (at(0), at(10_000_000)))
}

#[test]
fn the_kernel_s_story_beside_the_log_s() {
    let mut stories = Stories::default();
    // The client's RST, HAProxy's FIN first, the client's FIN, and one that lingered.
    connection(
        &mut stories,
        1,
        Some(1000),
        (TcpState::Established, 2000),
        (TcpState::Established, 2000, 104),
    );
    connection(
        &mut stories,
        2,
        Some(3000),
        (TcpState::FinWait1, 4000),
        (TcpState::FinWait2, 4100, 0),
    );
    connection(
        &mut stories,
        3,
        Some(5000),
        (TcpState::CloseWait, 6000),
        (TcpState::LastAck, 6010, 0),
    );
    connection(
        &mut stories,
        4,
        Some(7000),
        (TcpState::FinWait1, 8000),
        (TcpState::FinWait2, 66_000, 0),
    );
    let told = held(
        &stories,
        &[
            (1000, 1000, b"CD"),
            (3001, 1000, b"CD"),
            (5001, 1005, b"cD"),
            (7000, 1000, b"--"),
        ],
    );
    assert_eq!((told.lines, told.joined, told.zone), (4, 4, HOUR));
    // `cD` an instant after the client's FIN is no contradiction; `CD` without anything of the client's is.
    assert_eq!(
        (told.agree, told.disagree.clone()),
        (3, BTreeMap::from([(Code::parse(b"CD").unwrap(), 1)]))
    );
    assert!(
        told.disagreements[0].kernel.starts_with("HAProxy closed first"),
        "{told:?}"
    );
    let lingered = told.lingered[&Code::parse(b"--").unwrap()];
    assert_eq!(lingered, (1, Duration::from_millis(58_000)));
}

/// One address and port, again and again, by chance; some connections were not seen: what is joined is joined right.
#[test]
fn reused_addresses_are_never_joined_wrongly() {
    let mut state = 88_172_645_463_325_252u64;
    let mut chance = |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % most
    };
    let (mut joined, mut all) = (0, 0);
    for _ in 0..200 {
        let (mut stories, mut truth, mut now) = (Stories::default(), Vec::new(), 100_000);
        for cookie in 0..30 {
            let begun = now + chance(200);
            let ends = begun + 1 + chance(3000);
            let gone = ends + chance(100);
            now = gone;
            if chance(10) > 0 {
                let seen = (chance(10) > 0).then_some(begun);
                connection(
                    &mut stories,
                    cookie,
                    seen,
                    (TcpState::FinWait1, ends),
                    (TcpState::FinWait2, gone, 0),
                );
            }
            truth.push((begun, ends, gone));
        }
        for (begun, ends, gone) in truth {
            let entry = line(begun, ends - begun, b"--");
            let said = Said {
                client: CLIENT.parse().unwrap(),
                front: None,
                server: None,
                accepted: entry.accepted.unwrap() - HOUR,
                ended: entry.ended().unwrap() - HOUR,
                code: entry.code.unwrap(),
            };
            all += 1;
            if let Some(story) = client_of(&said, &stories, &wall) {
                joined += 1;
                assert_eq!(story.gone, Some(at(gone)), "{said:?} {story:?}");
            }
        }
    }
    assert!(joined * 100 >= all * 60, "{joined} of {all}");
}
