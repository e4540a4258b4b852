//! A pointer is no identity: sockets keep the session they had, and never show one that is another connection's by now.

use std::collections::HashMap;
use std::time::Duration;

use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server, connect};
use hatrace_tests::report::Row;
use hatrace_tests::tracer::{Tracer, run};
use hatrace_tests::{ready, truth, until};
use rustix::process::Signal;

use super::TCP;

fn by_peer(rows: Vec<Row>) -> HashMap<String, Row> {
    rows.into_iter()
        .map(|row| (row.text("peer").to_owned(), row))
        .collect()
}

#[test]
fn a_killed_session_s_pointer_is_not_shown_for_the_old_socket() {
    if !ready("identity::a_killed_session_s_pointer_is_not_shown_for_the_old_socket") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "--pid", &pid]);
    let mut old = server.pairs(&netns, "127.0.0.1:8000", 8);
    old.iter_mut().for_each(Pair::server_closes);
    // Long enough for all to be named.
    std::thread::sleep(Duration::from_millis(2500));
    let before = truth::by_back(&haproxy.ask("show sess all"), "be");
    let addresses: Vec<(String, String)> = old
        .iter()
        .map(|pair| (pair.client_address().to_string(), pair.back_address().to_string()))
        .collect();
    for (_, back) in &addresses {
        let ptr = &before[back].ptr;
        let _ = haproxy.ask(&format!("shutdown session {ptr}"));
    }
    until("the sessions end", Duration::from_secs(5), || {
        truth::streams(&haproxy.ask("show sess all")).is_empty()
    });
    // Half as many new ones: HAProxy's pools hand the freed pointers out again.
    let mut new = server.pairs(&netns, "127.0.0.1:8000", 4);
    new.iter_mut().for_each(Pair::server_closes);
    std::thread::sleep(Duration::from_millis(2500));
    let after = truth::by_back(&haproxy.ask("show sess all"), "be");
    tracer.signal(Signal::INT);
    let report = tracer.finish().report();
    let rows = by_peer(report.lingering());
    let mut taken = Vec::new();
    for pair in &new {
        let row = &rows[&pair.client_address().to_string()];
        let ptr = &after[&pair.back_address().to_string()].ptr;
        assert_eq!(row.text("session"), ptr, "{}", row.json);
        assert_eq!(row.text("session_state"), "live");
        taken.push(ptr.clone());
    }
    let (mut reused, mut left) = (0, 0);
    for (client, back) in &addresses {
        // HAProxy has closed it, the client has not: the kernel keeps it for a minute.
        let row = &rows[client];
        assert_ne!(row.text("holder"), "held", "{}", row.json);
        let had = &before[back].ptr;
        if taken.contains(had) {
            assert!(row.json["session"].is_null(), "{}", row.json);
            assert_eq!(row.text("session_state"), "reused", "{}", row.json);
            assert_eq!(row.text("without_session"), "pointer-reused");
            reused += 1;
        } else {
            assert_eq!(row.text("session"), had, "{}", row.json);
            assert_eq!(row.text("session_state"), "left", "{}", row.json);
            left += 1;
        }
        assert_eq!(row.text("proxy"), "fe", "{}", row.json);
    }
    assert!(reused >= 1 && left >= 1, "{reused} reused, {left} left");
}

/// A master with these options.
fn master(netns: &Netns, args: &[&str]) -> Haproxy {
    let config = GLOBAL.to_owned() + TCP;
    let start = Start {
        release: None,
        args,
        config: &config,
        ..Start::default()
    };
    let haproxy = Haproxy::spawn(netns, start);
    haproxy.await_socket();
    haproxy
}

