//! Advice on a running HAProxy, held against what is stuck there; and the same from a recording.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::ready;
use hatrace_tests::tracer::run;
use serde_json::Value;

use super::TCP;

#[test]
fn what_explains_stuck_sockets_comes_first_with_its_line() {
    if !ready("advise::what_explains_stuck_sockets_comes_first_with_its_line") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let config = TCP.replace(
        "timeout connect 5s",
        "timeout connect 5s\n  timeout client 1h\n  timeout server 1h",
    );
    let haproxy = Haproxy::start(&netns, &config);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 12);
    pairs.iter_mut().for_each(Pair::server_closes);
    std::thread::sleep(Duration::from_secs(6));
    let folder = tempfile::tempdir().unwrap();
    let tape = folder.path().join("tape");
    let tape = tape.to_str().unwrap();
    let pid = haproxy.pid().to_string();
    let report = run(&["report", "-d", "2", "--record", tape, "--pid", &pid]);
    assert!(report.status.success(), "{}", report.stderr);
    for told in [
        advised(&["advise", "--json", "--pid", &pid]),
        advised(&["advise", "--json", "--from", tape]),
    ] {
        assert_eq!(told["view"], "advise");
        assert_eq!(told["stuck"], 24, "{told}");
        let first = &told["findings"][0];
        assert_eq!(first["rule"], "client-fin-missing", "{told}");
        assert_eq!(first["section"], "frontend fe");
        assert_eq!(first["evidence"], 24, "{told}");
        assert_eq!(first["write"], "timeout client-fin 30s");
        let line = first["line"].as_u64().unwrap() as usize;
        let text = std::fs::read_to_string(haproxy.path("haproxy.cfg")).unwrap();
        assert_eq!(text.lines().nth(line - 1).unwrap().trim(), "frontend fe");
    }
    // A file by itself needs neither, and knows of nobody who is stuck.
    let alone = advised(&[
        "advise",
        "--json",
        "-f",
        haproxy.path("haproxy.cfg").to_str().unwrap(),
    ]);
    assert_eq!(alone["stuck"], Value::Null);
    let rules: Vec<&str> = alone["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["rule"].as_str().unwrap())
        .collect();
    assert!(
        rules.contains(&"client-fin-missing") && rules.contains(&"client-long"),
        "{rules:?}"
    );
    assert!(alone["findings"][0]["evidence"].is_null());
}

#[test]
fn before_and_after_a_fix_and_twice_the_same() {
    if !ready("advise::before_and_after_a_fix_and_twice_the_same") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let folder = tempfile::tempdir().unwrap();
    // The same leak, with and without a timeout for what is half closed.
    let record = |name: &str, config: &str| -> String {
        let haproxy = Haproxy::start(&netns, config);
        let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 60);
        pairs.iter_mut().for_each(Pair::server_closes);
        std::thread::sleep(Duration::from_secs(4));
        let file = folder.path().join(name).to_str().unwrap().to_owned();
        let pid = haproxy.pid().to_string();
        let recorded = run(&["record", "-o", &file, "-d", "4", "--pid", &pid]);
        assert!(recorded.status.success(), "{}", recorded.stderr);
        file
    };
    let leaky = TCP.replace(
        "timeout connect 5s",
        "timeout connect 5s\n  timeout client 1h\n  timeout server 1h",
    );
    let fixed = leaky.replace(
        "timeout client 1h",
        "timeout client 1h\n  timeout client-fin 2s\n  timeout server-fin 2s",
    );
    let (before, again, after) = (
        record("before", &leaky),
        record("again", &leaky),
        record("after", &fixed),
    );
    let compared = |files: [&str; 2]| -> Value {
        let finished = run(&["report", "--json", "--compare", files[0], files[1]]);
        assert!(finished.status.success(), "{}", finished.stderr);
        serde_json::from_str(&finished.stdout).unwrap()
    };
    let worked = compared([&before, &after]);
    assert_eq!(worked["verdict"]["outcome"], "worked", "{worked}");
    let text = worked["verdict"]["text"].as_str().unwrap();
    assert!(
        text.starts_with("FIN_WAIT2 of 127.0.0.1: 60 -> 0") && text.ends_with("the change worked"),
        "{text}"
    );
    let same = compared([&before, &again]);
    assert_eq!(same["verdict"]["outcome"], "no-change", "{same}");
    assert_eq!(compared([&after, &before])["verdict"]["outcome"], "worse");
    // HAProxy's own count agrees: the sessions are gone.
    let of = |compared: &Value| {
        let all = compared["sessions"].as_array().unwrap();
        let found = all
            .iter()
            .find(|one| one["kind"] == "frontend" && one["proxy"] == "fe");
        found.unwrap_or_else(|| panic!("{compared}")).clone()
    };
    let frontend = of(&worked);
    assert_eq!((&frontend["before"], &frontend["after"]), (&60.into(), &0.into()));
    assert_eq!(frontend["change"], "gone");
    assert_eq!(of(&same)["change"], "same");
    let text = run(&["report", "--compare", &before, &after]).stdout;
    assert!(
        text.contains("the change worked") && text.contains("SCUR"),
        "{text}"
    );
}

