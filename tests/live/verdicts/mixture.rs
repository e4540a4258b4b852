//! Three causes at once are three findings with the right members.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::crowd::{Acting, Manner, fetch, talk};
use hatrace_tests::netns::Netns;
use hatrace_tests::release::Release;
use serde_json::Value;

use super::{Rig, each_under_one, on_both, text};

const CONFIG: &str = "
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend fe
  bind 10.0.0.1:8000
  default_backend be
frontend fe_vanishing
  bind 10.0.0.1:8001
  default_backend be_late
frontend fe_stubborn
  bind 10.0.0.1:8002
  default_backend be_stubborn
backend be
  server s1 127.0.0.1:9000
backend be_late
  server late 127.0.0.1:9001
backend be_stubborn
  server good 127.0.0.1:9002
  server stubborn 127.0.0.1:9003
";

/// A leaky balancer, clients that vanish from many addresses, a server that ignores HAProxy's FIN.
const LEAKED: usize = 30;
const VANISHED: usize = 20;
const STUBBORN: usize = 15;

on_both!(three_causes_are_three_findings);

fn three_causes_are_three_findings(release: &Release) {
    let netns = Netns::new();
    netns.addresses(&["10.0.0.7", "10.0.0.8"]);
    let far = Netns::new();
    netns.wire(&far, "10.0.0.1", "10.9.0.1");
    let vanishing: Vec<String> = (1..=VANISHED).map(|nth| format!("10.9.1.{nth}")).collect();
    far.addresses(&vanishing.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = Rig::within(netns, release, CONFIG);
    let _closes = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Closes);
    let late = hatrace_tests::peers::Server::listen(&rig.netns, "127.0.0.1:9001");
    let _good = Acting::listen(&rig.netns, "127.0.0.1:9002", Manner::Waits);
    let stubborn = Acting::listen(&rig.netns, "127.0.0.1:9003", Manner::Ignores);
    let tracer = rig.culprits(26);
    // They come in, then nothing that their host sends arrives any more, then the server closes.
    let (clients, servers) = far.run(|| {
        let mut clients = Vec::new();
        let mut servers = Vec::new();
        for address in &vanishing {
            let mut client = hatrace_tests::crowd::connect_from(address, "10.0.0.1:8001");
            std::io::Write::write_all(&mut client, b"x").unwrap();
            // Read, or the server's close would be a RST, and no FIN would go anywhere.
            let (mut served, _) = late.accept();
            std::io::Read::read_exact(&mut served, &mut [0u8; 1]).unwrap();
            servers.push(served);
            clients.push(client);
        }
        (clients, servers)
    });
    sleep(Duration::from_millis(300));
    far.silence("10.0.0.1");
    drop(servers);
    let (leaked, served): (Vec<TcpStream>, Vec<TcpStream>) = rig.netns.run(|| {
        let leaked = (0..LEAKED).map(|_| fetch("10.0.0.7", "10.0.0.1:8000")).collect();
        // Well-behaved ones beside it.
        for _ in 0..40 {
            drop(fetch("10.0.0.8", "10.0.0.1:8000"));
        }
        let served = (0..2 * STUBBORN)
            .map(|_| talk("10.0.0.8", "10.0.0.1:8002"))
            .collect();
        (leaked, served)
    });
    // The clients close; one server does as well, the other ignores it.
    for client in &served {
        let _ = client.shutdown(std::net::Shutdown::Write);
    }
    let report = tracer.finish().report();
    assert_eq!(stubborn.kept(), STUBBORN);
    each_under_one(&report);
    let culprits = report.culprits();
    let by_verdict = |peer: &str| {
        culprits
            .iter()
            .find(|culprit| text(culprit, "peer") == peer)
            .unwrap_or_else(|| panic!("no {peer}: {culprits:#?}"))
    };
    assert_eq!(culprits.len(), 3, "{culprits:#?}");
    let leaky = by_verdict("10.0.0.7");
    assert_eq!(
        (text(leaky, "verdict"), text(leaky, "responsible")),
        ("peer-never-closes", "peer")
    );
    // By the kernel's own word: under load a client may come away without its server's end.
    let there = rig.netns.ss("state fin-wait-2 dst 10.0.0.7");
    let leaked_there = there.len();
    assert!(leaked_there + 3 >= LEAKED, "{leaked_there}");
    assert_eq!(
        (&leaky["open"], &leaky["pinned"]),
        (&leaked_there.into(), &leaked_there.into()),
        "{leaky:#}, ss: {there:#?}, rows: {:#?}, {}",
        report
            .lingering()
            .iter()
            .filter(|row| text(&row.json, "proxy").ends_with("fe")
                || text(&row.json, "peer").starts_with("10.0.0.7:"))
            .map(|row| row.json.to_string())
            .collect::<Vec<_>>(),
        report.json()["totals"]
    );
    let path = by_verdict("10.9.1.0/24");
    assert_eq!(
        (text(path, "verdict"), text(path, "responsible")),
        ("path-drops-fin", "path")
    );
    assert_eq!(text(path, "confidence"), "certain", "{path:#}");
    assert_eq!(path["open"], VANISHED, "{path:#}");
    let server = by_verdict("127.0.0.1");
    assert_eq!(text(server, "responsible"), "server", "{server:#}");
    assert_eq!(text(server, "server"), "stubborn");
    assert_eq!(
        (&server["open"], &server["pinned"]),
        (&STUBBORN.into(), &STUBBORN.into()),
        "{server:#}"
    );
    for culprit in [leaky, server] {
        assert_eq!(text(culprit, "confidence"), "certain", "{culprit:#}");
    }
    members(&report, &culprits);
    drop((clients, leaked, served));
}

/// Each finding has the sockets that the script made for it, and no other.
fn members(report: &hatrace_tests::report::Report, culprits: &[Value]) {
    let rows: BTreeMap<String, Value> = report
        .lingering()
        .into_iter()
        .map(|row| (row.text("cookie").to_owned(), row.json))
        .collect();
    for culprit in culprits {
        for cookie in culprit["sockets"].as_array().unwrap() {
            let row = &rows[cookie.as_str().unwrap()];
            let (peer, proxy) = (text(row, "peer"), text(row, "proxy"));
            let belongs = match text(culprit, "verdict") {
                "path-drops-fin" => peer.starts_with("10.9.1.") || proxy == "be_late",
                _ if text(culprit, "responsible") == "server" => {
                    proxy == "fe_stubborn" || proxy == "be_stubborn" && text(row, "server") == "stubborn"
                }
                _ => peer.starts_with("10.0.0.7:") || proxy == "be",
            };
            assert!(belongs, "{} has {row}", culprit["verdict"]);
        }
    }
}
