//! What is true of every name, whatever HAProxy and the kernel say: a session is shown live for a socket only where both looks saw that
//! very socket at a descriptor that the session named.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hatrace_core::ids::{Cookie, Fd, FdTable, Netns, Pid, SessionPtr};
use hatrace_core::input::{Input, Sweep};
use hatrace_core::naming::{Asking, Tie, Without};
use hatrace_core::sock::{Claim, Endpoints, HeldSock, Side, SockRow, Timer};
use hatrace_core::stream::{Access, Expiry, FdLine, FdUse, Stream, StreamEnd, StreamFd, Streamless, Told};
use hatrace_core::tcp::TcpState;
use hatrace_core::time::Mono;
use hatrace_core::{Engine, Settings};
use proptest::prelude::*;
use proptest::sample::select;

const PID: Pid = Pid(7);

fn endpoints(cookie: u64) -> Endpoints {
    let port = 40_000 + u16::try_from(cookie).unwrap_or(0);
    Endpoints::new(
        SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80)),
        SocketAddr::from((Ipv4Addr::new(198, 51, 100, 7), port)),
    )
}

fn table() -> impl Strategy<Value = FdTable> {
    select(vec![FdTable(1), FdTable(1), FdTable(1), FdTable(2)])
}

fn held() -> impl Strategy<Value = HeldSock> {
    (1u64..8, 10u32..16, table()).prop_map(|(cookie, fd, table)| HeldSock {
        pid: PID,
        table,
        fd: Fd(fd),
        cookie: Cookie(cookie),
        state: TcpState::CloseWait,
        side: Side::Client,
        endpoints: endpoints(cookie),
        netns: Netns(1),
    })
}

fn end() -> impl Strategy<Value = StreamEnd> {
    let fd = (prop::option::of(table()), 10u32..17).prop_map(|(group, fd)| StreamFd { group, fd: Fd(fd) });
    prop::option::of(fd).prop_map(|fd| StreamEnd {
        fd,
        ..StreamEnd::default()
    })
}

fn stream() -> impl Strategy<Value = Stream> {
    let names = select(vec![Some("fe"), Some("other"), Some("GLOBAL"), None]);
    (1u64..6, names, end(), end(), prop::option::of(1u64..8)).prop_map(
        |(ptr, frontend, front, back, source)| Stream {
            connect_expires: Expiry::Unknown,
            ptr: SessionPtr(ptr),
            source: source.map(|cookie| endpoints(cookie).peer),
            frontend: frontend.map(Arc::from),
            backend: Some(Arc::from("be")),
            server: None,
            age: None,
            front,
            back,
        },
    )
}

fn line() -> impl Strategy<Value = FdLine> {
    let what = select(vec![
        FdUse::Listener,
        FdUse::Stream,
        FdUse::StreamOrCheck,
        FdUse::Idle(Streamless::KeepAlive),
        FdUse::Other,
    ]);
    (10u32..17, what, prop::option::of(40_000u16..40_008)).prop_map(|(fd, what, peer_port)| FdLine {
        fd: StreamFd {
            group: None,
            fd: Fd(fd),
        },
        what,
        local_port: None,
        peer_port,
        proxy: None,
        server: None,
        stream: None,
        expires: hatrace_core::stream::Expiry::Unknown,
    })
}

fn told() -> impl Strategy<Value = Told> {
    let looks = || prop::collection::vec(held(), 0..8);
    let streams = prop::option::of(prop::collection::vec(stream(), 0..6));
    (
        looks(),
        looks(),
        any::<bool>(),
        streams,
        prop::collection::vec(line(), 0..4),
    )
        .prop_map(|(before, other, same, streams, fds)| Told {
            pid: PID,
            after: if same { before.clone() } else { other },
            before,
            streams,
            details: Vec::new(),
            asked: (10..13).map(Fd).collect(),
            fds,
            servers: None,
            figures: None,
        })
}

