//! Captured output of real HAProxys, and what becomes of it when it is torn, spliced and mangled.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hatrace_core::ids::{Fd, FdTable};
use hatrace_core::stream::{EndState, Expiry, FdUse, ServiceKind, Stream, Streamless};
use proptest::prelude::*;

use super::*;

const VERSIONS: [&str; 3] = ["2.6", "3.0", "3.2"];

fn sample(version: &str, name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/samples/haproxy")
        .join(version)
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn streams(text: &str) -> Vec<Stream> {
    let mut names = Names::default();
    text.lines().filter_map(|line| stream(line, &mut names)).collect()
}

fn lines(version: &str, name: &str) -> Vec<hatrace_core::stream::FdLine> {
    let mut names = Names::default();
    sample(version, name)
        .lines()
        .filter_map(|line| fd_line(line, &mut names))
        .collect()
}

#[test]
fn every_line_of_show_sess_is_a_stream() {
    for version in VERSIONS {
        let text = sample(version, "show_sess.txt");
        let told = text.lines().filter(|line| line.starts_with("0x")).count();
        let read = streams(&text);
        assert_eq!(read.len(), told, "{version}");
        assert!(told > 15, "{version}");
        for stream in &read {
            assert!(stream.age.is_some(), "{version}: {stream:?}");
            assert_ne!(
                stream.front.read_expires,
                Expiry::Unknown,
                "{version}: {stream:?}"
            );
            assert!(stream.front.eof_read.is_some(), "{version}: {stream:?}");
        }
        let peers = read
            .iter()
            .find(|stream| stream.frontend.is_none())
            .expect("a stream of HAProxy's own");
        assert_eq!((peers.front.fd, peers.source), (None, None));
        assert!(peers.back.fd.is_some());
        assert!(read.iter().any(Stream::is_cli));
        let many = |front: Fd| {
            read.iter()
                .filter(|stream| stream.front.fd.is_some_and(|fd| fd.fd == front))
                .count()
        };
        let h2 = read
            .iter()
            .find(|stream| stream.frontend.as_deref() == Some("f_h2"))
            .and_then(|stream| stream.front.fd)
            .expect("an HTTP/2 client");
        assert_eq!(many(h2.fd), 3, "{version}: three streams on one socket");
        let connecting = read
            .iter()
            .find(|stream| stream.back.state == EndState::Connecting);
        assert_eq!(
            connecting.and_then(|stream| stream.server.as_deref()),
            Some("full"),
            "{version}"
        );
        let mapped = read
            .iter()
            .find(|stream| stream.frontend.as_deref() == Some("f_v6"))
            .expect("a client of [::]");
        assert!(mapped.source.is_some());
    }
}

#[test]
fn half_closes_are_the_same_in_every_version() {
    for version in VERSIONS {
        for stream in streams(&sample(version, "show_sess_server_closed_first.txt")) {
            let (front, back) = (stream.front, stream.back);
            assert_eq!(
                (back.eof_read, front.shut_done, front.eof_read, back.shut_done),
                (Some(true), Some(true), Some(false), Some(false)),
                "{version}: {stream:?}"
            );
        }
        for stream in streams(&sample(version, "show_sess_client_closed_first.txt")) {
            let (front, back) = (stream.front, stream.back);
            assert_eq!(
                (front.eof_read, back.shut_done, back.eof_read, front.shut_done),
                (Some(true), Some(true), Some(false), Some(false)),
                "{version}: {stream:?}"
            );
        }
        let queued = streams(&sample(version, "show_sess_queued.txt"));
        let waiting = queued
            .iter()
            .filter(|stream| stream.back.state == EndState::Queued);
        let waiting: Vec<_> = waiting.collect();
        assert!(!waiting.is_empty(), "{version}");
        for stream in waiting {
            assert_eq!((stream.back.fd, &stream.server), (None, &None), "{version}");
        }
    }
}

#[test]
fn quic_has_no_socket_towards_the_client() {
    let read = streams(&sample("3.2", "show_sess_quic.txt"));
    assert!(read.len() >= 3);
    for stream in read {
        assert_eq!(stream.front.fd, None, "{stream:?}");
        assert!(stream.back.fd.is_some() && stream.source.is_some(), "{stream:?}");
    }
}

/// Lines as versions write them that no package brings: after the sources of 2.4 (`src/stream.c: stats_dump_full_strm_to_buffer`'s short
/// form with stream interfaces) and 3.5 (thread groups before the descriptor).
#[test]
fn the_oldest_and_the_newest_form() {
    let mut names = Names::default();
    let old = "0x55b1f0a0c2d0: proto=tcpv4 src=192.0.2.9:4711 fe=fe_tcp be=be_tcp srv=s1 ts=00 epoch=0 age=2h3m calls=3 rate=0 cpu=0 lat=0 rq[f=848000h,i=0,an=00h,rx=,wx=,ax=] rp[f=8004a020h,i=0,an=00h,rx=4s,wx=1m2s,ax=] s0=[8,280008h,fd=11,ex=] s1=[8,204018h,fd=14,ex=] exp=4s";
    let read = stream(old, &mut names).expect("2.4");
    assert_eq!(read.age, Some(Duration::from_secs(7380)));
    assert_eq!(read.front.fd.map(|fd| fd.fd), Some(Fd(11)));
    assert_eq!(read.back.fd.map(|fd| fd.fd), Some(Fd(14)));
    assert_eq!(
        (read.back.eof_read, read.front.shut_done),
        (Some(true), Some(true))
    );
    assert_eq!(read.back.read_expires, Expiry::In(Duration::from_secs(4)));
    assert_eq!(read.front.write_expires, Expiry::In(Duration::from_secs(62)));
    assert_eq!(read.front.read_expires, Expiry::Never);
    let new = "0x7f0b6c0a2000: proto=tcpv6 src=2001:db8::7:4711 fe=3f2a1c be=77aa01 srv=0c0ffe ts=00 epoch=0 age=25d4h calls=3 rate=0 cpu=0 lat=0 rq[f=848000h,i=0,an=00h,ax=] rp[f=80048000h,i=0,an=00h,ax=] scf=[8,20000h,fd=2/11,rex=?,wex=] scb=[10,40003h,fd=-1,rex=,wex=] exp= rc=0 c_exp= run(nice=0) uri=\"/ fe=evil src=10.0.0.1:1\"";
    let read = stream(new, &mut names).expect("3.5");
    let front = read.front.fd.expect("a descriptor");
    assert_eq!((front.group, front.fd), (Some(FdTable(2)), Fd(11)));
    assert_eq!(read.front.read_expires, Expiry::Unknown);
    assert_eq!((read.back.fd, read.back.state), (None, EndState::Closed));
    assert_eq!(read.frontend.as_deref(), Some("3f2a1c"));
    assert_eq!(read.source, Some("[2001:db8::7]:4711".parse().unwrap()));
}

#[test]
fn descriptors_without_a_stream_say_what_they_are() {
    for version in VERSIONS {
        let told = lines(version, "show_fd.txt");
        let text = sample(version, "show_fd.txt");
        let numbered = text.lines().filter(|line| line.contains(" : st=")).count();
        assert_eq!(told.len(), numbered, "{version}");
        let count = |what: FdUse| told.iter().filter(|line| line.what == what).count();
        assert!(count(FdUse::Listener) >= 10, "{version}");
        assert_eq!(count(FdUse::Idle(Streamless::ProxyHeader)), 1, "{version}");
        assert_eq!(count(FdUse::Idle(Streamless::Check)), 1, "{version}");
        assert!(count(FdUse::Idle(Streamless::NoRequest)) >= 2, "{version}");
        assert!(count(FdUse::Idle(Streamless::KeepAlive)) >= 3, "{version}");
        assert!(count(FdUse::Idle(Streamless::Pool)) >= 1, "{version}");
        assert!(count(FdUse::Stream) > 10, "{version}");
        let pool = told
            .iter()
            .find(|line| line.what == FdUse::Idle(Streamless::Pool))
            .expect("a pooled connection");
        assert!(pool.proxy.is_some() && pool.server.is_some(), "{version}");
        // Every stream that a descriptor names is one that `show sess` tells of.
        let live = streams(&sample(version, "show_sess.txt"));
        for line in told.iter().filter(|line| line.stream.is_some()) {
            assert!(
                live.iter().any(|stream| Some(stream.ptr) == line.stream),
                "{version}: {line:?}"
            );
        }
    }
    let draining = lines("3.2", "show_fd_draining.txt");
    assert!(
        draining
            .iter()
            .any(|line| line.what == FdUse::Idle(Streamless::Draining)),
        "{draining:?}"
    );
}

#[test]
fn one_stream_in_the_long_form() {
    for version in VERSIONS {
        let text = sample(version, "show_sess_ptr.txt");
        let session = long_session(&text, &mut Names::default()).unwrap_or_else(|| panic!("{version}"));
        assert!(session.id.is_some(), "{version}");
        assert!(
            session
                .accepted
                .as_deref()
                .is_some_and(|date| date.contains("/Nov/2026:")),
            "{version}: {session:?}"
        );
        assert!(
            session.frontend.is_some() && session.front_fd.is_some(),
            "{version}: {session:?}"
        );
        let all = sample(version, "show_sess_all.txt");
        let both = all.split("\n0x").filter_map(|record| {
            let record = format!("0x{}", record.trim_start_matches("0x"));
            long_session(&record, &mut Names::default())
        });
        let both: Vec<_> = both
            .filter(|session| session.front_fd.is_some() && session.back_fd.is_some())
            .collect();
        assert!(both.len() > 5, "{version}");
        for session in both.iter().filter(|session| session.back_peer.is_some()) {
            assert_ne!(session.back_local, session.back_peer, "{version}");
        }
    }
    assert_eq!(
        long_session("Session not found.\n\n", &mut Names::default()),
        None
    );
}

#[test]
fn info_servers_and_figures() {
    for version in VERSIONS {
        let info = info(&sample(version, "show_info.txt")).expect("HAProxy");
        assert!(info.pid.is_some() && info.uptime.is_some() && !info.stopping);
        assert!(
            info.version
                .as_deref()
                .is_some_and(|told| told.starts_with(version)),
            "{info:?}"
        );
        let mut names = Names::default();
        let conn = servers_conn(&sample(version, "show_servers_conn.txt"), &mut names);
        let state = servers_state(&sample(version, "show_servers_state.txt"), &mut names);
        // One server is a unix socket: it has no address.
        assert_eq!(conn.len(), 5, "{version}: {conn:?}");
        assert_eq!(conn, state, "{version}");
        let services = services(&sample(version, "show_stat.txt"), &mut names);
        let of = |kind| services.iter().filter(|service| service.kind == kind).count();
        assert!(
            of(ServiceKind::Frontend) > 5 && of(ServiceKind::Server) > 4,
            "{version}: {services:?}"
        );
        let s1 = services
            .iter()
            .find(|service| service.server.as_deref() == Some("s1"))
            .expect("a server");
        assert!(s1.current.is_some() && s1.most.is_some(), "{version}: {s1:?}");
    }
    for told in VERSIONS {
        let text = sample(told, "show_version.txt");
        assert!(
            version(&text).is_some_and(|version| version.starts_with(told)),
            "{text}"
        );
    }
    assert_eq!(version("Unknown command: 'show version'\n  help : 2.4\n"), None);
    assert_eq!(super::info("ssh: garbage\n\n"), None);
}

#[test]
fn the_master_s_table() {
    let told = workers(&sample("2.6", "show_proc.txt"));
    let kinds: Vec<_> = told
        .iter()
        .map(|worker| (worker.kind.as_str(), worker.old))
        .collect();
    assert_eq!(kinds, [("master", false), ("worker", false), ("worker", true)]);
    assert_eq!(told[2].pid, 4824);
    assert_eq!(told[2].reloads, Some(1));
}

/// Feeds every parser; they return what they like.
fn feed(text: &str) {
    let mut names = Names::default();
    for line in text.lines() {
        let _ = stream(line, &mut names);
        let _ = fd_line(line, &mut names);
    }
    let _ = long_session(text, &mut names);
    let _ = info(text);
    let _ = version(text);
    let _ = workers(text);
    let _ = servers_conn(text, &mut names);
    let _ = servers_state(text, &mut names);
    let _ = services(text, &mut names);
}

fn corpus() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/samples/haproxy");
    let mut texts = Vec::new();
    for version in VERSIONS {
        for entry in std::fs::read_dir(folder.join(version))
            .expect("samples")
            .flatten()
        {
            let text = std::fs::read_to_string(entry.path()).expect("a sample");
            // A few thousand bytes of each: as many cuts land everywhere.
            texts.push(text.chars().take(6000).collect());
        }
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Torn, spliced with another version's, with bytes replaced: no panic, and no time lost.
    #[test]
    fn mangled_output_is_read_without_a_panic_or_a_loop(
        one in 0usize..1000,
        other in 0usize..1000,
        cut in 0.0f64..1.0,
        joint in 0.0f64..1.0,
        changes in prop::collection::vec((0.0f64..1.0, any::<char>()), 0..12),
    ) {
        let texts = corpus();
        let place = |text: &[char], at: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
            let index = (text.len() as f64 * at) as usize;
            index.min(text.len())
        };
        let one: Vec<char> = texts[one % texts.len()].chars().collect();
        let other: Vec<char> = texts[other % texts.len()].chars().collect();
        let mut mangled: Vec<char> = one[..place(&one, cut)].to_vec();
        mangled.extend(&other[place(&other, joint)..]);
        for (at, with) in changes {
            let at = place(&mangled, at);
            if let Some(c) = mangled.get_mut(at) {
                *c = with;
            }
        }
        let start = Instant::now();
        feed(&mangled.into_iter().collect::<String>());
        prop_assert!(start.elapsed() < Duration::from_secs(2));
    }

    /// Anything at all.
    #[test]
    fn arbitrary_text_is_read_without_a_panic(text in "\\PC{0,400}") {
        feed(&text);
    }
}
