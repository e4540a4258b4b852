//! The polled mode: what it shows of the core, less exactly and nothing else. Linux 5.10 has no other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server, connect};
use hatrace_tests::report::{Report, Row};
use hatrace_tests::tracer::Tracer;
use hatrace_tests::{ready, slack, until, wall};
use rustix::process::Signal;

use super::odd::linger_zero;
use super::{HTTP, TCP};

/// Between two polls.
const INTERVAL: f64 = 1.0;

fn watch(seconds: &str, pid: &str) -> Tracer {
    Tracer::start(&[
        "report", "--json", "-d", seconds, "--mode", "polled", "--pid", pid,
    ])
}

fn tcp() -> (Netns, Haproxy, Server) {
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    (netns, haproxy, server)
}

/// Both sockets of each pair, as `front` and `back`; the interval that is told has the truth in it.
fn both_ends(report: &Report, pairs: &[Pair], front: &str, back: &str) {
    let (by_peer, by_local) = (report.by_peer(), report.by_local());
    for pair in pairs {
        for (rows, address, kind) in [
            (&by_peer, pair.client_address(), front),
            (&by_local, pair.back_address(), back),
        ] {
            let row = rows
                .get(&address.to_string())
                .unwrap_or_else(|| panic!("{address} is missing: {}", report.json()));
            assert_eq!(row.kind(), kind, "{}", row.json);
            assert!(
                row.can_have_begun(pair.closed_at, pair.closed_at + 0.05),
                "closed at {}: {}",
                pair.closed_at,
                row.json
            );
            assert_ne!(row.text("age_bound"), "exact", "{}", row.json);
        }
    }
    assert_eq!(report.json()["target"]["mode"], "polled");
}

fn width(row: &Row) -> f64 {
    row.latest - row.earliest.expect("bounded on both sides")
}

#[test]
fn held_either_way_within_an_interval() {
    if !ready("polled::held_either_way_within_an_interval") {
        return;
    }
    let (netns, haproxy, server) = tcp();
    let tracer = watch("6", &haproxy.pid().to_string());
    let mut by_server = server.pairs(&netns, "127.0.0.1:8000", 20);
    let mut by_client = server.pairs(&netns, "127.0.0.1:8000", 20);
    sleep(Duration::from_millis(500));
    by_server.iter_mut().for_each(Pair::server_closes);
    by_client.iter_mut().for_each(Pair::client_closes);
    let report = tracer.finish().report();
    both_ends(
        &report,
        &by_server,
        "FIN_WAIT2/held/client",
        "CLOSE_WAIT/held/server",
    );
    both_ends(
        &report,
        &by_client,
        "CLOSE_WAIT/held/client",
        "FIN_WAIT2/held/server",
    );
    let rows = report.lingering();
    assert_eq!(rows.len(), 80, "nothing else lingers");
    for row in rows {
        assert!(width(&row) < INTERVAL + 0.5 + slack(), "{}", row.json);
    }
}

#[test]
fn older_ones_are_at_least_so_old() {
    if !ready("polled::older_ones_are_at_least_so_old") {
        return;
    }
    let (netns, haproxy, server) = tcp();
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 10);
    pairs.iter_mut().for_each(Pair::server_closes);
    sleep(Duration::from_millis(1500));
    let report = watch("3", &haproxy.pid().to_string()).finish().report();
    both_ends(&report, &pairs, "FIN_WAIT2/held/client", "CLOSE_WAIT/held/server");
    for row in report.lingering() {
        assert!(
            matches!(row.text("age_bound"), "between" | "at_least"),
            "{}",
            row.json
        );
    }
}

/// A client that has been answered and closed upon, and doesn't close itself.
fn answered(netns: &Netns) -> TcpStream {
    netns.run(|| {
        let mut client = connect("127.0.0.1:8000");
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = Vec::new();
        client.read_to_end(&mut text).unwrap();
        client
    })
}

#[test]
fn orphaned_with_its_clock_until_a_late_fin() {
    if !ready("polled::orphaned_with_its_clock_until_a_late_fin") {
        return;
    }
    let netns = Netns::new();
    netns.sysctl("net.ipv4.tcp_fin_timeout", "60");
    let server = Server::listen(&netns, "127.0.0.1:9000");
    server.serve_http();
    let haproxy = Haproxy::start(&netns, HTTP);
    let tracer = watch("8", &haproxy.pid().to_string());
    let (began, began_wall) = (Instant::now(), wall());
    let stay: Vec<_> = (0..4).map(|_| answered(&netns)).collect();
    let leave: Vec<_> = (0..6).map(|_| answered(&netns)).collect();
    let (all, ended_wall) = (Instant::now(), wall());
    sleep(Duration::from_millis(3500));
    let (at_least, at_most) = (all.elapsed().as_secs_f64(), began.elapsed().as_secs_f64());
    drop(leave);
    let report = tracer.finish().report();
    let rows = report.by_peer();
    assert_eq!(rows.len(), stay.len(), "{}", report.json()["lingering"]);
    for client in &stay {
        let row = &rows[&client.local_addr().unwrap().to_string()];
        assert_eq!(row.kind(), "FIN_WAIT2/timewait/client", "{}", row.json);
        assert_eq!(row.json["clock"]["name"], "tcp_fin_timeout", "{}", row.json);
        let left = row.json["clock"]["fires_in_s"].as_f64().unwrap();
        assert!((50.0..=60.1).contains(&left), "{}", row.json);
        assert!(row.can_have_begun(began_wall, ended_wall + 0.1), "{}", row.json);
    }
    let dwell = report.dwell("client", "FIN_WAIT2");
    assert_eq!(
        (&dwell["ended"], &dwell["open"]),
        (&6.into(), &4.into()),
        "{dwell}"
    );
    let shown = dwell["p50_s"].as_f64().unwrap();
    assert!(
        (at_least - INTERVAL - 0.2..at_most + INTERVAL + 0.2 + slack()).contains(&shown),
        "the FIN came after {at_least} to {at_most} s, hatrace says {shown}"
    );
}