/// Seven sockets in CLOSE_WAIT, held by HAProxy, and HAProxy there to be asked.
fn engine() -> Engine {
    let settings = Settings {
        min: Duration::from_secs(1),
        max_lives: 100,
        polled: true,
        exact_timewaits: false,
        sessions: true,
        by: hatrace_core::verdicts::By::Peer,
    };
    let mut engine = Engine::new(settings, Mono::from_ns(0));
    let rows = (1..8).map(|cookie| SockRow {
        queues: true,
        rto: None,
        cookie: Cookie(cookie),
        timewait: false,
        state: TcpState::CloseWait,
        claim: Claim::Fd {
            pid: PID,
            fd: Fd(u32::try_from(cookie).unwrap_or(0) + 9),
        },
        side: Side::Client,
        endpoints: endpoints(cookie),
        netns: Netns(1),
        inode: Some(cookie),
        orphaned: Some(false),
        unread: 0,
        unacked: 0,
        retransmits: 0,
        timer: Timer::None,
        quiet: None,
    });
    let sweep = Sweep {
        netns: vec![Netns(1)],
        states: TcpState::ALL.into_iter().collect(),
        took: Duration::ZERO,
        fds: true,
        rows: rows.collect(),
        timewait_overflow: None,
        limits: Vec::new(),
    };
    engine.handle(Mono::from_ns(1), Input::Sweep(Box::new(sweep)));
    engine.handle(
        Mono::from_ns(1),
        Input::Asking(Asking {
            pid: PID,
            access: Some(Access::Ready {
                through: "x".to_owned(),
            }),
            questions: 1,
            took: Duration::ZERO,
            longest: Duration::ZERO,
        }),
    );
    engine
}

/// Whether a session that is shown live for `cookie` may be: by this answer.
fn vouched(told: &Told, cookie: Cookie, ptr: SessionPtr) -> bool {
    let streams = told.streams.iter().flatten();
    let stayed = |fd: StreamFd| {
        let at = |looks: &[HeldSock]| {
            // The last word on a place counts, as it does in a map.
            let places: Vec<_> = looks.iter().filter(|held| held.fd == fd.fd).collect();
            places.iter().any(|held| {
                let last = places.iter().rev().find(|other| other.table == held.table);
                held.cookie == cookie && last.is_some_and(|last| last.cookie == cookie)
            })
        };
        at(&told.before) && at(&told.after)
    };
    streams.filter(|stream| stream.ptr == ptr).any(|stream| {
        [stream.front.fd, stream.back.fd]
            .into_iter()
            .flatten()
            .any(stayed)
    })
}

/// Whether a socket was at the same descriptor at both looks of an answer.
fn stayed_somewhere(told: &Told, cookie: Cookie) -> bool {
    let last = |looks: &[HeldSock], place: (Fd, FdTable)| {
        let there = looks.iter().rev().find(|held| (held.fd, held.table) == place);
        there.map(|held| held.cookie)
    };
    told.after.iter().any(|held| {
        let place = (held.fd, held.table);
        last(&told.after, place) == Some(cookie) && last(&told.before, place) == Some(cookie)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_live_session_is_vouched_for_by_both_looks(answers in prop::collection::vec(told(), 1..5)) {
        let mut engine = engine();
        // What each socket's session rests on: the last answer that came to its end.
        let mut last: Option<&Told> = None;
        for (index, told) in answers.iter().enumerate() {
            let at = Mono::from_ns(2_000_000_000 * (index as u64 + 1));
            engine.handle(at, Input::Told(Box::new(told.clone())));
            if told.streams.is_some() {
                last = Some(told);
            }
            let snapshot = engine.snapshot(at);
            let mut with_session = 0;
            for row in &snapshot.lingering {
                let session = row.naming.session.as_ref();
                prop_assert!(session.is_some() || row.naming.without.is_some(), "a name, or a reason: {row:?}");
                let shown = session.filter(|_| row.naming.without.is_none());
                with_session += u64::from(shown.is_some());
                if let Some(session) = shown.filter(|session| session.tie == Tie::Live) {
                    let fresh = last.is_some_and(|told| vouched(told, row.cookie, session.ptr));
                    let older = answers[..=index].iter().any(|told| vouched(told, row.cookie, session.ptr));
                    // An answer that doesn't show the socket at all leaves what was known.
                    prop_assert!(fresh || older, "{row:?}");
                    let seen = last.is_some_and(|told| stayed_somewhere(told, row.cookie));
                    prop_assert!(fresh || !seen, "seen, and not vouched for: {row:?}");
                }
                if row.naming.without == Some(Without::Reused) {
                    prop_assert!(session.is_some_and(|session| session.tie == Tie::Reused));
                }
            }
            prop_assert_eq!(snapshot.totals.with_session, with_session);
            let reasons: u64 = snapshot.without_session.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(reasons + with_session, snapshot.lingering.len() as u64);
        }
    }
}
