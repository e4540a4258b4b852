//! Whose sockets: HAProxy's and nobody else's, wherever it runs.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::ready;
use hatrace_tests::tracer::{Tracer, run, run_command};

use super::TCP;

#[test]
fn other_traffic_does_not_appear() {
    if !ready("scope::other_traffic_does_not_appear") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    // Another HAProxy, the same server behind it, other clients: all of it lingers, none of it is meant.
    let other_server = Server::listen(&netns, "127.0.0.1:9100");
    let other = Haproxy::start(&netns, &TCP.replace(":8000", ":8100").replace(":9000", ":9100"));
    let direct = Server::listen(&netns, "127.0.0.1:9200");
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "5", "--pid", &pid]);
    let mut foreign = other_server.pairs(&netns, "127.0.0.1:8100", 50);
    foreign.extend(direct.pairs(&netns, "127.0.0.1:9200", 50));
    let mut own = server.pairs(&netns, "127.0.0.1:8000", 20);
    foreign.iter_mut().for_each(Pair::server_closes);
    own.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    let stuck = run(&["stuck", "--json", "--pid", &pid]).report();
    let mut ours: HashSet<String> = own.iter().map(|pair| pair.client_address().to_string()).collect();
    ours.insert("127.0.0.1:9000".to_owned());
    for report in [&report, &stuck] {
        assert_eq!(report.lingering().len(), 40, "{}", report.json());
        for row in report.lingering() {
            assert!(ours.contains(row.text("peer")), "not ours: {}", row.json);
        }
    }
    assert_eq!(report.total("sockets"), 40, "{}", report.json()["totals"]);
    // A look at the other one is as clean.
    let other_stuck = run(&["stuck", "--json", "--pid", &other.pid().to_string()]).report();
    assert_eq!(other_stuck.lingering().len(), 100);
}

#[test]
fn inside_the_same_namespace_or_from_outside_is_the_same() {
    if !ready("scope::inside_the_same_namespace_or_from_outside_is_the_same") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 10);
    pairs.iter_mut().for_each(Pair::server_closes);
    sleep(Duration::from_millis(300));
    let binary = hatrace_tests::tracer::binary();
    for args in [
        ["stuck", "--json", "--pid", &pid].as_slice(),
        &["report", "--json", "-d", "1", "--pid", &pid],
    ] {
        let inside = run_command(netns.command(binary.to_str().unwrap()).args(args)).report();
        let outside = run(args).report();
        let kinds = |report: &hatrace_tests::report::Report| {
            let mut rows: Vec<(String, String)> = report
                .lingering()
                .iter()
                .map(|row| (row.text("cookie").to_owned(), row.kind()))
                .collect();
            rows.sort();
            rows
        };
        assert_eq!(kinds(&inside).len(), 20, "{}", inside.json());
        assert_eq!(kinds(&inside), kinds(&outside));
    }
}

#[test]
fn ipv6_and_mapped_ipv4_are_told_as_what_they_are() {
    if !ready("scope::ipv6_and_mapped_ipv4_are_told_as_what_they_are") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let config = TCP.replace("bind 127.0.0.1:8000", "bind :::8000 v4v6");
    let haproxy = Haproxy::start(&netns, &config);
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "4", "--pid", &pid]);
    let mut v4 = server.pairs(&netns, "127.0.0.1:8000", 5);
    let mut v6 = server.pairs(&netns, "[::1]:8000", 5);
    v4.iter_mut().chain(v6.iter_mut()).for_each(Pair::server_closes);
    let report = tracer.finish().report();
    let stuck = run(&["stuck", "--json", "--pid", &pid]).report();
    for report in [&report, &stuck] {
        let rows = report.by_peer();
        for pair in v4.iter().chain(&v6) {
            let row = &rows[&pair.client_address().to_string()];
            assert_eq!(row.kind(), "FIN_WAIT2/held/client", "{}", row.json);
        }
        assert!(
            !report.json().to_string().contains("ffff:"),
            "v4-mapped addresses are folded"
        );
    }
}