#[test]
fn a_reset_ends_it() {
    if !ready("polled::a_reset_ends_it") {
        return;
    }
    let (netns, haproxy, server) = tcp();
    let tracer = watch("6", &haproxy.pid().to_string());
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 4);
    pairs.iter_mut().for_each(Pair::server_closes);
    sleep(Duration::from_millis(2500));
    let stay = pairs.split_off(2);
    for pair in pairs {
        linger_zero(&pair.client);
        drop(pair.client);
    }
    let report = tracer.finish().report();
    both_ends(&report, &stay, "FIN_WAIT2/held/client", "CLOSE_WAIT/held/server");
    let dwell = report.dwell("client", "FIN_WAIT2");
    assert_eq!(
        (&dwell["ended"], &dwell["open"]),
        (&2.into(), &2.into()),
        "{dwell}"
    );
}

#[test]
fn both_workers_of_a_reload() {
    if !ready("polled::both_workers_of_a_reload") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start_master(&netns, TCP);
    until("a worker", Duration::from_secs(5), || {
        haproxy.workers().len() == 1
    });
    let old = haproxy.workers()[0];
    let tracer = Tracer::start(&[
        "report",
        "--json",
        "--mode",
        "polled",
        "--pid",
        &haproxy.pid().to_string(),
    ]);
    let mut before = server.pairs(&netns, "127.0.0.1:8000", 10);
    haproxy.signal(Signal::USR2);
    until("the new worker serves", Duration::from_secs(20), || {
        let answer = haproxy.ask("show info");
        let pid = answer.lines().find_map(|line| line.strip_prefix("Pid: "));
        pid.is_some_and(|pid| pid != old.to_string())
    });
    let new = haproxy.workers().into_iter().find(|pid| *pid != old).unwrap();
    let mut after = server.pairs(&netns, "127.0.0.1:8000", 10);
    before.iter_mut().chain(&mut after).for_each(Pair::server_closes);
    sleep(Duration::from_millis(3500));
    tracer.signal(Signal::INT);
    let report = tracer.finish().report();
    let rows = report.by_peer();
    for (pairs, worker) in [(&before, old), (&after, new)] {
        both_ends(&report, pairs, "FIN_WAIT2/held/client", "CLOSE_WAIT/held/server");
        for pair in pairs {
            let row = &rows[&pair.client_address().to_string()];
            assert_eq!(row.json["pid"], worker, "{}", row.json);
        }
    }
    assert_eq!(report.lingering().len(), 40, "{}", report.json());
}

#[test]
fn ipv6_and_mapped_ipv4() {
    if !ready("polled::ipv6_and_mapped_ipv4") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, &TCP.replace("bind 127.0.0.1:8000", "bind :::8000 v4v6"));
    let tracer = watch("4", &haproxy.pid().to_string());
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 3);
    pairs.extend(server.pairs(&netns, "[::1]:8000", 3));
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    both_ends(&report, &pairs, "FIN_WAIT2/held/client", "CLOSE_WAIT/held/server");
    assert!(
        !report.json().to_string().contains("ffff:"),
        "mapped addresses are folded"
    );
}

#[test]
fn retransmissions_are_those_a_poll_finds() {
    if !ready("polled::retransmissions_are_those_a_poll_finds") {
        return;
    }
    let (netns, far) = (Netns::new(), Netns::new());
    netns.wire(&far, "10.0.0.1", "10.9.0.1");
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, &TCP.replace("127.0.0.1:8000", "10.0.0.1:8000"));
    let tracer = watch("6", &haproxy.pid().to_string());
    let mut pairs = server.pairs(&far, "10.0.0.1:8000", 2);
    // From now on no ACK comes back.
    far.silence("10.0.0.1");
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    let rows = report.lingering();
    let waiting: Vec<_> = rows
        .iter()
        .filter(|row| row.kind() == "FIN_WAIT1/held/client")
        .collect();
    assert_eq!(waiting.len(), 2, "{}", report.json()["lingering"]);
    for row in waiting {
        let times = row.json["retransmits"].as_u64().unwrap();
        assert!((2..=8).contains(&times), "{}", row.json);
    }
}
