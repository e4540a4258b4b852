//! Many short connections: every life is accounted for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::report::Report;
use hatrace_tests::tracer::{Tracer, run};
use hatrace_tests::{ready, until};

use super::TCP;

const DIRECT: &str = "
defaults
  mode http
  option httpclose
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:8000
  default_backend be
backend be
  server s1 127.0.0.1:9000
frontend origin
  bind 127.0.0.1:9000
  http-request return status 200 content-type text/plain string ok
";

/// `count` requests, a connection each, from four threads, towards many loopback addresses so that ports don't run out.
fn requests(netns: &Netns, count: usize) -> usize {
    let (next, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
    netns.run(|| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while next.fetch_add(1, Ordering::Relaxed) < count {
                        let address: SocketAddr = "127.0.0.1:8000".parse().unwrap();
                        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(5))
                        else {
                            continue;
                        };
                        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
                        let sent = stream
                            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                            .is_ok();
                        let mut text = Vec::new();
                        let _ = stream.read_to_end(&mut text);
                        if sent && text.starts_with(b"HTTP/1.1 200") {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
    });
    served.into_inner()
}

/// lives = counted + delivered + lost + open, on each side; and nothing is lost.
fn reconciles(report: &Report) {
    for side in ["client", "server", "control", "unknown"] {
        let total = |key: &str| report.total(&format!("{key}.{side}"));
        assert_eq!(
            total("seen"),
            total("counted") + total("delivered") + total("lost_lives") + total("open_lives"),
            "{side}: {}",
            report.json()["totals"]
        );
    }
}

#[test]
fn a_hundred_thousand_short_connections_are_all_accounted_for() {
    if !ready("churn::a_hundred_thousand_short_connections_are_all_accounted_for") {
        return;
    }
    let count = 100_000;
    let netns = Netns::new();
    // Room for the ports of a hundred thousand connections a minute: TIME_WAIT is on HAProxy's side or reused.
    netns.sysctl("net.ipv4.ip_local_port_range", "1024 65000");
    netns.sysctl("net.ipv4.tcp_tw_reuse", "1");
    let haproxy = Haproxy::start(&netns, DIRECT);
    let pid = haproxy.pid().to_string();
    let conn_tot =
        || haproxy.stat("fe", "FRONTEND", "conn_tot") + haproxy.stat("origin", "FRONTEND", "conn_tot");
    let before = conn_tot();
    let tracer = Tracer::start(&["report", "--json", "--pid", &pid]);
    let served = requests(&netns, count);
    assert_eq!(served, count, "HAProxy served them all while it was traced");
    until("every connection is closed", Duration::from_secs(20), || {
        haproxy.stat("fe", "FRONTEND", "scur") == 0 && netns.ss("state established").is_empty()
    });
    sleep(Duration::from_millis(500));
    let grown = conn_tot() - before;
    tracer.signal(rustix::process::Signal::INT);
    let report = tracer.finish().report();
    report.nothing_lost();
    reconciles(&report);
    assert!(
        report.total("open_lives.client") <= report.missed(),
        "{}",
        report.json()["totals"]
    );
    // A transition at which the kernel didn't run the program can have been a life's first: said, and bounded.
    let missing = grown.abs_diff(report.total("seen.client"));
    assert!(
        missing <= report.missed(),
        "{grown} connections: {}",
        report.json()["totals"]
    );
    assert!(report.total("adopted") <= report.missed());
    assert!(
        report
            .lingering()
            .iter()
            .all(|row| row.text("holder") == "timewait"),
        "{:?}",
        report.lingering().first()
    );
}

#[test]
fn a_full_timewait_table_is_said_and_no_row_is_wrong() {
    if !ready("churn::a_full_timewait_table_is_said_and_no_row_is_wrong") {
        return;
    }
    let netns = Netns::new();
    netns.sysctl("net.ipv4.tcp_max_tw_buckets", "10");
    let haproxy = Haproxy::start(&netns, DIRECT);
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "4", "--pid", &pid]);
    let served = requests(&netns, 2000);
    let report = tracer.finish().report();
    assert_eq!(served, 2000);
    assert!(
        report.notices("timewait-overflow"),
        "{}",
        report.json()["notices"]
    );
    reconciles(&report);
    let truth = netns.ss("state fin-wait-2").len();
    let shown = report
        .lingering()
        .iter()
        .filter(|row| row.text("state") == "FIN_WAIT2")
        .count();
    assert!(shown <= truth + 10, "{shown} shown, {truth} there");
}

#[test]
fn a_full_table_is_said_counted_and_no_row_is_wrong() {
    if !ready("churn::a_full_table_is_said_counted_and_no_row_is_wrong") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start_with(
        &["report", "--json", "-v", "-d", "5", "--pid", &pid],
        &[("HATRACE_TABLE_SLOTS", "64")],
    );
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 100);
    pairs.iter_mut().for_each(Pair::server_closes);
    let finished = tracer.finish();
    assert!(
        finished.stderr.contains("table of lives is full") && !finished.stderr.contains('\x1b'),
        "-v has the kernel half's own words, uncoloured: {}",
        finished.stderr
    );
    let report = finished.report();
    assert!(report.notices("table-full"), "{}", report.json()["notices"]);
    assert!(report.total("lost") >= 100, "{}", report.json()["totals"]);
    let sockets = report.total("sockets");
    assert!(
        sockets.abs_diff(200) <= report.missed(),
        "a front and a back socket each: {sockets}"
    );
    reconciles(&report);
    // Every socket is there all the same: those without a record by the sweep.
    let (by_peer, by_local) = (report.by_peer(), report.by_local());
    for pair in &pairs {
        let front = &by_peer[&pair.client_address().to_string()];
        assert_eq!(front.kind(), "FIN_WAIT2/held/client");
        assert!(
            front.can_have_begun(pair.closed_at, pair.closed_at + 0.05),
            "closed at {}, began {:?} to {}: {}",
            pair.closed_at,
            front.earliest,
            front.latest,
            front.json
        );
        let back = &by_local[&pair.back_address().to_string()];
        assert_eq!(back.kind(), "CLOSE_WAIT/held/server");
        assert!(
            back.can_have_begun(pair.closed_at, pair.closed_at + 0.05),
            "{}: {}",
            pair.closed_at,
            back.json
        );
    }
}

