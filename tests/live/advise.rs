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
