//! However it ends: cleanly, with nothing left in the kernel.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::tracer::{Tracer, binary};
use hatrace_tests::{ready, skip, until};
use rustix::process::Signal;

use super::TCP;

/// The programs and maps of a process, by the kernel's own word (`/proc/PID/fdinfo`).
fn loaded_by(pid: u32) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for line in text
            .lines()
            .filter(|line| line.starts_with("prog_id:") || line.starts_with("map_id:"))
        {
            ids.insert(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    ids
}

/// Every program and map that is loaded, by bpftool.
fn loaded() -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for (kind, key) in [("prog", "prog_id:"), ("map", "map_id:")] {
        let output = Command::new("bpftool")
            .args([kind, "show", "-j"])
            .output()
            .expect("bpftool runs");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        for object in json.as_array().into_iter().flatten() {
            ids.insert(format!("{key} {}", object["id"]));
        }
    }
    ids
}

fn nothing_stays(ids: &BTreeSet<String>) {
    assert!(ids.len() > 7, "it had programs and maps: {ids:?}");
    until("programs and maps are unloaded", Duration::from_secs(5), || {
        loaded().is_disjoint(ids)
    });
}

fn have_bpftool(test: &str) -> bool {
    let there = Command::new("bpftool")
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !there {
        skip(test, "no bpftool (cargo xtask setup --for test)");
    }
    there
}

fn rig() -> (Netns, Server, Haproxy) {
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    (netns, server, haproxy)
}

#[test]
fn signals_end_it_with_a_summary() {
    const TEST: &str = "endings::signals_end_it_with_a_summary";
    if !ready(TEST) || !have_bpftool(TEST) {
        return;
    }
    let (netns, server, haproxy) = rig();
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 3);
    pairs.iter_mut().for_each(Pair::server_closes);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let tracer = Tracer::start(&["--pid", &haproxy.pid().to_string()]);
        let ids = loaded_by(tracer.pid());
        sleep(Duration::from_millis(1500));
        tracer.signal(signal);
        let finished = tracer.finish();
        assert_eq!(finished.code(), Some(0), "{signal:?}: {}", finished.stderr);
        let both = finished.stdout + &finished.stderr;
        assert!(
            both.contains("FIN_WAIT2") && both.contains("p99"),
            "a summary: {both}"
        );
        nothing_stays(&ids);
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    const TEST: &str = "endings::a_closed_pipe_ends_it_quietly";
    if ready(TEST) && have_bpftool(TEST) {
        loses_its_reader(true);
    }
}

#[test]
fn a_closed_pipe_ends_it_with_nothing_to_write_too() {
    const TEST: &str = "endings::a_closed_pipe_ends_it_with_nothing_to_write_too";
    if ready(TEST) && have_bpftool(TEST) {
        loses_its_reader(false);
    }
}

/// `| head`, on a HAProxy whose sockets begin to linger after that, or don't.
fn loses_its_reader(busy: bool) {
    let (netns, server, haproxy) = rig();
    let mut child = Command::new(binary())
        .args(["--min", "100ms", "--pid", &haproxy.pid().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("attached") {
        line.clear();
        assert!(words.read_line(&mut line).unwrap() > 0, "it says attached");
    }
    let ids = loaded_by(child.id());
    drop(child.stdout.take());
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 3);
    if busy {
        pairs.iter_mut().for_each(Pair::server_closes);
    }
    let mut status = None;
    until("it ends by itself", Duration::from_secs(10), || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
    let mut rest = String::new();
    let _ = std::io::Read::read_to_string(&mut words, &mut rest);
    assert!(
        !rest.contains("panicked") && !rest.contains("Broken pipe"),
        "{rest}"
    );
    nothing_stays(&ids);
}

#[test]
fn haproxy_dies_and_hatrace_reports() {
    const TEST: &str = "endings::haproxy_dies_and_hatrace_reports";
    if !ready(TEST) || !have_bpftool(TEST) {
        return;
    }
    let (netns, server, haproxy) = rig();
    let tracer = Tracer::start(&["report", "--json", "--pid", &haproxy.pid().to_string()]);
    let ids = loaded_by(tracer.pid());
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 10);
    pairs.iter_mut().for_each(Pair::server_closes);
    sleep(Duration::from_millis(1500));
    haproxy.signal(Signal::KILL);
    let report = tracer.finish().report();
    // Held FIN_WAIT2s were closed with the process: each goes on as a timewait, of the same age.
    let dwell = report.dwell("client", "FIN_WAIT2");
    assert_eq!(dwell["open"], 10, "{}", report.json());
    for row in report
        .lingering()
        .iter()
        .filter(|row| row.text("side") == "client")
    {
        assert_eq!(row.kind(), "FIN_WAIT2/timewait/client", "{}", row.json);
        assert!(row.json["age_s"].as_f64().unwrap() > 1.4, "{}", row.json);
    }
    assert_eq!(report.json()["ended_processes"].as_array().map(Vec::len), Some(1));
    nothing_stays(&ids);
    drop(netns);
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    if !ready("endings::two_at_once_do_not_disturb_each_other") {
        return;
    }
    let (netns, server, haproxy) = rig();
    let pid = haproxy.pid().to_string();
    let one = Tracer::start(&["report", "--json", "-d", "4", "--pid", &pid]);
    let two = Tracer::start(&["report", "--json", "-d", "3", "--pid", &pid]);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 10);
    pairs.iter_mut().for_each(Pair::server_closes);
    for tracer in [two, one] {
        let report = tracer.finish().report();
        assert_eq!(report.lingering().len(), 20, "{}", report.json());
        report.all_exact();
        let rows = report.by_peer();
        for pair in &pairs {
            let row = &rows[&pair.client_address().to_string()];
            assert!(
                row.can_have_begun(pair.closed_at, pair.closed_at + 0.05),
                "closed at {}: {}",
                pair.closed_at,
                row.json
            );
        }
        report.nothing_lost();
    }
}
