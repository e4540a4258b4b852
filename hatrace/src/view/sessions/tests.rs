use std::sync::Arc;

use hatrace_core::ids::{Cookie, Fd, Pid, SessionPtr};
use hatrace_core::snapshot::{ServiceRow, ServiceSockets};
use hatrace_core::sock::Endpoints;
use hatrace_core::stream::{EndState, Service, ServiceKind, Stream, StreamFd};
use hatrace_core::tcp::TcpState;

use super::*;
use crate::view::sample::{self, text};

fn end(fd: u32, eof: bool, shut: bool) -> StreamEnd {
    StreamEnd {
        fd: Some(StreamFd {
            group: None,
            fd: Fd(fd),
        }),
        state: EndState::Established,
        eof_read: Some(eof),
        shut_done: Some(shut),
        read_expires: Expiry::Never,
        write_expires: Expiry::In(Duration::from_secs(3)),
    }
}

fn session(ptr: u64, age: u64, closing: bool) -> SessionRow {
    let ends = |local: &str, peer: &str| Endpoints::new(local.parse().unwrap(), peer.parse().unwrap());
    let sock = |cookie, state, ends| SessionSock {
        cookie: Cookie(cookie),
        endpoints: ends,
        state,
        age: closing.then(|| sample::exact(Duration::from_secs(10_920))),
    };
    let (front, back) = if closing {
        (TcpState::FinWait2, TcpState::CloseWait)
    } else {
        (TcpState::Established, TcpState::Established)
    };
    SessionRow {
        host: None,
        pid: Pid(5108),
        stream: Stream {
            connect_expires: Expiry::Unknown,
            ptr: SessionPtr(ptr),
            source: Some("10.0.0.7:51234".parse().unwrap()),
            frontend: Some(Arc::from("fe_http")),
            backend: Some(Arc::from("be_app")),
            server: Some(Arc::from("srv2")),
            age: Some(Duration::from_secs(age)),
            front: end(11, false, closing),
            back: end(12, closing, false),
        },
        front: Some(sock(1, front, ends("192.0.2.1:443", "10.0.0.7:51234"))),
        back: Some(sock(2, back, ends("192.0.2.1:40000", "10.1.0.2:80"))),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        sessions: vec![
            session(0x55e4_635a_d1b0, 10_930, true),
            session(0x55e4_635a_d2b0, 30, false),
        ],
        services: vec![ServiceRow {
            host: None,
            pid: Pid(5108),
            service: Service {
                kind: ServiceKind::Server,
                proxy: Arc::from("be_app"),
                server: Some(Arc::from("srv2")),
                status: "no check".to_owned(),
                current: Some(9),
                most: Some(12),
                limit: Some(10),
                queued: Some(4),
                total: Some(100),
            },
            before: Some((Duration::from_secs(2), 12)),
            sockets: ServiceSockets {
                states: [(TcpState::Established, 8), (TcpState::CloseWait, 1)].into(),
                from: ["192.0.2.1".parse().unwrap()].into(),
                to: ["10.1.0.2:80".parse().unwrap()].into(),
            },
        }],
        ..sample::quiet()
    }
}

#[test]
fn ages_groups_and_what_haproxy_believes() {
    let written = text(|out| write(out, &snapshot(), &sample::context(), &Page::default(), true));
    let after = written.split_once('\n').unwrap().1;
    assert_eq!(
        after,
        "\
2 sessions, 1 stuck: a socket of theirs has lingered for 1s or more

HAProxy's books (show stat), and the kernel's sockets of each:
KIND   NAME        STATUS   SCUR TREND           SMAX SLIM FULL QCUR SOCKETS
server be_app/srv2 no-check    9 falling:12>9/2s   12   10  90%    4 ESTABLISHED:8,CLOSE_WAIT:1
The same from the servers' own hosts:
  be_app/srv2: ss -tanop 'sport = :80 and dst = 192.0.2.1'

Ages (since the connection was accepted):
     0..1m       1  50.0% |████████████████████████████████████████
    1m..5m       0   0.0% |
   5m..10m       0   0.0% |
      ≥10m       1  50.0% |▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ 1 stuck

By frontend:
SESSIONS STUCK OLDEST NAME
       2     1   3h2m fe_http

By backend:
SESSIONS STUCK OLDEST NAME
       2     1   3h2m be_app

By server:
SESSIONS STUCK OLDEST NAME
       2     1   3h2m be_app/srv2

By peer:
SESSIONS STUCK OLDEST NAME
       2     1   3h2m 10.0.0.7

Oldest first; what the kernel has, what HAProxy believes:
SESSION         AGE STUCK FRONTEND BACKEND/SERVER CLIENT         FRONT           BELIEVES              BACK             BELIEVES
0x55e4635ad1b0 3h2m stuck fe_http  be_app/srv2    10.0.0.7:51234 FIN_WAIT2:3h02m shut,rex=never,wex=3s CLOSE_WAIT:3h02m eof,rex=never,wex=3s
0x55e4635ad2b0  30s -     fe_http  be_app/srv2    10.0.0.7:51234 ESTABLISHED     rex=never,wex=3s      ESTABLISHED      rex=never,wex=3s
  eof: HAProxy has read the FIN; shut: HAProxy has sent its own; rex, wex: when it gives up waiting to read, to write

"
    );
}

#[test]
fn a_selection_is_of_sessions() {
    let snapshot = snapshot();
    let count = |change: &dyn Fn(&mut crate::view::Selection)| {
        let mut selection = crate::view::Selection::default();
        change(&mut selection);
        selection.sessions(&snapshot).len()
    };
    assert_eq!(count(&|_| {}), 2);
    assert_eq!(count(&|s| s.older = Some(Duration::from_secs(300))), 1);
    assert_eq!(count(&|s| s.states = vec![TcpState::CloseWait]), 1);
    assert_eq!(count(&|s| s.proxies = vec!["fe_http".to_owned()]), 2);
    assert_eq!(count(&|s| s.proxies = vec!["other".to_owned()]), 0);
    assert_eq!(count(&|s| s.peers = vec!["10.0.0.0/8".parse().unwrap()]), 2);
}

#[test]
fn an_age_falls_into_the_guides_buckets() {
    for (seconds, expected) in [
        (0, 0),
        (59, 0),
        (60, 1),
        (299, 1),
        (300, 2),
        (599, 2),
        (600, 3),
        (99_999, 3),
    ] {
        assert_eq!(bucket(Duration::from_secs(seconds)), expected, "{seconds}");
    }
}
