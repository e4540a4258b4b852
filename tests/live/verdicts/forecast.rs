//! When what is left open will have used up what HAProxy allows: held against the moment at which it has. And nothing of the kind on load
//! that is steady, or comes in waves.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hatrace_tests::crowd::{Acting, Manner, connect_from, fetch};
use hatrace_tests::release::Release;
use hatrace_tests::{ready, wall};

use super::{DIRECT, Rig, text};

const RATE: f64 = 1.5;
const MAXCONN: u32 = 240;
const GLOBAL_MAXCONN: f64 = 600.0;
/// How long the load is watched before anything is foretold.
const WATCHED: u32 = 120;

#[test]
fn a_leak_is_full_when_it_was_said_to_be() {
    if !ready("verdicts::forecast::a_leak_is_full_when_it_was_said_to_be") {
        return;
    }
    let config = format!("global\n  maxconn {GLOBAL_MAXCONN}\n{DIRECT}").replace(
        "  bind 10.0.0.1:8000\n",
        &format!("  bind 10.0.0.1:8000\n  maxconn {MAXCONN}\n"),
    );
    let rig = Rig::start(&Release::own(), &["10.0.0.1", "10.0.0.7"], &config);
    let _server = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Closes);
    let tracer = rig.culprits(WATCHED);
    let start = Instant::now();
    let mut kept: Vec<TcpStream> = Vec::new();
    let (report, full_at) = std::thread::scope(|scope| {
        let report = scope.spawn(|| tracer.finish().report());
        rig.netns.run(|| {
            for nth in 0..MAXCONN {
                sleep(Duration::from_secs_f64(f64::from(nth) / RATE).saturating_sub(start.elapsed()));
                kept.push(fetch("10.0.0.7", "10.0.0.1:8000"));
            }
        });
        let full_at = wall();
        (report.join().unwrap(), full_at)
    });
    // It is full: one more is not served.
    let mut more = rig.netns.run(|| connect_from("10.0.0.7", "10.0.0.1:8000"));
    more.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    more.write_all(b"x").unwrap();
    assert!(
        more.read(&mut [0u8; 8]).is_err(),
        "frontend fe takes more than {MAXCONN}"
    );

    let finding = report.finding("leak-growth");
    assert_eq!(text(&finding, "peer"), "10.0.0.7", "{finding:#}");
    assert_eq!(text(&finding, "confidence"), "certain");
    let forecasts = finding["forecast"].as_array().unwrap();
    let of = |whose: &str| {
        let found = forecasts.iter().find(|forecast| forecast["of"] == whose);
        found
            .unwrap_or_else(|| panic!("no forecast of {whose}: {finding:#}"))
            .clone()
    };
    let frontend = of("frontend fe");
    assert_eq!(frontend["limit"], MAXCONN);
    assert_eq!(
        text(&frontend, "set_at"),
        rig.line(&format!("  maxconn {MAXCONN}"))
    );
    let took = full_at - report.taken_at();
    let said = frontend["full_in_s"].as_f64().unwrap();
    assert!(
        (said / took - 1.0).abs() < 0.1,
        "said {said} s, it took {took} s: {finding:#}"
    );
    assert!(frontend["soonest_s"].as_f64().unwrap() < took && took < frontend["latest_s"].as_f64().unwrap());
    let global = of("global");
    let would_take = (GLOBAL_MAXCONN - global["used"].as_f64().unwrap()) / RATE;
    let said = global["full_in_s"].as_f64().unwrap();
    assert!(
        (said / would_take - 1.0).abs() < 0.1,
        "said {said} s, not {would_take} s"
    );
    assert!(
        finding["because"].to_string().contains("are in use: full in"),
        "{finding:#}"
    );
    drop((kept, more));
}

/// Connections that linger for four seconds each, at a rate that may change; watched for half a minute, for longer, and for two.
fn no_forecast(rate: impl Fn(f64) -> f64) {
    const STAY: f64 = 4.0;
    let config = DIRECT.replace("  bind 10.0.0.1:8000\n", "  bind 10.0.0.1:8000\n  maxconn 100\n");
    let rig = Rig::start(&Release::own(), &["10.0.0.1", "10.0.0.7"], &config);
    let _server = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Closes);
    let start = Instant::now();
    let tracers = [WATCHED / 4, WATCHED * 3 / 5, WATCHED].map(|seconds| rig.culprits(seconds));
    let mut open: VecDeque<(f64, TcpStream)> = VecDeque::new();
    let (mut next, mut most) = (0.0, 0);
    while start.elapsed().as_secs_f64() < f64::from(WATCHED) + 2.0 {
        let now = start.elapsed().as_secs_f64();
        while next <= now {
            next += 1.0 / rate(next);
            open.push_back((now, rig.netns.run(|| fetch("10.0.0.7", "10.0.0.1:8000"))));
        }
        while open.front().is_some_and(|(since, _)| since + STAY <= now) {
            open.pop_front();
        }
        most = most.max(open.len());
        sleep(Duration::from_millis(10));
    }
    assert!(most > 8, "enough at once for a rise: {most}");
    for tracer in tracers {
        let report = tracer.finish().report();
        let notices = report.json()["notices"].as_array().unwrap().clone();
        let all = report.culprits().into_iter().chain(notices);
        let growth: Vec<_> = all
            .filter(|finding| finding["verdict"] == "leak-growth")
            .collect();
        assert!(growth.is_empty(), "{growth:#?}");
        assert!(!report.lingering().is_empty(), "nothing lingered");
    }
}

#[test]
fn steady_load_is_no_leak() {
    if ready("verdicts::forecast::steady_load_is_no_leak") {
        no_forecast(|_| 4.0);
    }
}

#[test]
fn load_in_waves_is_no_leak() {
    if ready("verdicts::forecast::load_in_waves_is_no_leak") {
        no_forecast(|now| (now / 40.0 * std::f64::consts::TAU).sin().mul_add(2.9, 3.0));
    }
}