/// Puts a sysctl of the whole host back when dropped.
struct Restored(&'static str, String);

impl Drop for Restored {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0, &self.1);
    }
}

#[test]
fn no_memory_for_options_costs_haproxy_no_connection() {
    if !ready("churn::no_memory_for_options_costs_haproxy_no_connection") {
        return;
    }
    const OPTMEM: &str = "/proc/sys/net/core/optmem_max";
    let netns = Netns::new();
    let haproxy = Haproxy::start(&netns, DIRECT);
    let pid = haproxy.pid().to_string();
    let restore = Restored(OPTMEM, std::fs::read_to_string(OPTMEM).unwrap());
    std::fs::write(OPTMEM, "128").unwrap();
    let tracer = Tracer::start(&["report", "--json", "-d", "3", "--pid", &pid]);
    let served = requests(&netns, 1000);
    drop(restore);
    let report = tracer.finish().report();
    assert_eq!(served, 1000, "a tracer must never cost the traced a connection");
    report.nothing_lost();
}

#[test]
fn the_table_grows_as_lives_need_it() {
    if !ready("churn::the_table_grows_as_lives_need_it") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    let size = [("HATRACE_TABLE_SLOTS", "256+")];
    let small = Tracer::start_with(&["report", "--json", "-d", "1", "--pid", &pid], &size);
    let small = small.finish().report();
    let tracer = Tracer::start_with(&["--json", "--pid", &pid], &size);
    // More in all than what there is at the beginning could hold; a scan after each wave sees how full it gets.
    let mut pairs = Vec::new();
    for wave in [60, 60, 200, 900, 1800] {
        pairs.extend(server.pairs(&netns, "127.0.0.1:8000", wave));
        sleep(Duration::from_secs(2));
    }
    pairs.iter_mut().for_each(Pair::server_closes);
    sleep(Duration::from_millis(2500));
    tracer.signal(rustix::process::Signal::INT);
    let report = tracer.finish().last_report();
    report.nothing_lost();
    assert!(!report.notices("table-full"), "{}", report.json()["notices"]);
    let stuck = report.lingering();
    assert!(
        stuck.len().abs_diff(2 * pairs.len()) as u64 <= report.missed(),
        "a front and a back socket each: {}",
        stuck.len()
    );
    reconciles(&report);
    // At first what a burst of eight times its home may need: 256 places, 512, 1024 and 2048; later 4096 and 8192 for what has come.
    // Eight are a bucket of 576 bytes.
    let maps = |report: &Report| report.json()["cost"]["map_bytes"].as_u64().unwrap();
    let (before, after) = (maps(&small), maps(&report));
    let levels = (4096 + 8192) / 8 * 576;
    assert!(
        // A map's own page besides.
        (levels..levels + 4 * 4096).contains(&(after - before)),
        "{before} bytes of maps at first, {after} at the end"
    );
}

#[test]
fn a_full_ring_is_said_counted_and_no_row_is_wrong() {
    if !ready("churn::a_full_ring_is_said_counted_and_no_row_is_wrong") {
        return;
    }
    let netns = Netns::new();
    netns.sysctl("net.ipv4.ip_local_port_range", "1024 65000");
    netns.sysctl("net.ipv4.tcp_tw_reuse", "1");
    let haproxy = Haproxy::start(&netns, DIRECT);
    let pid = haproxy.pid().to_string();
    // Every transition is a record, and nobody reads them.
    let tracer = Tracer::start(&["-a", "--json", "--pid", &pid]);
    tracer.signal(rustix::process::Signal::STOP);
    let served = requests(&netns, 15_000);
    tracer.signal(rustix::process::Signal::CONT);
    assert_eq!(served, 15_000);
    sleep(Duration::from_secs(2));
    tracer.signal(rustix::process::Signal::INT);
    let report = tracer.finish().last_report();
    assert!(report.notices("records-lost"), "{}", report.json()["notices"]);
    assert!(report.notices("events-lost"), "{}", report.json()["notices"]);
    reconciles(&report);
    for row in report.lingering() {
        assert_eq!(row.text("holder"), "timewait", "{}", row.json);
    }
}

#[test]
fn every_transition_when_asked() {
    if !ready("churn::every_transition_when_asked") {
        return;
    }
    let netns = Netns::new();
    let haproxy = Haproxy::start(&netns, DIRECT);
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["-a", "-d", "3", "--pid", &pid]);
    assert_eq!(requests(&netns, 5), 5);
    let finished = tracer.finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    for state in ["SYN_SENT", "ESTABLISHED", "FIN_WAIT1", "LAST_ACK"] {
        assert!(
            finished.stdout.contains(state),
            "{state} is missing:\n{}",
            finished.stdout
        );
    }
    let _ = run(&["--version"]);
}
