//! What `culprits` can be asked for.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::crowd::connect_from;
use hatrace_tests::peers::Server;
use hatrace_tests::release::Release;
use hatrace_tests::tracer::{Tracer, run};

use super::{DIRECT, Rig, on_both};

on_both!(culprits_by_whatever_one_wants);

fn culprits_by_whatever_one_wants(release: &Release) {
    let addresses = ["10.0.0.1", "10.0.0.7", "10.0.0.8", "10.0.1.9"];
    let rig = Rig::start(release, &addresses, DIRECT);
    let server = Server::listen(&rig.netns, "127.0.0.1:9000");
    let pairs: Vec<_> = rig.netns.run(|| {
        [("10.0.0.7", 8), ("10.0.0.8", 4), ("10.0.1.9", 3)]
            .into_iter()
            .flat_map(|(from, count)| std::iter::repeat_n(from, count))
            .map(|from| {
                let mut client = connect_from(from, "10.0.0.1:8000");
                client.write_all(b"x").unwrap();
                let (served, _) = server.accept();
                let _ = served.shutdown(std::net::Shutdown::Write);
                (client, served)
            })
            .collect()
    });
    let pid = rig.haproxy.pid().to_string();
    sleep(Duration::from_secs(11));
    let by = |by: &str| {
        let tracer = Tracer::start(&["culprits", "--json", "-d", "2", "--by", by, "--pid", &pid]);
        let report = tracer.finish().report();
        report
            .culprits()
            .iter()
            .map(|culprit| {
                (
                    culprit["peer"].as_str().unwrap_or("-").to_owned(),
                    culprit["open"].as_u64().unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    let owned = |told: &[(&str, u64)]| {
        told.iter()
            .map(|(peer, open)| ((*peer).to_owned(), *open))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        by("peer"),
        owned(&[("10.0.0.7", 8), ("10.0.0.8", 4), ("10.0.1.9", 3)])
    );
    assert_eq!(by("prefix"), owned(&[("10.0.0.0/24", 12), ("10.0.1.9", 3)]));
    assert_eq!(by("proxy"), owned(&[("-", 15)]));
    // As words, with a name for the address; who else is at the other end of a connection on this host is recognised.
    let words = run(&["culprits", "-d", "2", "-r", "--pid", &pid]).stdout;
    assert!(words.contains("1. half-closed-pair"), "{words}");
    assert!(words.contains("on this host)"), "{words}");
    let last = words.lines().last().unwrap();
    assert!(
        last.contains("10.0.0.7") && last.contains("fix: timeout client-fin 30s (frontend fe, "),
        "{last}"
    );
    let summary = run(&["-d", "2", "--pid", &pid]);
    let said = format!("{}{}", summary.stdout, summary.stderr);
    assert!(said.contains("half-closed-pair (certain): 10.0.0.7"), "{said}");
    drop(pairs);
}
