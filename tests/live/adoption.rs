//! Sockets that were lingering before hatrace came.

use std::thread::sleep;
use std::time::{Duration, Instant};

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::report::Report;
use hatrace_tests::tracer::run;
use hatrace_tests::{ready, slack};

use super::TCP;

#[test]
fn two_hundred_older_sockets_with_the_truth_inside_their_intervals() {
    if !ready("adoption::two_hundred_older_sockets_with_the_truth_inside_their_intervals") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    // Two waves, half of each closed by the server and half by the client: 100 pairs, 200 sockets.
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 100);
    let (first, second) = pairs.split_at_mut(50);
    for wave in [first, second] {
        let (by_server, by_client) = wave.split_at_mut(25);
        by_server.iter_mut().for_each(Pair::server_closes);
        by_client.iter_mut().for_each(Pair::client_closes);
        sleep(Duration::from_millis(1500));
    }
    let by_server = |at: usize| at % 50 < 25;
    let check = |report: &Report| {
        let (by_peer, by_local) = (report.by_peer(), report.by_local());
        for (at, pair) in pairs.iter().enumerate() {
            let front = &by_peer[&pair.client_address().to_string()];
            let back = &by_local[&pair.back_address().to_string()];
            let (front_state, back_state) = if by_server(at) {
                ("FIN_WAIT2", "CLOSE_WAIT")
            } else {
                ("CLOSE_WAIT", "FIN_WAIT2")
            };
            assert_eq!(
                front.kind(),
                format!("{front_state}/held/client"),
                "{}",
                front.json
            );
            assert_eq!(back.kind(), format!("{back_state}/held/server"), "{}", back.json);
            for row in [front, back] {
                assert!(
                    matches!(row.text("age_bound"), "between" | "at_least"),
                    "{}",
                    row.json
                );
                assert_eq!(row.json["adopted"], true, "{}", row.json);
                assert!(
                    row.can_have_begun(pair.closed_at, pair.closed_at + 0.05),
                    "closed at {}, shown {:?}..{}: {}",
                    pair.closed_at,
                    row.earliest,
                    row.latest,
                    row.json
                );
            }
        }
        assert_eq!(report.lingering().len(), 200);
    };
    let report = run(&["report", "--json", "-d", "2", "--pid", &pid]).report();
    check(&report);
    assert_eq!(report.total("adopted"), 200);
    assert_eq!(report.json()["target"]["mode"], "traced");
    check(&run(&["stuck", "--json", "--pid", &pid]).report());
}

#[test]
fn an_adopted_socket_ends_as_what_it_was() {
    if !ready("adoption::an_adopted_socket_ends_as_what_it_was") {
        return;
    }
    use hatrace_tests::tracer::Tracer;
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 10);
    pairs.iter_mut().for_each(Pair::server_closes);
    let closed = Instant::now();
    sleep(Duration::from_secs(1));
    let tracer = Tracer::start(&["report", "--json", "-d", "3", "--pid", &pid]);
    let lasted = closed.elapsed().as_secs_f64();
    drop(pairs);
    let report = tracer.finish().report();
    let dwell = report.dwell("client", "FIN_WAIT2");
    // An end at which the kernel didn't run the program is none that could be timed: said, and bounded.
    let untold = 10u64.abs_diff(dwell["ended"].as_u64().unwrap());
    assert!(
        untold <= report.missed(),
        "{untold} ends are missing: {} {}",
        report.json()["totals"],
        report.json()["dwell"]
    );
    assert_eq!(dwell["open"], 0, "{}", report.json()["dwell"]);
    let shown = dwell["max_s"].as_f64().unwrap();
    assert!(
        (lasted - 0.1..lasted + 0.3 + slack()).contains(&shown),
        "closed for {lasted} s: {dwell}"
    );
    assert_eq!(report.lingering().len(), 0, "{}", report.json());
}