fn advised(args: &[&str]) -> Value {
    let finished = run(args);
    assert!(finished.status.success(), "{args:?}: {}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

#[test]
fn limits_are_held_against_what_is_open() {
    if !ready("advise::limits_are_held_against_what_is_open") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let config = TCP.replace("  bind 127.0.0.1:8000\n", "  bind 127.0.0.1:8000\n  maxconn 20\n");
    let haproxy = Haproxy::start(&netns, &config);
    let pid = haproxy.pid().to_string();
    let near = || {
        let advised = advised(&["advise", "--json", "--pid", &pid]);
        let findings = advised["findings"].as_array().unwrap().clone();
        findings
            .into_iter()
            .find(|finding| finding["rule"] == "maxconn-near")
    };
    assert_eq!(near(), None);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 19);
    let told = near().expect("19 of 20");
    assert_eq!(
        (&told["severity"], &told["section"]),
        (&"fix".into(), &"frontend fe".into())
    );
    assert!(
        told["why"]
            .as_str()
            .unwrap()
            .starts_with("19 of the 20 connections"),
        "{told}"
    );
    pairs.truncate(2);
    std::thread::sleep(Duration::from_millis(500));
    // What was at most is still to be thought of.
    assert_eq!(near().expect("19 of 20, once")["severity"], "consider");
}

/// Files below a folder that end so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    all.retain(|path| path.to_string_lossy().ends_with(end));
    all.sort();
    all
}

#[test]
fn its_samples_are_what_haproxy_takes() {
    if !ready("advise::its_samples_are_what_haproxy_takes") {
        return;
    }
    let all = files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/advise"),
        ".cfg",
    );
    assert_eq!(all.len(), 14);
    for file in all {
        let checked = Command::new("haproxy")
            .arg("-c")
            .arg("-f")
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        // What isn't there on this machine is a certificate at most.
        let alerts: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("[ALERT]") && line.contains("parsing"))
            .collect();
        assert!(
            alerts.iter().all(|line| line.contains("certificate")),
            "{}: {alerts:?}",
            file.display()
        );
    }
}

/// On the example configurations of Debian's package: each finding is at a line that is there, what it says is missing is missing, and
/// of the few that it calls wrong each is known to be.
#[test]
fn debian_s_examples_are_not_talked_nonsense_of() {
    if !ready("advise::debian_s_examples_are_not_talked_nonsense_of") {
        return;
    }
    let mut all = files(Path::new("/usr/share/doc/haproxy/examples"), ".cfg");
    all.extend(files(Path::new("/etc/haproxy"), "haproxy.cfg"));
    assert!(all.len() >= 5, "{all:?}");
    for file in all {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let told = advised(&["advise", "--json", "-f", file.to_str().unwrap()]);
        assert_eq!(told["doubts"], Value::Array(Vec::new()), "{}", file.display());
        for finding in told["findings"].as_array().unwrap() {
            let what = format!("{}: {finding}", file.display());
            let rule = finding["rule"].as_str().unwrap();
            let number = finding["line"].as_u64().unwrap() as usize;
            let line = lines[number - 1].trim();
            let section = finding["section"].as_str().unwrap();
            if let Some(missing) = finding["write"].as_str().filter(|_| rule.ends_with("-missing")) {
                // Neither in its section nor in any `defaults`.
                let keyword: Vec<&str> = missing.split_whitespace().take(2).collect();
                let mut within = String::new();
                for line in &lines {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    let heads = !line.starts_with([' ', '\t', '#']) && !words.is_empty();
                    if heads {
                        within = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
                    }
                    let there =
                        words.windows(2).any(|pair| pair == keyword) && !line.trim_start().starts_with('#');
                    let counts = within == section || within.starts_with("defaults");
                    assert!(!(there && counts), "{what}: {line}");
                }
            }
            assert!(!line.is_empty() && !line.starts_with('#'), "{what}: {line}");
            if finding["severity"] == "fix" {
                // 20 000 connections with 16 384 descriptors.
                assert_eq!(
                    (rule, line.split_whitespace().next()),
                    ("ulimit-low", Some("ulimit-n")),
                    "{what}"
                );
            }
        }
    }
}
