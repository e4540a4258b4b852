//! Advice on a running HAProxy, held against what is stuck there; and the same from a recording.

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
    let told = |args: &[&str]| -> Value {
        let finished = run(args);
        assert!(finished.status.success(), "{}", finished.stderr);
        serde_json::from_str(&finished.stdout).unwrap()
    };
    for advised in [
        told(&["advise", "--json", "--pid", &pid]),
        told(&["advise", "--json", "--from", tape]),
    ] {
        assert_eq!(advised["view"], "advise");
        assert_eq!(advised["stuck"], 24, "{advised}");
        let first = &advised["findings"][0];
        assert_eq!(first["rule"], "client-fin-missing", "{advised}");
        assert_eq!(first["section"], "frontend fe");
        assert_eq!(first["evidence"], 24, "{advised}");
        assert_eq!(first["write"], "timeout client-fin 30s");
        let line = first["line"].as_u64().unwrap() as usize;
        let text = std::fs::read_to_string(haproxy.path("haproxy.cfg")).unwrap();
        assert_eq!(text.lines().nth(line - 1).unwrap().trim(), "frontend fe");
    }
    // A file by itself needs neither, and knows of nobody who is stuck.
    let alone = told(&[
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
    let text = run(&["report", "--compare", &before, &after]).stdout;
    assert!(
        text.contains("the change worked") && text.contains("CHANGE"),
        "{text}"
    );
}
