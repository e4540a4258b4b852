//! Who waits in a queue: in HAProxy's for a server, or in the kernel's for HAProxy.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use hatrace_tests::crowd::{Acting, Manner};
use hatrace_tests::peers::{Server, connect};
use hatrace_tests::release::Release;
use hatrace_tests::{until, wall};

use super::{Rig, each_under_one, fixes, on_both, text};

const HTTP: &str = "
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 21s
  timeout queue 17s
  no option abortonclose
frontend fe
  bind 127.0.0.1:8000
  default_backend be
frontend fe_queue
  bind 127.0.0.1:8001
  default_backend be_queue
backend be
  server slow 127.0.0.1:9000
backend be_queue
  server one 127.0.0.1:9001 maxconn 1
";

on_both!(clients_that_left_while_the_server_thinks);

fn clients_that_left_while_the_server_thinks(release: &Release) {
    let rig = Rig::start(release, &[], HTTP);
    let slow = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Mute);
    let busy = Acting::listen(&rig.netns, "127.0.0.1:9001", Manner::Mute);
    let tracer = rig.culprits(9);
    let asked_at = wall();
    let clients: Vec<TcpStream> = rig.netns.run(|| {
        let ask = |to: &str| {
            let mut client = connect(to);
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            client
        };
        let mut clients: Vec<TcpStream> = (0..6).map(|_| ask("127.0.0.1:8000")).collect();
        clients.push(ask("127.0.0.1:8001"));
        until("one is served", Duration::from_secs(5), || busy.kept() == 1);
        clients.extend((0..4).map(|_| ask("127.0.0.1:8001")));
        clients
    });
    until("all are served", Duration::from_secs(5), || slow.kept() == 6);
    for client in &clients {
        let _ = client.shutdown(std::net::Shutdown::Write);
    }
    let report = tracer.finish().report();
    each_under_one(&report);
    let culprits = report.culprits();
    let slow = culprits
        .iter()
        .find(|culprit| culprit["server"] == "slow")
        .unwrap();
    assert_eq!(text(slow, "verdict"), "unread-fin", "{slow:#}");
    assert_eq!(text(slow, "responsible"), "server");
    assert_eq!(slow["open"], 6, "{culprits:#?}");
    let clock = &slow["clock"];
    assert_eq!(
        (text(clock, "name"), text(clock, "source")),
        ("timeout server", rig.line("timeout server 21s").as_str())
    );
    let fires_at = report.taken_at() + clock["fires_in_s"].as_f64().unwrap();
    assert!((fires_at - (asked_at + 21.0)).abs() < 1.3, "{clock}");
    assert!(
        fixes(slow)
            .iter()
            .any(|fix| fix.starts_with("option abortonclose (backend be, ")),
        "{slow:#}"
    );
    let queued = culprits
        .iter()
        .find(|culprit| text(culprit, "verdict") == "unread-fin" && text(culprit, "responsible") == "haproxy")
        .unwrap_or_else(|| panic!("{culprits:#?}"));
    assert_eq!(queued["open"], 4, "{queued:#}");
    let clock = &queued["clock"];
    assert_eq!(
        (text(clock, "name"), text(clock, "source")),
        ("timeout queue", rig.line("timeout queue 17s").as_str()),
        "{queued:#}"
    );
    drop(clients);
}

const FEW: &str = "
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend fe
  bind 127.0.0.1:8000 backlog 64
  maxconn 3
  default_backend be
backend be
  server s1 127.0.0.1:9000
";

on_both!(connections_that_nobody_accepts);

fn connections_that_nobody_accepts(release: &Release) {
    let rig = Rig::start(release, &[], FEW);
    let server = Server::listen(&rig.netns, "127.0.0.1:9000");
    let tracer = rig.culprits(9);
    let pairs = server.pairs(&rig.netns, "127.0.0.1:8000", 3);
    let waiting: Vec<TcpStream> = rig
        .netns
        .run(|| (0..8).map(|_| connect("127.0.0.1:8000")).collect());
    for client in &waiting {
        let _ = client.shutdown(std::net::Shutdown::Write);
    }
    let report = tracer.finish().report();
    assert!(report.culprits().is_empty(), "{:#?}", report.culprits());
    let finding = report.finding("accept-queue");
    assert_eq!(text(&finding, "responsible"), "haproxy", "{finding:#}");
    assert_eq!(text(&finding, "confidence"), "certain");
    assert_eq!(text(&finding, "proxy"), "fe");
    assert_eq!(finding["open"], 8, "{finding:#}");
    let promised = format!("maxconn 6 (frontend fe, {})", rig.line("maxconn 3"));
    assert!(fixes(&finding).contains(&promised), "{finding:#}");
    each_under_one(&report);
    drop((pairs, waiting));
}

on_both!(clients_that_wait_to_be_accepted);

/// Nothing lingers, nobody has given up; but the limit is reached, and the next ones wait.
fn clients_that_wait_to_be_accepted(release: &Release) {
    let rig = Rig::start(release, &[], FEW);
    let server = Server::listen(&rig.netns, "127.0.0.1:9000");
    let pairs = server.pairs(&rig.netns, "127.0.0.1:8000", 3);
    let waiting: Vec<TcpStream> = rig
        .netns
        .run(|| (0..8).map(|_| connect("127.0.0.1:8000")).collect());
    let report = rig.culprits(8).finish().report();
    assert!(report.culprits().is_empty(), "{:#?}", report.culprits());
    let finding = report.finding("accept-queue");
    assert_eq!(text(&finding, "confidence"), "certain", "{finding:#}");
    assert_eq!(
        (&finding["proxy"], &finding["open"]),
        (&"fe".into(), &8.into()),
        "{finding:#}"
    );
    let promised = format!("maxconn 6 (frontend fe, {})", rig.line("maxconn 3"));
    assert!(fixes(&finding).contains(&promised), "{finding:#}");
    drop((pairs, waiting));
}
