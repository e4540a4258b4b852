//! A log that is followed while the kernel is traced: each line beside its sockets, as both come.

use std::io::{Read, Write};
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::release::Release;
use hatrace_tests::tracer::Tracer;
use serde_json::Value;

use super::rig::{Rig, WITH_ADDRESSES, connect};

/// The ends that are told of, in their order of coming.
fn provoke(rig: &Rig) {
    rig.netns.run(|| {
        // The client resets while it is served.
        let mut reset = connect(23_000, "127.0.0.1:8000").unwrap();
        reset.write_all(b"w").unwrap();
        let _ = reset.read(&mut [0; 8]);
        crate::odd::linger_zero(&reset);
        drop(reset);
        // The server says nothing more, nor closes, for longer than `timeout server`.
        let mut stalled = connect(23_001, "127.0.0.1:8000").unwrap();
        stalled.write_all(b"s").unwrap();
        let _ = stalled.read_to_end(&mut Vec::new());
        drop(stalled);
        // HAProxy gives a client up that doesn't close: its socket outlives the line.
        let mut late = connect(23_002, "127.0.0.1:8000").unwrap();
        late.write_all(b"a").unwrap();
        sleep(Duration::from_millis(4500));
        drop(late);
        // A normal one.
        let mut normal = connect(23_003, "127.0.0.1:8000").unwrap();
        normal.write_all(b"a").unwrap();
        let _ = normal.read_to_end(&mut Vec::new());
    });
    sleep(Duration::from_millis(2500));
}

fn follow(rig: &Rig, more: &[&str]) -> Tracer {
    let (log, pid) = (rig.log(), rig.haproxy.pid().to_string());
    let mut args = vec!["logs", log.to_str().unwrap(), "-d", "30s"];
    args.extend(more);
    args.extend(["--pid", &pid]);
    Tracer::start(&args)
}

/// `format`: the server's socket is found by its addresses, or by the configuration and the time.
fn beside_its_sockets(release: &Release, format: &str) {
    let rig = Rig::start(release, format);
    let configuration = rig.haproxy.path("haproxy.cfg");
    let more = ["-f", configuration.to_str().unwrap()];
    let text = follow(&rig, &more);
    let objects = follow(&rig, &[&more[..], &["--json"]].concat());
    provoke(&rig);
    for tracer in [&text, &objects] {
        tracer.signal(rustix::process::Signal::INT);
    }
    let (text, objects) = (text.finish(), objects.finish());
    assert!(
        text.status.success() && objects.status.success(),
        "{}",
        text.stderr
    );

    let told: Vec<Value> = objects
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |port: u64, view: &str| {
        let mut found = told
            .iter()
            .filter(|object| object["client_port"] == port && object["view"] == view);
        let one = found
            .next()
            .unwrap_or_else(|| panic!("{port} {view}: {}", objects.stdout));
        assert!(found.next().is_none(), "{}", objects.stdout);
        one
    };
    let reset = of(23_000, "log-line");
    assert_eq!(
        (&reset["code"], &reset["kernel"]["client"]),
        (&"CD".into(), &"its RST".into()),
        "{reset}"
    );
    let stalled = of(23_001, "log-line");
    assert_eq!(
        (&stalled["code"], &stalled["kernel"]["server"]),
        (&"sD".into(), &"HAProxy's FIN; its own had not come".into()),
        "{stalled}"
    );
    let late = of(23_002, "log-line");
    assert_eq!(
        (&late["code"], &late["kernel"]["client"]),
        (&"cD".into(), &"HAProxy's FIN; its own had not come".into()),
        "{late}"
    );
    let outlived = of(23_002, "log-line-outlived");
    let after = outlived["after_s"].as_f64().unwrap();
    assert!(
        outlived["side"] == "client" && (2.0..4.5).contains(&after),
        "{outlived}"
    );
    assert_eq!(of(23_003, "log-line")["kernel"]["contradiction"], Value::Null);
    let kernel = &told.last().unwrap()["kernel"][0];
    assert_eq!(
        (
            &kernel["lines"],
            &kernel["joined"],
            &kernel["joined_to_server"],
            &kernel["agree"]
        ),
        (&4.into(), &4.into(), &4.into(), &4.into()),
        "{kernel}"
    );

    let of = |what: &str| {
        let found = text.stdout.lines().position(|line| line.contains(what));
        let at = found.unwrap_or_else(|| panic!("{what}: {}", text.stdout));
        text.stdout
            .lines()
            .skip(at)
            .take(2)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(
        of("127.0.0.1:23000 CD").contains("the kernel: client's socket: its RST"),
        "{}",
        text.stdout
    );
    assert!(
        of("127.0.0.1:23001 sD").contains("server's: HAProxy's FIN; its own had not come"),
        "{}",
        text.stdout
    );
    assert!(of("127.0.0.1:23002 cD: its client's socket was there until").contains("after that line"));
    assert!(
        text.stdout.contains("4 of the 4 lines of that time are joined"),
        "{}",
        text.stdout
    );
}

on!(
    each_line_is_told_beside_its_sockets_on_2_6,
    |_| Some(Release::own()),
    |release| beside_its_sockets(release, WITH_ADDRESSES)
);
on!(
    each_line_is_told_beside_its_sockets_on_the_newest,
    |name| Release::of("experimental", name),
    |release| beside_its_sockets(release, WITH_ADDRESSES)
);
on!(
    each_line_of_tcplog_is_told_beside_its_sockets,
    |_| Some(Release::own()),
    |release| beside_its_sockets(release, "option tcplog")
);
