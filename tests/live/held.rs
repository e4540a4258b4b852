//! Held sockets: HAProxy has the fd, the other end doesn't close. Ages against the script's own clock.

use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::report::Report;
use hatrace_tests::tracer::{Tracer, run};
use hatrace_tests::{ready, slack};

use super::TCP;

/// A FIN passes HAProxy at once, and its ACK may be delayed by 40 ms.
const ON_ITS_WAY: f64 = 0.050;

/// So many pairs; fewer on an emulated machine, where each takes its time.
fn count() -> usize {
    if slack() > 0.0 { 100 } else { 500 }
}

fn rig() -> (Netns, Haproxy, Server) {
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    (netns, haproxy, server)
}

/// Each pair's sockets are there, as `front` and `back`, and can have begun when the script closed.
fn check(report: &Report, pairs: &[Pair], front: &str, back: &str, exact: bool) {
    let (by_peer, by_local) = (report.by_peer(), report.by_local());
    for pair in pairs {
        let client = pair.client_address().to_string();
        let row = by_peer
            .get(&client)
            .unwrap_or_else(|| panic!("the front socket of {client} is missing"));
        assert_eq!(row.kind(), front, "{}", row.json);
        let local = pair.back_address().to_string();
        let other = by_local
            .get(&local)
            .unwrap_or_else(|| panic!("the back socket {local} is missing"));
        assert_eq!(other.kind(), back, "{}", other.json);
        for row in [row, other] {
            assert!(
                row.can_have_begun(pair.closed_at, pair.closed_at + ON_ITS_WAY),
                "closed at {}, but {:?}..{}: {}",
                pair.closed_at,
                row.earliest,
                row.latest,
                row.json
            );
            if !exact {
                assert_ne!(row.text("age_bound"), "exact", "{}", row.json);
            }
            assert!(row.json["fd"].is_u64(), "{}", row.json);
        }
    }
    if exact {
        report.all_exact();
    }
    assert_eq!(report.lingering().len(), 2 * pairs.len(), "nothing else lingers");
}

#[test]
fn server_closes_and_client_never_does() {
    if !ready("held::server_closes_and_client_never_does") {
        return;
    }
    let (netns, haproxy, server) = rig();
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "7", "--pid", &pid]);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", count());
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    check(
        &report,
        &pairs,
        "FIN_WAIT2/held/client",
        "CLOSE_WAIT/held/server",
        true,
    );
    assert_eq!(report.json()["target"]["mode"], "traced");
    report.nothing_lost();
    assert!(report.total("adopted") <= report.missed());
    // Right-censored: none has ended, all are in the histogram.
    let dwell = report.dwell("client", "FIN_WAIT2");
    assert_eq!((&dwell["ended"], &dwell["open"]), (&0.into(), &count().into()));
    assert!(dwell["p50_s"].as_f64().unwrap() > 1.0, "{dwell}");

    // Started after them: the same sockets, by intervals that contain the truth.
    let stuck = run(&["stuck", "--json", "--pid", &pid]).report();
    check(
        &stuck,
        &pairs,
        "FIN_WAIT2/held/client",
        "CLOSE_WAIT/held/server",
        false,
    );
}

#[test]
fn client_closes_and_server_never_does() {
    if !ready("held::client_closes_and_server_never_does") {
        return;
    }
    let (netns, haproxy, server) = rig();
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "5", "--pid", &pid]);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 100);
    pairs.iter_mut().for_each(Pair::client_closes);
    let report = tracer.finish().report();
    check(
        &report,
        &pairs,
        "CLOSE_WAIT/held/client",
        "FIN_WAIT2/held/server",
        true,
    );
    let stuck = run(&["stuck", "--json", "--pid", &pid]).report();
    check(
        &stuck,
        &pairs,
        "CLOSE_WAIT/held/client",
        "FIN_WAIT2/held/server",
        false,
    );
}

#[test]
fn polled_mode_sees_the_same() {
    if !ready("held::polled_mode_sees_the_same") {
        return;
    }
    let (netns, haproxy, server) = rig();
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "5", "--mode", "polled", "--pid", &pid]);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 50);
    sleep(Duration::from_millis(500));
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    assert_eq!(report.json()["target"]["mode"], "polled");
    check(
        &report,
        &pairs,
        "FIN_WAIT2/held/client",
        "CLOSE_WAIT/held/server",
        false,
    );
    for row in report.lingering() {
        let width = row.latest - row.earliest.expect("polled rows are bounded on both sides");
        assert!(width < 1.5, "wider than the poll interval: {}", row.json);
    }
}

#[test]
fn the_stream_tells_what_lingers_and_what_leaves() {
    if !ready("held::the_stream_tells_what_lingers_and_what_leaves") {
        return;
    }
    let (netns, haproxy, server) = rig();
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["--pid", &pid, "-d", "6", "--min", "500ms"]);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 3);
    pairs.iter_mut().for_each(Pair::server_closes);
    sleep(Duration::from_secs(3));
    let address = pairs[0].client_address().to_string();
    drop(pairs);
    let finished = tracer.finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    let lines: Vec<&str> = finished
        .stdout
        .lines()
        .filter(|line| line.contains(&address))
        .collect();
    assert!(
        lines.iter().any(|line| line.contains("FIN_WAIT2")),
        "{}",
        finished.stdout
    );
    assert!(
        lines.len() >= 2,
        "one line when it lingers, one when it leaves: {}",
        finished.stdout
    );
}