/// A reload while eight connections are held: the old worker keeps them.
fn reload(args: &[&str]) -> (Netns, Haproxy, Server, Vec<Pair>, u32) {
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = master(&netns, args);
    until("a worker", Duration::from_secs(5), || {
        haproxy.workers().len() == 1
    });
    let old = haproxy.workers()[0];
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 8);
    pairs.iter_mut().for_each(Pair::server_closes);
    // A master that has just been born doesn't hear the signal.
    std::thread::sleep(Duration::from_millis(700));
    haproxy.signal(Signal::USR2);
    until("a second worker", Duration::from_secs(10), || {
        haproxy.workers().iter().any(|pid| *pid != old)
    });
    until("the new worker answers", Duration::from_secs(10), || {
        haproxy
            .ask("show info")
            .lines()
            .any(|line| line.starts_with("Pid: ") && line != format!("Pid: {old}"))
    });
    std::thread::sleep(Duration::from_millis(1200));
    (netns, haproxy, server, pairs, old)
}

#[test]
fn an_old_worker_s_sessions_are_named_through_the_master() {
    if !ready("identity::an_old_worker_s_sessions_are_named_through_the_master") {
        return;
    }
    let (netns, haproxy, server, mut pairs, old) = reload(&["-W", "-S", "{DIR}/master.sock"]);
    let mut new = server.pairs(&netns, "127.0.0.1:8000", 4);
    new.iter_mut().for_each(Pair::server_closes);
    std::thread::sleep(Duration::from_millis(1200));
    let master = haproxy.pid().to_string();
    for args in [
        vec!["stuck", "--json", "--pid"],
        vec!["report", "--json", "-d", "4", "--pid"],
    ] {
        let finished = run(&[args, vec![&master]].concat());
        let report = finished.report();
        assert!(!finished.stderr.contains("warning:"), "{}", finished.stderr);
        let of_old = haproxy.ask_master(&format!("@!{old} show sess all"));
        let mut truth = truth::by_back(&of_old, "be");
        assert_eq!(truth.len(), 8, "{of_old}");
        truth.extend(truth::by_back(&haproxy.ask("show sess all"), "be"));
        let rows = report.by_local();
        for pair in pairs.iter_mut().chain(&mut new) {
            let back = pair.back_address().to_string();
            let row = &rows[&back];
            assert_eq!(row.text("session"), truth[&back].ptr, "{}", row.json);
        }
        assert_eq!(report.total("with_session"), 24, "{}", report.json());
    }
}

#[test]
fn a_reload_while_hatrace_watches() {
    if !ready("identity::a_reload_while_hatrace_watches") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = master(&netns, &["-W", "-S", "{DIR}/master.sock"]);
    let tracer = Tracer::start(&["report", "--json", "--pid", &haproxy.pid().to_string()]);
    let old = haproxy.workers()[0];
    let mut first = server.pairs(&netns, "127.0.0.1:8000", 8);
    first.iter_mut().take(4).for_each(Pair::server_closes);
    std::thread::sleep(Duration::from_millis(2000));
    haproxy.signal(Signal::USR2);
    until("the new worker answers", Duration::from_secs(10), || {
        haproxy
            .ask("show info")
            .lines()
            .any(|line| line.starts_with("Pid: ") && line != format!("Pid: {old}"))
    });
    // Some of the old worker's begin to linger only now: its stats socket answers for the new one.
    let mut second = server.pairs(&netns, "127.0.0.1:8000", 4);
    let late = first.iter_mut().skip(4);
    late.chain(&mut second).for_each(Pair::server_closes);
    std::thread::sleep(Duration::from_millis(4500));
    let mut truth = truth::by_back(&haproxy.ask_master(&format!("@!{old} show sess all")), "be");
    truth.extend(truth::by_back(&haproxy.ask("show sess all"), "be"));
    tracer.signal(Signal::INT);
    let finished = tracer.finish();
    assert!(!finished.stderr.contains("warning:"), "{}", finished.stderr);
    let report = finished.report();
    let rows = report.by_local();
    for pair in first.iter().chain(&second) {
        let back = pair.back_address().to_string();
        assert_eq!(
            rows[&back].text("session"),
            truth[&back].ptr,
            "{}",
            rows[&back].json
        );
    }
    assert_eq!(report.total("with_session"), 24, "{}", report.json()["target"]);
}

