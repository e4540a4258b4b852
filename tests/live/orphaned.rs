//! Orphaned FIN_WAIT2: HAProxy has closed, the kernel waits. The tracepoint says microseconds; `ss` knows better.

use std::io::{Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Server, connect};
use hatrace_tests::tracer::{Tracer, run};
use hatrace_tests::{ready, slack, wall};

use super::HTTP;

/// A client that has been answered and closed upon, and doesn't close itself.
fn answered(netns: &Netns) -> std::net::TcpStream {
    netns.run(|| {
        let mut client = connect("127.0.0.1:8000");
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = Vec::new();
        client.read_to_end(&mut text).unwrap();
        assert!(
            text.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&text)
        );
        client
    })
}

fn rig(fin_timeout: &str) -> (Netns, Server, Haproxy) {
    let netns = Netns::new();
    netns.sysctl("net.ipv4.tcp_fin_timeout", fin_timeout);
    let server = Server::listen(&netns, "127.0.0.1:9000");
    server.serve_http();
    let haproxy = Haproxy::start(&netns, HTTP);
    (netns, server, haproxy)
}

#[test]
fn is_shown_for_as_long_as_the_kernel_keeps_it() {
    if !ready("orphaned::is_shown_for_as_long_as_the_kernel_keeps_it") {
        return;
    }
    let (netns, _server, haproxy) = rig("5");
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "10", "--pid", &pid]);
    let clients: Vec<_> = (0..10).map(|_| answered(&netns)).collect();
    let began = wall();
    sleep(Duration::from_secs(2));
    let seen = netns.ss("state fin-wait-2");
    assert_eq!(seen.len(), 10, "ss: {seen:#?}");
    assert!(seen.iter().all(|line| line.contains("timewait")), "ss: {seen:#?}");
    // How long the kernel keeps them, by ss.
    let start = Instant::now();
    while !netns.ss("state fin-wait-2").is_empty() && start.elapsed() < Duration::from_secs(8) {
        sleep(Duration::from_millis(50));
    }
    let lasted = wall() - began;
    let report = tracer.finish().report();
    drop(clients);
    let dwell = report.dwell("client", "FIN_WAIT2");
    assert_eq!(dwell["ended"], 10, "{}", report.json()["dwell"]);
    for quantile in ["p50_s", "max_s"] {
        let shown = dwell[quantile].as_f64().unwrap();
        assert!(
            (shown - lasted).abs() < 1.3,
            "ss saw them for {lasted} s, hatrace says {shown}: {dwell}"
        );
    }
}

#[test]
fn is_listed_with_its_holder_and_its_clock() {
    if !ready("orphaned::is_listed_with_its_holder_and_its_clock") {
        return;
    }
    let (netns, _server, haproxy) = rig("60");
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "4", "--pid", &pid]);
    let began = wall();
    let clients: Vec<_> = (0..20).map(|_| answered(&netns)).collect();
    let ended = wall();
    let report = tracer.finish().report();
    let stuck = run(&["stuck", "--json", "--pid", &pid]).report();
    report.all_exact();
    for (report, bound) in [(&report, "exact"), (&stuck, "at_least")] {
        let rows = report.by_peer();
        let absent = clients.len() - rows.len();
        assert!(
            absent as u64 <= report.missed(),
            "{absent} are missing: {}",
            report.json()
        );
        for client in &clients {
            let address = client.local_addr().unwrap().to_string();
            let Some(row) = rows.get(&address) else { continue };
            assert_eq!(row.kind(), "FIN_WAIT2/timewait/client", "{}", row.json);
            if bound != "exact" {
                assert_eq!(row.text("age_bound"), bound, "{}", row.json);
            }
            assert_eq!(row.text("first_fin"), "haproxy", "{}", row.json);
            assert_eq!(row.json["clock"]["name"], "tcp_fin_timeout", "{}", row.json);
            let left = row.json["clock"]["fires_in_s"].as_f64().unwrap();
            assert!((50.0..=60.1).contains(&left), "{}", row.json);
            assert!(
                row.can_have_begun(began, ended + 0.1),
                "{began}..{ended}: {}",
                row.json
            );
        }
    }
}

#[test]
fn a_late_fin_turns_it_into_time_wait_of_a_minute() {
    if !ready("orphaned::a_late_fin_turns_it_into_time_wait_of_a_minute") {
        return;
    }
    let (netns, _server, haproxy) = rig("30");
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "72", "--pid", &pid]);
    let began = Instant::now();
    let clients: Vec<_> = (0..5).map(|_| answered(&netns)).collect();
    let all = Instant::now();
    sleep(Duration::from_millis(3500));
    let (at_least, at_most) = (all.elapsed().as_secs_f64(), began.elapsed().as_secs_f64());
    drop(clients);
    let report = tracer.finish().report();
    let dwell = report.dwell("client", "FIN_WAIT2");
    assert_eq!(dwell["ended"], 5, "{}", report.json()["dwell"]);
    let shown = dwell["p50_s"].as_f64().unwrap();
    assert!(
        (at_least - 0.2..at_most + 0.2 + slack()).contains(&shown),
        "the FIN came after {at_least} to {at_most} s, hatrace says {shown}"
    );
    let time_wait = report.dwell("client", "TIME_WAIT");
    assert_eq!(time_wait["ended"], 5, "{}", report.json()["dwell"]);
    assert!(
        (59.0..62.5).contains(&time_wait["p50_s"].as_f64().unwrap()),
        "{time_wait}"
    );
    assert!(
        netns.ss("state time-wait sport = :8000").is_empty(),
        "the kernel agrees"
    );
}
