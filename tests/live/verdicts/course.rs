//! How things come and go: leaks that grow, waves, old workers that live on, orphans, a FIN that nobody acknowledges, a server that doesn't answer.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hatrace_tests::crowd::{Acting, Manner, connect_from, every, fetch};
use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::release::Release;
use hatrace_tests::tracer::Tracer;
use hatrace_tests::{until, wall};

use super::{DIRECT, Rig, each_under_one, fixes, on_both, text};

/// With a limit to say when it will be reached.
fn limited() -> String {
    DIRECT.replace("  bind 10.0.0.1:8000\n", "  bind 10.0.0.1:8000\n  maxconn 200\n")
}

on_both!(a_leak_that_grows);

fn a_leak_that_grows(release: &Release) {
    let rig = Rig::start(release, &["10.0.0.1", "10.0.0.7"], &limited());
    let _server = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Closes);
    let tracer = rig.culprits(26);
    let kept = Mutex::new(Vec::new());
    every(
        &rig.netns,
        Duration::from_millis(500),
        Instant::now() + Duration::from_secs(25),
        || {
            kept.lock().unwrap().push(fetch("10.0.0.7", "10.0.0.1:8000"));
        },
    );
    let report = tracer.finish().report();
    let finding = report.finding("leak-growth");
    assert_eq!(text(&finding, "peer"), "10.0.0.7", "{finding:#}");
    assert_eq!(text(&finding, "responsible"), "peer");
    let words = finding["because"].to_string();
    // About 120 a minute; 200 minus some 45 at that rate: a minute and a bit.
    assert!(
        words.contains("of the 200 connections of frontend fe (haproxy.cfg:"),
        "{words}"
    );
    assert!(words.contains("are in use: full in 1m"), "{words}");
    assert!(
        report.json()["notices"]
            .as_array()
            .unwrap()
            .iter()
            .all(|notice| notice["verdict"] != "periodic")
    );
    drop(kept);
}

on_both!(onsets_in_waves);

fn onsets_in_waves(release: &Release) {
    let rig = Rig::start(release, &["10.0.0.1", "10.0.0.7"], &limited());
    let _server = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Closes);
    let tracer = rig.culprits(34);
    let mut kept: Vec<TcpStream> = Vec::new();
    let start = Instant::now();
    let mut last = 0.0;
    for wave in 0..5 {
        let due = Duration::from_secs(7) * wave;
        sleep(due.saturating_sub(start.elapsed()));
        last = wall();
        kept.extend(rig.netns.run(|| {
            (0..5)
                .map(|_| fetch("10.0.0.7", "10.0.0.1:8000"))
                .collect::<Vec<_>>()
        }));
    }
    let report = tracer.finish().report();
    let finding = report.finding("periodic");
    assert_eq!(text(&finding, "peer"), "10.0.0.7", "{finding:#}");
    let words = finding["because"].to_string();
    assert!(
        words.contains("every 7.0") || words.contains("every 6.9"),
        "{words}"
    );
    assert!(words.contains("5 of about 5"), "{words}");
    let next = finding["next_in_s"].as_f64().unwrap();
    assert!(
        (report.taken_at() + next - (last + 7.0)).abs() < 1.0,
        "{finding:#}"
    );
    drop(kept);
}

on_both!(who_keeps_an_old_worker);

fn who_keeps_an_old_worker(release: &Release) {
    let netns = Netns::new();
    netns.addresses(&["10.0.0.1", "10.0.0.7", "10.0.0.8"]);
    let haproxy = Haproxy::spawn(
        &netns,
        Start {
            release: Some(release),
            args: &["-W", "-S", "{DIR}/master.sock"],
            config: &(GLOBAL.to_owned() + &limited()),
            ..Start::default()
        },
    );
    haproxy.await_socket();
    until("a worker", Duration::from_secs(5), || {
        haproxy.workers().len() == 1
    });
    let old = haproxy.workers()[0];
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let connect = |from: &str, count: usize| -> Vec<Pair> {
        netns.run(|| {
            (0..count)
                .map(|_| {
                    let mut client = connect_from(from, "10.0.0.1:8000");
                    client.write_all(b"x").unwrap();
                    let (served, _) = server.accept();
                    Pair {
                        client,
                        server: served,
                        closed_at: 0.0,
                    }
                })
                .collect()
        })
    };
    let mut leaking = connect("10.0.0.7", 9);
    let at_work = connect("10.0.0.8", 2);
    leaking.iter_mut().for_each(Pair::server_closes);
    haproxy.signal(rustix::process::Signal::USR2);
    // A busy master of 2.6 may lose the signal while it settles.
    let (start, mut signalled) = (Instant::now(), Instant::now());
    while haproxy.workers().iter().all(|pid| *pid == old) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "no second worker: {}",
            haproxy.log()
        );
        if signalled.elapsed() > Duration::from_secs(4) {
            signalled = Instant::now();
            haproxy.signal(rustix::process::Signal::USR2);
        }
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(1500));
    let pid = haproxy.pid().to_string();
    let report = Tracer::start(&["culprits", "--json", "-d", "5", "--pid", &pid])
        .finish()
        .report();
    let finding = report.finding("old-worker-pinned");
    assert_eq!(text(&finding, "peer"), "10.0.0.7", "{finding:#}");
    assert_eq!(finding["open"], 11, "{finding:#}");
    assert_eq!(text(&finding, "responsible"), "peer");
    let words = finding["because"].to_string();
    assert!(words.contains(&format!("worker {old} was replaced")), "{words}");
    assert!(words.contains("10.0.0.7 (9), 10.0.0.8 (2)"), "{words}");
    assert!(
        fixes(&finding)
            .iter()
            .any(|fix| fix.starts_with("hard-stop-after 10m (global, ")),
        "{finding:#}"
    );
    drop((leaking, at_work));
}