#[test]
fn without_a_master_s_command_line_an_old_worker_is_kernel_only_and_says_so() {
    if !ready("identity::without_a_master_s_command_line_an_old_worker_is_kernel_only_and_says_so") {
        return;
    }
    let (_netns, haproxy, _server, _pairs, old) = reload(&["-W"]);
    let master = haproxy.pid().to_string();
    let finished = run(&["report", "--json", "-d", "4", "--pid", &master]);
    let report = finished.report();
    assert_eq!(report.lingering().len(), 16, "{}", report.json());
    for row in report.lingering() {
        assert!(row.json["session"].is_null(), "{}", row.json);
        assert_eq!(row.text("without_session"), "old-worker", "{}", row.json);
        assert_eq!(row.json["pid"], old);
    }
    let warnings = finished.stderr.matches("warning:").count();
    assert_eq!(warnings, 1, "{}", finished.stderr);
    assert!(
        finished.stderr.contains("-S /run/haproxy-master.sock"),
        "{}",
        finished.stderr
    );
}

#[test]
fn six_thousand_sessions_are_asked_within_the_budget() {
    if !ready("identity::six_thousand_sessions_are_asked_within_the_budget") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 6000);
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "15", "--pid", &pid]);
    // They come in waves, so that there is always something new to ask about.
    for wave in pairs.chunks_mut(100).take(8) {
        wave.iter_mut().for_each(Pair::server_closes);
        std::thread::sleep(Duration::from_millis(1000));
    }
    let report = tracer.finish().report();
    let api = &report.json()["target"]["api"][0];
    println!("asking 6000 sessions: {api}");
    assert_eq!(report.lingering().len(), 1600, "{}", report.json()["totals"]);
    // On a slow machine the last of them may still wait for their turn, and say so.
    let waits = |row: &&Row| row.text("without_session") == "not-asked-yet";
    let waiting = report.lingering().iter().filter(waits).count() as u64;
    let named = report.total("with_session");
    assert_eq!(named + waiting, 1600, "{}", report.json()["without_session"]);
    assert!(named >= 200, "{}", report.json()["totals"]);
    assert!(api["share"].as_f64().unwrap() <= 0.01, "{api}");
    let truth = truth::by_back(&haproxy.ask("show sess all"), "be");
    let named = |row: &&Row| row.text("side") == "server" && row.json["session"].is_string();
    for row in report.lingering().iter().filter(named) {
        assert_eq!(row.text("session"), truth[row.text("local")].ptr, "{}", row.json);
    }
}

