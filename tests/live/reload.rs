//! A reload in the middle: both workers' connections are followed, none lost, none twice.

use std::collections::HashSet;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::tracer::Tracer;
use hatrace_tests::{ready, until};
use rustix::process::Signal;

use super::TCP;

#[test]
fn connections_of_both_workers_are_followed() {
    if !ready("reload::connections_of_both_workers_are_followed") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start_master(&netns, TCP);
    until("a worker", Duration::from_secs(5), || {
        haproxy.workers().len() == 1
    });
    let old = haproxy.workers()[0];
    // As pidof prints them: worker first, then master; quoted together.
    let pids = format!("{old} {}", haproxy.pid());
    let tracer = Tracer::start(&["report", "--json", "--pid", &pids]);
    let mut before = server.pairs(&netns, "127.0.0.1:8000", 20);
    haproxy.signal(Signal::USR2);
    until("a second worker", Duration::from_secs(10), || {
        haproxy.workers().iter().any(|pid| *pid != old)
    });
    until("the new worker serves", Duration::from_secs(10), || {
        let answer = haproxy.ask("show info");
        answer.lines().any(|line| {
            line.strip_prefix("Pid: ")
                .is_some_and(|pid| pid != old.to_string())
        })
    });
    let new = haproxy.workers().into_iter().find(|pid| *pid != old).unwrap();
    let mut after = server.pairs(&netns, "127.0.0.1:8000", 20);
    before
        .iter_mut()
        .chain(after.iter_mut())
        .for_each(Pair::server_closes);
    std::thread::sleep(Duration::from_millis(2500));
    tracer.signal(Signal::INT);
    let report = tracer.finish().report();
    let rows = report.by_peer();
    for (pairs, worker) in [(&before, old), (&after, new)] {
        for pair in pairs {
            let row = &rows[&pair.client_address().to_string()];
            assert_eq!(row.kind(), "FIN_WAIT2/held/client", "{}", row.json);
            assert_eq!(row.json["pid"], worker, "{}", row.json);
            assert!(
                row.can_have_begun(pair.closed_at, pair.closed_at + 0.05),
                "closed at {}: {}",
                pair.closed_at,
                row.json
            );
        }
    }
    let cookies: HashSet<String> = report
        .lingering()
        .iter()
        .map(|row| row.text("cookie").to_owned())
        .collect();
    assert_eq!(cookies.len(), report.lingering().len(), "none twice");
    assert_eq!(report.lingering().len(), 80, "{}", report.json());
    report.all_exact();
    report.nothing_lost();
    assert!(
        report.total("seen.client").abs_diff(40) <= report.missed(),
        "{}",
        report.json()["totals"]
    );
}

#[test]
fn a_master_alone_stands_for_its_workers_and_an_old_one_ends() {
    if !ready("reload::a_master_alone_stands_for_its_workers_and_an_old_one_ends") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start_master(&netns, TCP);
    until("a worker", Duration::from_secs(5), || {
        haproxy.workers().len() == 1
    });
    let old = haproxy.workers()[0];
    let tracer = Tracer::start(&["report", "--json", "--pid", &haproxy.pid().to_string()]);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 10);
    pairs.iter_mut().for_each(Pair::server_closes);
    haproxy.signal(Signal::USR2);
    until("a second worker", Duration::from_secs(10), || {
        haproxy.workers().iter().any(|pid| *pid != old)
    });
    std::thread::sleep(Duration::from_millis(1500));
    // The peers close at last: the old worker has nothing left and ends; its sockets end as what they were.
    drop(pairs);
    until("the old worker ends", Duration::from_secs(10), || {
        !haproxy.workers().contains(&old)
    });
    std::thread::sleep(Duration::from_millis(500));
    tracer.signal(Signal::INT);
    let report = tracer.finish().report();
    assert_eq!(
        report.dwell("client", "FIN_WAIT2")["ended"],
        10,
        "{}",
        report.json()["dwell"]
    );
    assert!(report.dwell("client", "FIN_WAIT2")["p50_s"].as_f64().unwrap() > 1.4);
    assert!(
        report.json()["ended_processes"]
            .as_array()
            .unwrap()
            .contains(&old.into()),
        "{}",
        report.json()
    );
}