on_both!(a_fin_that_nobody_acknowledges);

/// The kernel gives up when it was said to: with `tcp_orphan_retries` first, then with the `tcp-ut` that was said to help.
fn a_fin_that_nobody_acknowledges(release: &Release) {
    let vanish = |config: &str| {
        let netns = Netns::new();
        netns.sysctl("net.ipv4.tcp_orphan_retries", "5");
        let far = Netns::new();
        netns.wire(&far, "10.0.0.1", "10.9.0.1");
        let rig = Rig::within(netns, release, config);
        let server = Server::listen(&rig.netns, "127.0.0.1:9000");
        let (client, served) = far.run(|| {
            let mut client = connect_from("10.9.0.1", "10.0.0.1:8000");
            client.write_all(b"x").unwrap();
            let (mut served, _) = server.accept();
            // Read, or the server's close would be a RST, and no FIN would go anywhere.
            std::io::Read::read_exact(&mut served, &mut [0u8; 1]).unwrap();
            (client, served)
        });
        sleep(Duration::from_millis(300));
        far.silence("10.0.0.1");
        (rig, far, client, served)
    };
    // HAProxy closes both when the client's half has been shut for a second: an orphan from then on.
    let config = limited().replace("timeout client 1h", "timeout client 1h\n  timeout client-fin 1s");
    let (rig, far, client, served) = vanish(&config);
    let tracer = rig.culprits(7);
    drop(served);
    let report = tracer.finish().report();
    let finding = report.finding("path-drops-fin");
    assert_eq!(
        (text(&finding, "peer"), text(&finding, "responsible")),
        ("10.9.0.1", "path"),
        "{finding:#}"
    );
    let clock = &finding["clock"];
    assert_eq!(
        (text(clock, "name"), text(clock, "source")),
        ("tcp_orphan_retries", "kernel"),
        "{finding:#}"
    );
    let promised = report.taken_at() + clock["fires_in_s"].as_f64().unwrap();
    let there = || {
        rig.netns
            .ss("sport = :8000")
            .iter()
            .any(|line| line.contains("FIN-WAIT-1"))
    };
    assert!(there(), "{:?}", rig.netns.ss("sport = :8000"));
    until("the kernel gives up", Duration::from_secs(60), || !there());
    assert!(
        (wall() - promised).abs() < 1.0,
        "{} s after what was promised",
        wall() - promised
    );
    let fix = format!(
        "tcp-ut 30s on the bind line (frontend fe, {})",
        rig.line("bind 10.0.0.1:8000")
    );
    assert!(fixes(&finding).contains(&fix), "{finding:#}");
    drop((rig, far, client));

    let config = config.replace("bind 10.0.0.1:8000", "bind 10.0.0.1:8000 tcp-ut 4s");
    let (rig, far, client, served) = vanish(&config);
    let tracer = rig.culprits(3);
    let closed_at = wall();
    drop(served);
    let report = tracer.finish().report();
    let clock = report
        .lingering()
        .iter()
        .find(|row| row.text("state") == "FIN_WAIT1")
        .map(|row| row.json["clock"].clone())
        .unwrap_or_else(|| panic!("{:#?}", report.lingering()));
    assert_eq!(text(&clock, "name"), "TCP_USER_TIMEOUT", "{clock}");
    let promised = report.taken_at() + clock["fires_in_s"].as_f64().unwrap();
    let there = || {
        rig.netns
            .ss("sport = :8000")
            .iter()
            .any(|line| line.contains("FIN-WAIT-1"))
    };
    until("the kernel gives up", Duration::from_secs(20), || !there());
    assert!(
        (wall() - promised).abs() < 1.0,
        "{} s after what was promised",
        wall() - promised
    );
    assert!(wall() - closed_at < 7.0);
    drop((rig, far, client));
}

on_both!(a_server_that_does_not_answer);

fn a_server_that_does_not_answer(release: &Release) {
    let netns = Netns::new();
    netns.addresses(&["10.0.0.1", "10.0.0.7"]);
    let full = netns.run(|| super::super::stage::full_listener("127.0.0.1:9000"));
    let rig = Rig::within(
        netns,
        release,
        &limited().replace("timeout connect 5s", "timeout connect 9s"),
    );
    let tracer = rig.culprits(5);
    let asked_at = wall();
    let clients: Vec<TcpStream> = rig.netns.run(|| {
        (0..4)
            .map(|_| {
                let mut client = connect_from("10.0.0.7", "10.0.0.1:8000");
                client.write_all(b"x").unwrap();
                client
            })
            .collect()
    });
    let report = tracer.finish().report();
    let finding = report.finding("connect-unanswered");
    assert_eq!(
        (text(&finding, "server"), text(&finding, "responsible")),
        ("s1", "server"),
        "{finding:#}"
    );
    assert_eq!(finding["open"], 4);
    let clock = &finding["clock"];
    assert_eq!(
        (text(clock, "name"), text(clock, "source")),
        ("timeout connect", rig.line("timeout connect 9s").as_str())
    );
    let fires_at = report.taken_at() + clock["fires_in_s"].as_f64().unwrap();
    assert!((fires_at - (asked_at + 9.0)).abs() < 1.0, "{clock}");
    each_under_one(&report);
    drop((clients, full));
}
