//! What is done with recordings elsewhere: of several hosts, in several files, as a histogram log, as a bundle for a bug report.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::ready;
use hatrace_tests::report::Report;
use hatrace_tests::tracer::{Tracer, binary, run};

use super::TCP;

/// A HAProxy with a client at 10.0.0.1 that leaves connections open, so many of them.
struct Leaky {
    haproxy: Haproxy,
    _pairs: Vec<Pair>,
    server: Server,
    netns: Netns,
}

fn leaky(count: usize) -> Leaky {
    let netns = Netns::new();
    netns.addresses(&["10.0.0.1"]);
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, &TCP.replace("127.0.0.1:8000", "10.0.0.1:8000"));
    let mut pairs = server.pairs(&netns, "10.0.0.1:8000", count);
    pairs.iter_mut().for_each(Pair::server_closes);
    Leaky {
        haproxy,
        _pairs: pairs,
        server,
        netns,
    }
}

/// Recorded for six seconds on a host that has this name.
fn recorded_on(host: &str, file: &Path, pid: u32) -> Child {
    let script = format!(
        "hostname {host} && exec {} record -o {} -d 6 --pid {pid}",
        binary().display(),
        file.display()
    );
    Command::new("unshare")
        .args(["--uts", "sh", "-c", &script])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finished(children: impl IntoIterator<Item = Child>) {
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

fn json(view: &str, more: &[&str]) -> (String, Report) {
    let args: Vec<&str> = [view, "--json"].iter().chain(more).copied().collect();
    let finished = run(&args);
    let report = finished.report();
    (finished.stdout, report)
}

/// Who is where, of the rows.
fn hosts(report: &Report) -> Vec<String> {
    let rows = report.json()["lingering"].as_array().unwrap().iter();
    rows.map(|row| row["host"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn several_hosts_are_told_apart_and_counted_together() {
    if !ready("taken_home::several_hosts_are_told_apart_and_counted_together") {
        return;
    }
    let (one, other) = (leaky(3), leaky(5));
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    finished([
        recorded_on("lb1", &first, one.haproxy.pid()),
        recorded_on("lb2", &second, other.haproxy.pid()),
    ]);
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let (bytes, both) = json("culprits", &["--from", first, second]);
    assert_eq!(bytes, json("culprits", &["--from", second, first]).0);
    assert_eq!(both.json()["target"]["hosts"], serde_json::json!(["lb1", "lb2"]));
    let of = |host: &str| hosts(&both).iter().filter(|one| *one == host).count();
    assert_eq!((of("lb1"), of("lb2")), (6, 10), "{}", both.json());
    let culprits = both.json()["culprits"].as_array().unwrap().clone();
    let said: BTreeSet<String> = culprits
        .iter()
        .map(|culprit| {
            format!(
                "{} {} {} also {}",
                culprit["peer"], culprit["host"], culprit["open"], culprit["also_on"]
            )
        })
        .collect();
    let expected = [
        r#""10.0.0.1" "lb1" 3 also ["lb2"]"#,
        r#""10.0.0.1" "lb2" 5 also ["lb1"]"#,
    ];
    assert_eq!(
        said,
        expected.map(str::to_owned).into(),
        "{}",
        both.json()["notices"]
    );
    // Together they are as many as apart.
    let alone = |file: &str| json("report", &["--from", file]).1;
    let sockets = |report: &Report| report.json()["totals"]["sockets"].as_u64().unwrap();
    assert_eq!(sockets(&both), sockets(&alone(first)) + sockets(&alone(second)));
    let dwell = |report: &Report| -> u64 {
        let rows = report.json()["dwell"].as_array().unwrap().iter();
        rows.map(|row| row["open"].as_u64().unwrap() + row["ended"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(dwell(&both), dwell(&alone(first)) + dwell(&alone(second)));
    let (_, only) = json("stuck", &["--from", first, second, "--host", "lb2"]);
    assert_eq!(hosts(&only), vec!["lb2"; 10]);
    // A bundle of both tells them apart too, under other names.
    let bundle = folder.path().join("both.tar.gz");
    let made = run(&[
        "report",
        "--from",
        first,
        second,
        "--bundle",
        bundle.to_str().unwrap(),
    ]);
    assert!(made.status.success(), "{}", made.stderr);
    let texts = hatrace_tests::bundle::texts(&bundle);
    let told = Report::parse(&texts["report.json"]);
    let (mut counts, names) = (std::collections::BTreeMap::new(), hosts(&told));
    names
        .iter()
        .for_each(|name| *counts.entry(name).or_insert(0) += 1);
    let mut counts: Vec<i32> = counts.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [6, 10], "{names:?}");
    let culprits = told.json()["culprits"].as_array().unwrap();
    assert!(
        culprits
            .iter()
            .all(|culprit| culprit["also_on"].as_array().unwrap().len() == 1),
        "{culprits:?}"
    );
    assert!(
        texts
            .values()
            .all(|text| !text.contains("lb1") && !text.contains("lb2"))
    );
    // Words, too, say which is where.
    let text = run(&["culprits", "--from", first, second]).stdout;
    assert!(
        text.contains("HOST") && text.contains("on lb2, 5 in FIN_WAIT2"),
        "{text}"
    );
}

#[test]
fn one_process_recorded_twice_is_one() {
    if !ready("taken_home::one_process_recorded_twice_is_one") {
        return;
    }
    let leaky = leaky(4);
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    for file in [&first, &second] {
        finished([recorded_on("lb1", file, leaky.haproxy.pid())]);
    }
    let (_, both) = json(
        "report",
        &["--from", first.to_str().unwrap(), second.to_str().unwrap()],
    );
    assert_eq!(hosts(&both).len(), 8);
    assert!(both.notices("recorded-again"));
    let open: u64 = both.json()["dwell"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["open"].as_u64().unwrap())
        .sum();
    assert_eq!(open, 8, "{}", both.json()["dwell"]);
}

#[test]
fn in_a_row_of_files_it_is_drawn_again_to_the_byte() {
    if !ready("taken_home::in_a_row_of_files_it_is_drawn_again_to_the_byte") {
        return;
    }
    let leaky = leaky(8);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tape");
    let pid = leaky.haproxy.pid().to_string();
    let record = ["--record", file.to_str().unwrap(), "--pid", &pid];
    let many = [
        "report",
        "--json",
        "-d",
        "8",
        "--max-size",
        "10K",
        "--interval",
        "100ms",
        "--rotate",
        "500",
    ];
    let tracer = Tracer::start(&[&many[..], &record].concat());
    for _ in 0..5 {
        let mut passing = leaky.server.pairs(&leaky.netns, "10.0.0.1:8000", 10);
        passing.iter_mut().for_each(Pair::server_closes);
        sleep(Duration::from_millis(1200));
    }
    let live = tracer.finish();
    assert!(live.status.success(), "{}", live.stderr);
    let files: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    let all: Vec<&str> = ["report", "--json", "--from"]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    let tape = run(&all);
    assert!(
        live.stdout == tape.stdout,
        "live and from {files:?}:\n{}\n{}",
        live.stdout,
        tape.stdout
    );
    // The last file alone: the same sockets and sessions, and what it lacks is said.
    let (_, last) = json("report", &["--from", file.to_str().unwrap()]);
    let sockets = |report: &Report| -> BTreeSet<String> {
        let rows = report.json()["lingering"].as_array().unwrap().iter();
        rows.map(|row| format!("{} {} {}", row["cookie"], row["state"], row["session"]))
            .collect()
    };
    assert_eq!(sockets(&last), sockets(&live.report()));
    assert!(
        sockets(&last).iter().all(|row| !row.contains("null")),
        "{:?}",
        sockets(&last)
    );
    assert!(last.notices("recording-part") && !last.notices("recording-damaged"));
}

#[test]
fn what_is_read_off_a_recording_of_sessions_is_what_was_printed() {
    if !ready("taken_home::what_is_read_off_a_recording_of_sessions_is_what_was_printed") {
        return;
    }
    let leaky = leaky(4);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tape");
    let file = file.to_str().unwrap();
    let pid = leaky.haproxy.pid().to_string();
    let live = run(&[
        "sessions",
        "--servers",
        "-d",
        "1",
        "--json",
        "--record",
        file,
        "--pid",
        &pid,
    ]);
    assert!(live.status.success(), "{}", live.stderr);
    let tape = run(&["sessions", "--servers", "--json", "--from", file]);
    assert!(live.stdout == tape.stdout, "{}\n{}", live.stdout, tape.stdout);
    assert_eq!(live.report().json()["totals"]["stuck"], 4, "{}", live.stdout);
    // And what of a word there is in it.
    let word = run(&["explain", "FIN_WAIT2", "--json", "--from", file]);
    assert_eq!(
        Report::parse(&word.stdout).json()["seen"]["sockets"],
        4,
        "{}",
        word.stdout
    );
    let text = run(&["explain", "CLOSE_WAIT", "--from", file]).stdout;
    assert_eq!(
        text.lines()
            .filter(|line| line.contains(" CLOSE_WAIT held "))
            .count(),
        4,
        "{text}"
    );
}

#[test]
fn a_histogram_log_has_as_many_as_the_report() {
    if !ready("taken_home::a_histogram_log_has_as_many_as_the_report") {
        return;
    }
    let leaky = leaky(2);
    let folder = tempfile::tempdir().unwrap();
    let (log, file) = (folder.path().join("log"), folder.path().join("tape"));
    let (log, file) = (log.to_str().unwrap(), file.to_str().unwrap());
    let pid = leaky.haproxy.pid().to_string();
    let args = [
        "report", "--json", "-d", "8", "--hlog", log, "--record", file, "--pid", &pid,
    ];
    let tracer = Tracer::start(&args);
    for _ in 0..6 {
        let mut passing = leaky.server.pairs(&leaky.netns, "10.0.0.1:8000", 5);
        passing.iter_mut().for_each(Pair::server_closes);
        drop(passing);
        sleep(Duration::from_secs(1));
    }
    let report = tracer.finish().report();
    let of_live = std::fs::read_to_string(log).unwrap();
    let again = format!("{log}-again");
    let _ = run(&["report", "--from", file, "--hlog", &again]);
    assert_eq!(of_live, std::fs::read_to_string(&again).unwrap());
    let counted = hatrace_tests::hlog::counts(&of_live);
    assert!(counted.intervals >= 2, "{of_live}");
    for row in report.json()["dwell"].as_array().unwrap() {
        let tag = format!(
            "{}_{}",
            row["side"].as_str().unwrap(),
            row["state"].as_str().unwrap()
        );
        let count = |tag: &str| counted.by_tag.get(tag).copied().unwrap_or(0);
        let told = (count(&tag), count(&format!("{tag}_open")));
        let wanted = (row["ended"].as_u64().unwrap(), row["open"].as_u64().unwrap());
        assert_eq!(told, wanted, "{tag}\n{of_live}");
    }
}

#[test]
fn a_bundle_has_what_a_bug_report_wants_and_names_nobody() {
    if !ready("taken_home::a_bundle_has_what_a_bug_report_wants_and_names_nobody") {
        return;
    }
    let netns = Netns::new();
    netns.addresses(&["10.0.0.7", "10.0.0.1"]);
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let config = TCP
        .replace("127.0.0.1:8000", "10.0.0.1:8000")
        .replace(
            "timeout connect 5s",
            "timeout connect 5s\n  timeout client 3m\n  timeout server 3m",
        )
        .replace("frontend fe", "frontend front-office")
        .replace("_backend be", "_backend secret-vault")
        .replace("backend be\n", "backend secret-vault\n")
        .replace("server s1", "server gandalf");
    let haproxy = Haproxy::start(&netns, &config);
    let mut pairs = server.pairs(&netns, "10.0.0.1:8000", 3);
    pairs.iter_mut().for_each(Pair::server_closes);
    let folder = tempfile::tempdir().unwrap();
    let (file, tape) = (folder.path().join("b.tar.gz"), folder.path().join("tape"));
    let pid = haproxy.pid().to_string();
    let paths = (file.to_str().unwrap(), tape.to_str().unwrap());
    let report = run(&[
        "report", "--json", "-d", "4", "--bundle", paths.0, "--record", paths.1, "--pid", &pid,
    ]);
    let live = report.report();
    let again = folder.path().join("again.tar.gz");
    let _ = run(&[
        "report",
        "--json",
        "--from",
        paths.1,
        "--bundle",
        again.to_str().unwrap(),
    ]);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for archive in [&file, &again] {
        let texts = hatrace_tests::bundle::texts(archive);
        let all: String = texts.values().cloned().collect();
        for gone in [
            "front-office",
            "secret-vault",
            "gandalf",
            "10.0.0.",
            "haproxy.cfg",
        ] {
            assert!(!all.contains(gone), "{gone} is in {archive:?}");
        }
        let named = texts["recording.hatrace"].contains(&format!("\"{}\"", host.trim()));
        assert!(!named, "{host} is in {archive:?}");
        assert!(
            texts["versions.txt"].contains("Linux "),
            "{}",
            texts["versions.txt"]
        );
        assert!(
            texts["timeouts.txt"].contains("timeout client 3m"),
            "{}",
            texts["timeouts.txt"]
        );
        let of = |report: &serde_json::Value| -> BTreeSet<String> {
            let rows = report["lingering"].as_array().unwrap().iter();
            rows.map(|row| format!("{} {}", row["cookie"], row["session"]))
                .collect()
        };
        let bundled: serde_json::Value = serde_json::from_str(&texts["report.json"]).unwrap();
        assert_eq!(of(&bundled), of(live.json()));
        // The recording in it is one.
        let inner = folder.path().join("inner");
        std::fs::write(&inner, &texts["recording.hatrace"]).unwrap();
        let (_, read) = json("report", &["--from", inner.to_str().unwrap()]);
        assert_eq!(of(read.json()), of(live.json()));
    }
    let texts = hatrace_tests::bundle::texts(&file);
    for row in live.json()["lingering"].as_array().unwrap() {
        let (session, fd) = (row["session"].as_str().unwrap(), row["fd"].as_u64().unwrap());
        assert!(
            texts["show-sess.txt"].contains(session),
            "{session}: {}",
            texts["show-sess.txt"]
        );
        assert!(
            texts["show-fd.txt"].contains(&format!("{fd} :")),
            "{fd}: {}",
            texts["show-fd.txt"]
        );
    }
    assert!(texts["versions.txt"].contains("Build options") && texts["versions.txt"].contains("Uptime:"));
    // What came to nothing leaves nothing.
    let nothing = folder.path().join("nothing.tar.gz");
    let refused = run(&[
        "report",
        "--bundle",
        nothing.to_str().unwrap(),
        "--pid",
        "4194304",
    ]);
    assert!(
        refused.code() != Some(0) && !nothing.exists(),
        "{}",
        refused.stderr
    );
    // Nothing is written over, and nothing is left beside it.
    let twice = run(&["report", "--from", paths.1, "--bundle", paths.0]);
    assert!(
        twice.code() == Some(1) && twice.stderr.contains("there already"),
        "{}",
        twice.stderr
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
}
