//! What can't be done is said, with a remedy and the right exit code.

use std::os::unix::process::CommandExt;
use std::process::Command;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::ready;
use hatrace_tests::tracer::{Finished, Tracer, binary, run, run_command};

use super::TCP;

fn refused(finished: &Finished, code: i32, words: &str) {
    assert_eq!(
        finished.code(),
        Some(code),
        "{}\n{}",
        finished.stderr,
        finished.stdout
    );
    assert!(
        finished.stderr.contains(words),
        "`{words}` isn't in: {}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("try:") || code == 2,
        "a remedy: {}",
        finished.stderr
    );
    assert!(
        !finished.stderr.contains("panicked") && !finished.stderr.contains("RUST_BACKTRACE"),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stdout.is_empty(),
        "no data with an error: {}",
        finished.stdout
    );
}

#[test]
fn wrong_targets() {
    if !ready("refusals::wrong_targets") {
        return;
    }
    refused(&run(&["--pid", "4194303"]), 3, "no process 4194303");
    let own = std::process::id().to_string();
    refused(&run(&["stuck", "--pid", &own]), 3, "not HAProxy");
    refused(&run(&["report", "--pid", "abc"]), 2, "`abc`");
    refused(&run(&["--pid", "0"]), 2, "`0`");
    for args in [
        ["--no-such-flag"].as_slice(),
        &["report", "-d", "soon"],
        &["--min"],
        &["stuck", "--state", "STUCK"],
        &["nonsense"],
    ] {
        refused(&run(args), 2, "error:");
    }
}

#[test]
fn no_rights() {
    if !ready("refusals::no_rights") {
        return;
    }
    let netns = Netns::new();
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    // Where nobody can read the build tree, the binary is put where everyone can. Not by this process: another test's child, forked
    // while the copy is open for writing, would inherit that, and the kernel runs no file that somebody may write (ETXTBSY).
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("hatrace");
    std::fs::set_permissions(
        directory.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let mut install = Command::new("install");
    let installed = install.args(["-m", "755"]).arg(binary()).arg(&copy).status();
    assert!(installed.unwrap().success(), "{}", copy.display());
    for args in [
        ["--mode", "traced", "--pid", &pid].as_slice(),
        &["report", "-d", "1", "--mode", "traced", "--pid", &pid],
    ] {
        refused(
            &run_command(Command::new(&copy).args(args).uid(65534).gid(65534)),
            3,
            "root",
        );
    }
}

#[test]
fn no_btf_is_said_and_polled_instead() {
    if !ready("refusals::no_btf_is_said_and_polled_instead") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    let without_btf = |args: &[&str]| {
        run_command(
            Command::new(binary())
                .args(args)
                .env("HATRACE_BTF", "/nonexistent/vmlinux"),
        )
    };
    refused(&without_btf(&["--mode", "traced", "--pid", &pid]), 3, "no BTF");
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 5);
    pairs.iter_mut().for_each(Pair::server_closes);
    let finished = without_btf(&["report", "--json", "-d", "2", "--pid", &pid]);
    assert!(
        finished.stderr.contains("BTF"),
        "it says why: {}",
        finished.stderr
    );
    let report = finished.report();
    assert_eq!(report.json()["target"]["mode"], "polled");
    assert_eq!(report.lingering().len(), 10);
}

#[test]
fn no_programs_is_said_and_polled_instead() {
    if !ready("refusals::no_programs_is_said_and_polled_instead") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    let without = ["--without", "programs", "--pid", &pid];
    refused(
        &run(&[&without[..], &["--mode", "traced"]].concat()),
        3,
        "switched off",
    );
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 3);
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = run(&[&["report", "--json", "-d", "3"], &without[..]].concat()).report();
    let target = &report.json()["target"];
    assert_eq!(target["mode"], "polled");
    assert!(
        target["mode_because"].as_str().unwrap().contains("switched off"),
        "{target}"
    );
    assert_eq!(report.lingering().len(), 6);
}

/// Held sockets are known by HAProxy's files, orphaned ones by their own end: exact both. What a sweep would add is absent, and nothing made up.
#[test]
fn no_sock_diag_costs_queues_and_clocks_alone() {
    if !ready("refusals::no_sock_diag_costs_queues_and_clocks_alone") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    let without = ["--without", "sock_diag", "--json", "--pid", &pid];
    let tracer = Tracer::start(&[&["report", "-d", "6"], &without[..]].concat());
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 5);
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    assert_eq!(report.json()["target"]["mode"], "traced");
    let lacking = report.json()["target"]["lacking"].as_array().unwrap();
    assert!(
        lacking.iter().any(|lack| lack["ability"] == "sock_diag"),
        "{lacking:?}"
    );
    let rows = report.by_peer();
    for pair in &pairs {
        let row = &rows[&pair.client_address().to_string()];
        assert_eq!(row.kind(), "FIN_WAIT2/held/client", "{}", row.json);
        assert!(
            row.can_have_begun(pair.closed_at, pair.closed_at + 0.05),
            "{}",
            row.json
        );
        assert!(row.json["session"].is_string(), "{}", row.json);
    }
    assert_eq!(report.lingering().len(), 10, "{}", report.json());
    for row in report.lingering() {
        assert!(row.json["unread_bytes"].is_null(), "made up: {}", row.json);
    }
    report.all_exact();
    report.nothing_lost();
    // Nothing can be polled then, and that is said.
    refused(&run(&[&["stuck"], &without[..]].concat()), 3, "sock_diag");
}

#[test]
fn without_bpffs_and_tracefs() {
    if !ready("refusals::without_bpffs_and_tracefs") {
        return;
    }
    let netns = Netns::new();
    let haproxy = Haproxy::start(&netns, TCP);
    // In a mount namespace of its own from which both are gone, wherever this machine has them.
    let script = "umount -l /sys/fs/bpf /sys/kernel/tracing /sys/kernel/debug 2>/dev/null; exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(binary());
    command.args(["report", "--json", "-d", "1", "--pid", &haproxy.pid().to_string()]);
    let report = run_command(&mut command).report();
    assert_eq!(report.json()["target"]["mode"], "traced", "neither is needed");
}

#[test]
fn doctor_tells_what_this_host_allows() {
    if !ready("refusals::doctor_tells_what_this_host_allows") {
        return;
    }
    let finished = run(&["doctor"]);
    assert_eq!(
        finished.code(),
        Some(0),
        "{}\n{}",
        finished.stdout,
        finished.stderr
    );
    for word in ["ok", "btf", "fentry"] {
        assert!(finished.stdout.contains(word), "`{word}`: {}", finished.stdout);
    }
    // As on a kernel that lacks it: said, with what it costs, and no reason to give up.
    let lesser = run(&["doctor", "--json", "--without", "retransmits,one-process"]).report();
    let checks = lesser.json()["checks"].as_array().unwrap();
    for name in ["retransmits", "one-process"] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["status"], "warn", "{check}");
        assert!(check["costs"].is_string(), "{check}");
    }
    let blind = run_command(
        Command::new(binary())
            .arg("doctor")
            .env("HATRACE_BTF", "/nonexistent/vmlinux"),
    );
    assert_eq!(blind.code(), Some(3), "{}", blind.stderr);
    assert!(
        blind.stdout.contains("fail") && blind.stdout.contains("CONFIG_DEBUG_INFO_BTF"),
        "{}",
        blind.stdout
    );
}
