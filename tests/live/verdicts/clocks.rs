//! Clocks: the name, the line, and the moment at which it fires; and that the fix frees the sockets as promised.

use std::time::Duration;

use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::release::Release;
use hatrace_tests::{until, wall};

use super::{Rig, on_both};

/// What decides on one side, and which side's peer doesn't close.
struct Case {
    config: &'static str,
    name: &'static str,
    line: &'static str,
    client_closes: bool,
    seconds: f64,
}

const CASES: [Case; 4] = [
    Case {
        config: "timeout client 40s\n  timeout server 40s\n  timeout client-fin 12s",
        name: "timeout client-fin",
        line: "timeout client-fin 12s",
        client_closes: false,
        seconds: 12.0,
    },
    Case {
        config: "timeout client 40s\n  timeout server 40s\n  timeout server-fin 13000",
        name: "timeout server-fin",
        line: "timeout server-fin 13000",
        client_closes: true,
        seconds: 13.0,
    },
    Case {
        config: "timeout client 1h\n  timeout server 1h\n  timeout tunnel 11s",
        name: "timeout tunnel",
        line: "timeout tunnel 11s",
        client_closes: false,
        seconds: 11.0,
    },
    Case {
        config: "timeout client 14s\n  timeout server 1h",
        name: "timeout client",
        line: "timeout client 14s",
        client_closes: false,
        seconds: 14.0,
    },
];

on_both!(each_timeout_is_named_with_its_line_and_its_moment);

fn each_timeout_is_named_with_its_line_and_its_moment(release: &Release) {
    std::thread::scope(|scope| {
        for case in &CASES {
            scope.spawn(move || check(release, case));
        }
    });
}

fn check(release: &Release, case: &Case) {
    let config = format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  {}\nfrontend fe\n  bind 127.0.0.1:8000\n  default_backend be\nbackend be\n  server s1 127.0.0.1:9000\n",
        case.config
    );
    let rig = Rig::start(release, &[], &config);
    let server = Server::listen(&rig.netns, "127.0.0.1:9000");
    let tracer = rig.culprits(6);
    let mut pairs = server.pairs(&rig.netns, "127.0.0.1:8000", 5);
    pairs.iter_mut().for_each(|pair| {
        if case.client_closes {
            pair.client_closes();
        } else {
            pair.server_closes();
        }
    });
    let report = tracer.finish().report();
    let rows = report.lingering();
    assert_eq!(rows.len(), 10, "{}: {rows:#?}", case.name);
    for row in &rows {
        let clock = &row.json["clock"];
        assert_eq!(clock["name"], case.name, "{}", row.json);
        assert_eq!(clock["source"], rig.line(case.line), "{}", row.json);
        assert_eq!(clock["certain"], true, "{}", row.json);
        let fires_at = report.taken_at() + clock["fires_in_s"].as_f64().unwrap();
        let expected = pairs[0].closed_at + case.seconds;
        assert!(
            (fires_at - expected).abs() < 1.0,
            "{}: {fires_at} for {expected}: {}",
            case.name,
            row.json
        );
    }
    // And it does fire then: HAProxy lets go of them all.
    let promised = pairs[0].closed_at + case.seconds;
    let left = (promised - wall()).max(0.0);
    until("HAProxy closes", Duration::from_secs_f64(left + 3.0), || {
        rig.haproxy.ask("show sess").matches("fe=fe ").count() == 0
    });
    let late = wall() - promised;
    assert!(
        late.abs() < 1.2,
        "{}: {late} s after what was promised",
        case.name
    );
    drop(pairs);
}

on_both!(without_a_timeout_there_is_no_clock_and_the_fix_is_one);

/// First run: no timeout at all, and hatrace names the configuration. Second run, with what it says to write: freed as promised.
fn without_a_timeout_there_is_no_clock_and_the_fix_is_one(release: &Release) {
    let config = |more: &str| {
        format!(
            "defaults\n  mode tcp\n  timeout connect 5s\nfrontend fe\n  bind 127.0.0.1:8000\n{more}  default_backend be\nbackend be\n  server s1 127.0.0.1:9000\n"
        )
    };
    let rig = Rig::start(release, &[], &config(""));
    let server = Server::listen(&rig.netns, "127.0.0.1:9000");
    let tracer = rig.culprits(14);
    let mut pairs = server.pairs(&rig.netns, "127.0.0.1:8000", 6);
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    for row in report.lingering() {
        assert_eq!(row.json["clock"]["name"], "none", "{}", row.json);
        assert_eq!(row.json["clock"]["fires_in_s"], serde_json::Value::Null);
    }
    let finding = report.finding("no-timeout");
    assert_eq!(finding["responsible"], "haproxy", "{finding:#}");
    assert_eq!(finding["confidence"], "certain");
    assert_eq!(finding["open"], 6);
    let header = rig.line("frontend fe");
    let promised = format!("timeout client-fin 30s (frontend fe, {header})");
    assert!(super::fixes(&finding).contains(&promised), "{finding:#}");
    let half_closed = report.finding("half-closed-pair");
    assert_eq!(half_closed["responsible"], "peer", "{half_closed:#}");
    assert_eq!(half_closed["confidence"], "certain", "{half_closed:#}");
    assert!(super::fixes(&half_closed).contains(&promised), "{half_closed:#}");
    drop((pairs, rig));

    // The same with the line that was promised to help, shorter so that one need not wait.
    let rig = Rig::start(release, &[], &config("  timeout client-fin 4s\n"));
    let server = Server::listen(&rig.netns, "127.0.0.1:9000");
    let tracer = rig.culprits(9);
    let mut pairs = server.pairs(&rig.netns, "127.0.0.1:8000", 6);
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    let held: Vec<_> = report
        .lingering()
        .into_iter()
        .filter(|row| row.text("holder") == "held")
        .collect();
    assert!(held.is_empty(), "{held:#?}");
}
