//! Recordings: what is drawn of one is what was drawn live, to the byte; and what is left of one that was cut off.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::crowd::fetch;
use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::tracer::{Tracer, binary, run, run_command};
use hatrace_tests::{ready, until};
use rustix::process::Signal;

use super::{HTTP, TCP};

/// Three views drawn live, each recorded, then drawn again from what was recorded. `act` makes what there is to see.
fn twice(pid: &str, act: impl FnOnce()) {
    let folder = tempfile::tempdir().unwrap();
    let file = |view: &str| folder.path().join(view).to_str().unwrap().to_owned();
    let start = |view: &'static str| {
        Tracer::start(&[view, "--json", "-d", "6", "--record", &file(view), "--pid", pid])
    };
    let (report, culprits) = (start("report"), start("culprits"));
    act();
    let mut live = vec![("report", report.finish()), ("culprits", culprits.finish())];
    live.push((
        "stuck",
        run(&["stuck", "--json", "--record", &file("stuck"), "--pid", pid]),
    ));
    for (view, live) in live {
        assert!(live.status.success(), "{view}: {}", live.stderr);
        assert!(!live.report().lingering().is_empty(), "{view}: nothing to see");
        // Nobody's rights, and no HAProxy, are needed for it.
        let tape = run(&[view, "--json", "--from", &file(view)]);
        assert!(tape.status.success(), "{view}: {}", tape.stderr);
        assert!(
            live.stdout == tape.stdout,
            "{view}, live and from its recording:\n{}\n{}",
            live.stdout,
            tape.stdout
        );
        let text = run(&[view, "--from", &file(view)]);
        assert!(
            text.status.success() && !text.stdout.is_empty(),
            "{view}: {}",
            text.stderr
        );
    }
}

fn tcp() -> (Netns, Haproxy, Server) {
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    (netns, haproxy, server)
}

#[test]
fn held_either_way_is_drawn_again_to_the_byte() {
    if !ready("record::held_either_way_is_drawn_again_to_the_byte") {
        return;
    }
    let (netns, haproxy, server) = tcp();
    let mut pairs = Vec::new();
    twice(&haproxy.pid().to_string(), || {
        pairs = server.pairs(&netns, "127.0.0.1:8000", 40);
        let (by_server, by_client) = pairs.split_at_mut(20);
        by_server.iter_mut().for_each(Pair::server_closes);
        by_client.iter_mut().for_each(Pair::client_closes);
    });
}

#[test]
fn orphans_and_a_late_fin_are_drawn_again_to_the_byte() {
    if !ready("record::orphans_and_a_late_fin_are_drawn_again_to_the_byte") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    server.serve_http();
    let haproxy = Haproxy::start(&netns, HTTP);
    let mut stay = Vec::new();
    twice(&haproxy.pid().to_string(), || {
        let (first, second) = netns.run(|| {
            let some = || {
                (0..10)
                    .map(|_| fetch("127.0.0.1", "127.0.0.1:8000"))
                    .collect::<Vec<_>>()
            };
            (some(), some())
        });
        sleep(Duration::from_millis(2500));
        drop(first);
        stay = second;
    });
}

#[test]
fn a_reload_is_drawn_again_to_the_byte() {
    if !ready("record::a_reload_is_drawn_again_to_the_byte") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start_master(&netns, TCP);
    until("a worker", Duration::from_secs(5), || {
        haproxy.workers().len() == 1
    });
    let old = haproxy.workers()[0];
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 10);
    twice(&haproxy.pid().to_string(), || {
        pairs.iter_mut().for_each(Pair::server_closes);
        haproxy.signal(Signal::USR2);
        until("a second worker", Duration::from_secs(10), || {
            haproxy.workers().iter().any(|pid| *pid != old)
        });
    });
}

#[test]
fn a_leaky_peer_is_drawn_again_to_the_byte() {
    if !ready("record::a_leaky_peer_is_drawn_again_to_the_byte") {
        return;
    }
    let netns = Netns::new();
    netns.addresses(&["10.0.0.7", "10.0.0.8", "10.0.0.1"]);
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let config = TCP.replace("127.0.0.1:8000", "10.0.0.1:8000");
    let haproxy = Haproxy::start(&netns, &config);
    let mut pairs = server.pairs(&netns, "10.0.0.1:8000", 5);
    twice(&haproxy.pid().to_string(), || {
        pairs.iter_mut().for_each(Pair::server_closes);
        // Others come and go properly beside it.
        for _ in 0..20 {
            let mut passing = server.pairs(&netns, "10.0.0.1:8000", 1);
            passing.iter_mut().for_each(Pair::server_closes);
            drop(passing);
        }
    });
}

#[test]
fn both_families_and_a_reset_are_drawn_again_to_the_byte() {
    if !ready("record::both_families_and_a_reset_are_drawn_again_to_the_byte") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, &TCP.replace("bind 127.0.0.1:8000", "bind :::8000 v4v6"));
    let mut pairs = Vec::new();
    twice(&haproxy.pid().to_string(), || {
        pairs = server.pairs(&netns, "127.0.0.1:8000", 6);
        pairs.extend(server.pairs(&netns, "[::1]:8000", 6));
        pairs.iter_mut().for_each(Pair::server_closes);
        sleep(Duration::from_millis(1500));
        for pair in pairs.drain(..3) {
            super::odd::linger_zero(&pair.client);
            drop(pair);
        }
    });
}