#[test]
fn sessions_beside_the_kernel_s_truth() {
    if !ready("identity::sessions_beside_the_kernel_s_truth") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 10);
    pairs.iter_mut().take(4).for_each(Pair::server_closes);
    std::thread::sleep(Duration::from_millis(1300));
    let pid = haproxy.pid().to_string();
    let json = run(&["sessions", "--json", "--pid", &pid]).report();
    let json = json.json();
    let truth = truth::by_back(&haproxy.ask("show sess all"), "be");
    assert_eq!(
        (&json["totals"]["sessions"], &json["totals"]["stuck"]),
        (&10.into(), &4.into())
    );
    let rows = json["sessions"].as_array().unwrap();
    for (index, pair) in pairs.iter().enumerate() {
        let back = pair.back_address().to_string();
        let row = rows
            .iter()
            .find(|row| row["session"] == truth[&back].ptr.as_str())
            .unwrap();
        let closed = index < 4;
        assert_eq!(row["stuck"], closed, "{row}");
        let (front, other) = if closed {
            ("FIN_WAIT2", "CLOSE_WAIT")
        } else {
            ("ESTABLISHED", "ESTABLISHED")
        };
        assert_eq!(row["front"]["socket"]["state"], front, "{row}");
        assert_eq!(row["back"]["socket"]["state"], other, "{row}");
        assert_eq!(row["back"]["socket"]["local"], back, "{row}");
        assert_eq!(row["back"]["believes"]["eof_read"], closed, "{row}");
        assert_eq!(row["front"]["believes"]["shut_done"], closed, "{row}");
        assert_eq!(
            row["front"]["believes"]["read_expires"], "never",
            "no timeout is set"
        );
    }
    assert_eq!(json["ages"][0]["sessions"], 10, "{}", json["ages"]);
    assert_eq!(json["by"]["server"][0]["name"], "be/s1", "{}", json["by"]);
    let older = run(&["sessions", "--json", "--older", "5m", "--pid", &pid]).report();
    assert_eq!(older.json()["totals"]["sessions"], 0);

    // Six of them end between the two readings of --servers.
    let closing = std::thread::spawn({
        let ended: Vec<Pair> = pairs.drain(4..).collect();
        move || {
            std::thread::sleep(Duration::from_millis(2000));
            drop(ended);
        }
    });
    let books = run(&["sessions", "--servers", "-d", "5s", "--json", "--pid", &pid]).report();
    closing.join().unwrap();
    let services = books.json()["services"].as_array().unwrap().clone();
    let of = |kind: &str| {
        services
            .iter()
            .find(|row| row["kind"] == kind && row["proxy"] != "GLOBAL")
            .unwrap()
            .clone()
    };
    let s1 = of("server");
    assert_eq!((&s1["proxy"], &s1["server"]), (&"be".into(), &"s1".into()));
    assert_eq!(s1["scur"], haproxy.stat("be", "s1", "scur"), "{s1}");
    assert_eq!(
        (&s1["scur_before"], &s1["trend"]),
        (&10.into(), &"falling".into()),
        "{s1}"
    );
    assert_eq!(s1["sockets"]["CLOSE_WAIT"], 4, "{s1}");
    assert_eq!(of("frontend")["sockets"]["FIN_WAIT2"], 4, "{services:?}");
    assert_eq!(of("frontend")["slim"], haproxy.stat("fe", "FRONTEND", "slim"));
    assert_eq!(s1["prove_with"], "ss -tanop 'sport = :9000 and dst = 127.0.0.1'");
    let text = run(&["sessions", "--servers", "-d", "500ms", "--pid", &pid]).stdout;
    assert!(
        text.contains("be/s1: ss -tanop 'sport = :9000 and dst = 127.0.0.1'"),
        "{text}"
    );
}

#[test]
fn what_was_never_accepted_is_named_by_its_listener() {
    if !ready("identity::what_was_never_accepted_is_named_by_its_listener") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let full = TCP.replace("frontend fe\n", "frontend fe_full\n  maxconn 1\n");
    let haproxy = Haproxy::start(&netns, &full);
    let _first = server.pairs(&netns, "127.0.0.1:8000", 1);
    // The queue is as long as maxconn, and takes one more.
    let waiting: Vec<_> = netns.run(|| {
        (0..2)
            .map(|_| {
                let client = connect("127.0.0.1:8000");
                client.shutdown(std::net::Shutdown::Write).unwrap();
                client
            })
            .collect()
    });
    std::thread::sleep(Duration::from_millis(1300));
    let pid = haproxy.pid().to_string();
    for args in [vec!["stuck", "--json"], vec!["report", "--json", "-d", "3"]] {
        let report = run(&[args, vec!["--pid", &pid]].concat()).report();
        assert_eq!(report.lingering().len(), waiting.len(), "{}", report.json());
        for row in report.lingering() {
            assert_eq!(row.text("holder"), "unaccepted", "{}", row.json);
            assert_eq!(row.text("without_session"), "accept-queue", "{}", row.json);
            assert_eq!(row.text("proxy"), "fe_full", "{}", row.json);
        }
    }
}
