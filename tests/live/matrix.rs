//! What depends on the kernel and is shown nowhere else; run on other kernels too (`cargo xtask vm`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server, connect};
use hatrace_tests::report::Report;
use hatrace_tests::tracer::Tracer;
use hatrace_tests::{ready, slack};
use serde_json::{Value, json};

use super::TCP;
use super::odd::linger_zero;

#[test]
fn retransmissions_are_counted() {
    if !ready("matrix::retransmissions_are_counted") {
        return;
    }
    let (netns, far) = (Netns::new(), Netns::new());
    netns.wire(&far, "10.0.0.1", "10.9.0.1");
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, &TCP.replace("127.0.0.1:8000", "10.0.0.1:8000"));
    let tracer = Tracer::start(&["report", "--json", "-d", "6", "--pid", &haproxy.pid().to_string()]);
    let mut pairs = server.pairs(&far, "10.0.0.1:8000", 2);
    // From now on no ACK comes back.
    far.silence("10.0.0.1");
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    let waiting: Vec<_> = report
        .lingering()
        .into_iter()
        .filter(|row| row.kind() == "FIN_WAIT1/held/client")
        .collect();
    assert_eq!(waiting.len(), 2, "{}", report.json()["lingering"]);
    for row in waiting {
        // After 0.2, 0.6, 1.4 and 3 s, the first of them a probe for a lost tail.
        let times = row.json["retransmits"].as_u64().unwrap();
        assert!((2..=8).contains(&times), "{}", row.json);
    }
}

/// Everything that must not differ between kernels: what there is, of which kind, under whose verdict; no times, no addresses.
fn essence(report: &Report) -> Value {
    let json = report.json();
    let pick = |value: &Value, keys: &[&str]| -> Value {
        let of = |key: &&str| ((*key).to_owned(), value[*key].clone());
        keys.iter().map(of).collect::<serde_json::Map<_, _>>().into()
    };
    let sorted = |mut all: Vec<Value>| {
        all.sort_by_key(ToString::to_string);
        all
    };
    let list = |key: &str| json[key].as_array().cloned().unwrap_or_default();
    let lingering = list("lingering").into_iter().map(|row| {
        let mut kind = pick(
            &row,
            &[
                "state",
                "holder",
                "side",
                "first_fin",
                "adopted",
                "verdict",
                "proxy",
                "server",
            ],
        );
        kind["clock"] = row["clock"]["name"].clone();
        kind["session"] = row["session"].is_string().into();
        kind["pair"] = row["pair"].is_object().into();
        kind
    });
    let dwell = list("dwell")
        .iter()
        .map(|row| pick(row, &["side", "state", "ended", "open"]))
        .collect();
    let culprits = list("culprits")
        .iter()
        .map(|row| pick(row, &["verdict", "responsible", "side", "state", "open", "ended"]))
        .collect();
    // Of whomsoever's sockets on a busy machine: no part of the scenario.
    let notices = list("notices")
        .into_iter()
        .map(|notice| notice["verdict"].clone())
        .filter(|code| code != "missed-runs");
    json!({
        "totals": pick(&json["totals"], &["sockets", "adopted", "lost", "seen", "delivered", "lost_lives"]),
        "lingering": sorted(lingering.collect()),
        "dwell": sorted(dwell),
        "culprits": sorted(culprits),
        "notices": sorted(notices.collect()),
        "without_session": list("without_session").iter().map(|row| row["reason"].clone()).collect::<Vec<_>>(),
    })
}

/// A frontend of each kind in front of one server.
const SCENARIO: &str = "
defaults
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend fe
  mode tcp
  bind :::8000 v4v6
  default_backend be
frontend web
  mode http
  option httpclose
  bind 127.0.0.1:8001
  http-request return status 200 content-type text/plain string ok
backend be
  mode tcp
  server s1 127.0.0.1:9000
";

/// Answered and closed upon by HAProxy; it keeps its own end open.
fn answered(netns: &Netns) -> TcpStream {
    netns.run(|| {
        let mut client = connect("127.0.0.1:8001");
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = Vec::new();
        client.read_to_end(&mut text).unwrap();
        client
    })
}

#[test]
fn the_same_scenario_is_the_same_everywhere() {
    if !ready("matrix::the_same_scenario_is_the_same_everywhere") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, SCENARIO);
    let pid = haproxy.pid().to_string();
    let mut older = server.pairs(&netns, "127.0.0.1:8000", 2);
    older.iter_mut().for_each(Pair::server_closes);
    sleep(Duration::from_millis(300));
    // HAProxy is asked for 1 % of the time at most: where it is slow to answer, names take longer.
    let seconds = if slack() > 0.0 { "25" } else { "8" };
    let tracer = Tracer::start(&["report", "--json", "-d", seconds, "--pid", &pid]);
    let mut by_server = server.pairs(&netns, "127.0.0.1:8000", 3);
    let mut by_client = server.pairs(&netns, "127.0.0.1:8000", 2);
    let mut on_six = server.pairs(&netns, "[::1]:8000", 1);
    let mut reset = server.pairs(&netns, "127.0.0.1:8000", 2);
    let gone: Vec<_> = (0..4).map(|_| answered(&netns)).collect();
    for pair in by_server.iter_mut().chain(&mut on_six).chain(&mut reset) {
        pair.server_closes();
    }
    by_client.iter_mut().for_each(Pair::client_closes);
    // Long enough to linger, on a slow machine too.
    sleep(Duration::from_millis(2500));
    for pair in reset {
        linger_zero(&pair.client);
        drop(pair);
    }
    let report = tracer.finish().report();
    drop(gone);
    assert_eq!(report.json()["target"]["mode"], "traced");
    let found = serde_json::to_string_pretty(&essence(&report)).unwrap() + "\n";
    let expected = include_str!("../samples/scenario.json");
    if std::env::var_os("HATRACE_BLESS").is_some() {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/samples/scenario.json"),
            &found,
        )
        .unwrap();
        return;
    }
    assert_eq!(found, expected, "{}", report.json());
}