/// What a report of a recording lists.
fn listed(file: &Path) -> (usize, bool) {
    let report = run(&["report", "--json", "--from", file.to_str().unwrap()]).report();
    (report.lingering().len(), report.notices("recording-damaged"))
}

#[test]
fn a_recorder_that_is_killed_has_lost_a_second() {
    if !ready("record::a_recorder_that_is_killed_has_lost_a_second") {
        return;
    }
    let (netns, haproxy, server) = tcp();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tape");
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["record", "-o", file.to_str().unwrap(), "--pid", &pid]);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 20);
    pairs.iter_mut().for_each(Pair::server_closes);
    sleep(Duration::from_secs(4));
    tracer.signal(Signal::KILL);
    drop(tracer.finish());
    assert_eq!(listed(&file), (40, false));
    let report = run(&["report", "--json", "--from", file.to_str().unwrap()]).report();
    let watched = report.json()["window"]["seconds"].as_f64().unwrap();
    assert!(watched > 2.0, "{watched} s of four");
    // Half of its last member, and a hole in the middle: read, and said.
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 20]).unwrap();
    assert_eq!(listed(&file), (40, true));
}

#[test]
fn a_full_disk_ends_it_and_keeps_what_is_there() {
    if !ready("record::a_full_disk_ends_it_and_keeps_what_is_there") {
        return;
    }
    let (netns, haproxy, server) = tcp();
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 200);
    pairs.iter_mut().for_each(Pair::server_closes);
    let folder = tempfile::tempdir().unwrap();
    let (small, kept) = (folder.path().join("small"), folder.path().join("kept"));
    std::fs::create_dir(&small).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k none {small} || exit 99; {binary} record -o {small}/tape -d 30 --pid {pid}; code=$?; \
         cp {small}/tape {kept}; exit $code",
        small = small.display(),
        kept = kept.display(),
        binary = binary().display(),
        pid = haproxy.pid()
    );
    let finished = run_command(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("No space left"), "{}", finished.stderr);
    let (rows, damaged) = listed(&kept);
    assert_eq!((rows, damaged), (400, false));
}

#[test]
fn it_ends_with_its_command_and_is_seen_as_it_was_then() {
    if !ready("record::it_ends_with_its_command_and_is_seen_as_it_was_then") {
        return;
    }
    let (netns, haproxy, server) = tcp();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tape");
    let pid = haproxy.pid().to_string();
    let args = [
        "record",
        "-o",
        file.to_str().unwrap(),
        "--pid",
        &pid,
        "--",
        "sleep",
        "6",
    ];
    let tracer = Tracer::start(&args);
    sleep(Duration::from_secs(3));
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 4);
    pairs.iter_mut().for_each(Pair::server_closes);
    let finished = tracer.finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    let at = |moment: &str| {
        let args = [
            "stuck",
            "--json",
            "--from",
            file.to_str().unwrap(),
            "--at",
            moment,
        ];
        run(&args).report().lingering().len()
    };
    assert_eq!((at("2s"), at("5500ms")), (0, 8));
    let beyond = run(&["stuck", "--from", file.to_str().unwrap(), "--at", "1h"]);
    assert_eq!(beyond.code(), Some(2), "{}", beyond.stderr);
    assert!(
        beyond.stderr.contains("not in what was recorded"),
        "{}",
        beyond.stderr
    );
}

#[test]
fn pseudonyms_stand_for_all_names_and_it_can_be_read_all_the_same() {
    if !ready("record::pseudonyms_stand_for_all_names_and_it_can_be_read_all_the_same") {
        return;
    }
    let netns = Netns::new();
    netns.addresses(&["10.0.0.1", "10.77.0.7"]);
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let config = TCP
        .replace("127.0.0.1:8000", "10.0.0.1:8000")
        .replace("frontend fe", "frontend front-office")
        .replace("_backend be", "_backend secret-vault")
        .replace("backend be\n", "backend secret-vault\n")
        .replace("server s1", "server gandalf");
    let haproxy = Haproxy::start(&netns, &config);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tape");
    let name = file.to_str().unwrap();
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["record", "-o", name, "--redact", "-d", "5", "--pid", &pid]);
    let mut pairs = server.pairs(&netns, "10.0.0.1:8000", 4);
    pairs.iter_mut().for_each(Pair::server_closes);
    let finished = tracer.finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    let unpacked = Command::new("zcat").arg(&file).output().unwrap();
    let text = String::from_utf8(unpacked.stdout).unwrap();
    assert!(text.lines().count() > 20, "{text}");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for gone in [
        "front-office",
        "secret-vault",
        "gandalf",
        "10.0.0.1",
        "10.77",
        host.trim(),
        "haproxy.cfg",
    ] {
        assert!(!text.contains(gone), "{gone} is in it");
    }
    let report = run(&["report", "--json", "--from", name]).report();
    assert!(
        !report.notices("recording-damaged"),
        "{}",
        report.json()["notices"]
    );
    let rows = report.lingering();
    assert_eq!(rows.len(), 8, "{}", report.json());
    assert!(
        rows.iter().all(|row| row.json["session"].is_string()),
        "{}",
        report.json()
    );
}
