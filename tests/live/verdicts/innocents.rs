//! The innocents: a busy proxy on which nothing is wrong. Nobody is accused, over a long replay.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hatrace_tests::crowd::{Acting, Manner, connect_from, every, fetch, talk};
use hatrace_tests::netns::Netns;
use hatrace_tests::release::Release;
use hatrace_tests::report::Report;

use super::{Rig, on_both};

const CONFIG: &str = "
defaults
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 1h
  timeout client-fin 30s
  timeout server-fin 30s
  timeout http-request 10s
frontend fe_http
  mode http
  bind 10.0.0.1:8000
  default_backend be_http
frontend fe_close
  mode http
  option httpclose
  bind 10.0.0.1:8001
  default_backend be_close
frontend fe_tcp
  mode tcp
  bind 10.0.0.1:8002
  default_backend be_tcp
frontend fe_tunnel
  mode tcp
  bind 10.0.0.1:8003
  default_backend be_tunnel
backend be_http
  mode http
  server s1 127.0.0.1:9000
backend be_close
  mode http
  server s2 127.0.0.1:9001
backend be_tcp
  mode tcp
  server s3 127.0.0.1:9002
backend be_tunnel
  mode tcp
  server s4 127.0.0.1:9003
";

/// How long it goes on.
const LONG: Duration = Duration::from_secs(45);

on_both!(nobody_is_accused);

fn nobody_is_accused(release: &Release) {
    let netns = Netns::new();
    let addresses: Vec<String> = (2..12).map(|nth| format!("10.0.0.{nth}")).collect();
    netns.addresses(&["10.0.0.1"]);
    netns.addresses(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let rig = Rig::within(netns, release, CONFIG);
    let _keeps = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Waits);
    let _closes = Acting::listen(&rig.netns, "127.0.0.1:9001", Manner::Closes);
    let _tcp = Acting::listen(&rig.netns, "127.0.0.1:9002", Manner::Closes);
    let tunnels = hatrace_tests::peers::Server::listen(&rig.netns, "127.0.0.1:9003");
    let end = Instant::now() + LONG;
    let seconds = u32::try_from(LONG.as_secs()).unwrap() + 3;
    let tracer = rig.culprits(seconds);
    let idle = rig.netns.run(|| websockets(&tunnels, &addresses));
    let download = rig.netns.run(|| half_closed_and_moving(&tunnels, end));
    let late: Mutex<Vec<(Instant, TcpStream)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (nth, address) in addresses.iter().enumerate() {
            let (netns, late) = (&rig.netns, &late);
            scope.spawn(move || {
                every(netns, Duration::from_millis(40), end, || {
                    // Keep-alive in HTTP, closed by the client; closed by HAProxy; TCP, closed by the server.
                    drop(talk(address, "10.0.0.1:8000"));
                    let mut closed = connect_from(address, "10.0.0.1:8001");
                    closed.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                    let mut buffer = [0u8; 512];
                    while matches!(closed.read(&mut buffer), Ok(bytes) if bytes > 0) {}
                    // Some take their time to close what HAProxy has closed: orphans for a second or two.
                    let mut late = late.lock().unwrap();
                    late.retain(|(since, _)| since.elapsed() < Duration::from_secs(2));
                    if nth < 4 && late.len() < 200 {
                        late.push((Instant::now(), closed));
                    }
                    drop(late);
                    // A client that takes a while to notice the end of a TCP session.
                    let slow = fetch(address, "10.0.0.1:8002");
                    if nth == 0 {
                        std::thread::sleep(Duration::from_millis(1500));
                    }
                    drop(slow);
                });
            });
        }
    });
    let report = tracer.finish().report();
    innocent(&report);
    // Orphans there are, and they are called what they are.
    let harmless = report.finding("harmless");
    assert_eq!(harmless["responsible"], "nobody", "{harmless:#}");
    assert!(report.total("sockets") > 1000, "{}", report.json()["totals"]);
    drop((idle, download));
}

/// Idle, both ends open, inside their tunnel timeout.
fn websockets(server: &hatrace_tests::peers::Server, addresses: &[String]) -> Vec<(TcpStream, TcpStream)> {
    addresses
        .iter()
        .flat_map(|address| std::iter::repeat_n(address, 5))
        .map(|address| {
            let mut client = connect_from(address, "10.0.0.1:8003");
            client.write_all(b"x").unwrap();
            let (mut served, _) = server.accept();
            let mut byte = [0u8; 1];
            served.read_exact(&mut byte).unwrap();
            served.write_all(b"y").unwrap();
            client.read_exact(&mut byte).unwrap();
            (client, served)
        })
        .collect()
}

/// A client that has said all it has to say and takes a long answer: FIN_WAIT2 towards the server, and at work.
fn half_closed_and_moving(server: &hatrace_tests::peers::Server, end: Instant) -> TcpStream {
    let mut client = connect_from("10.0.0.5", "10.0.0.1:8003");
    client.write_all(b"x").unwrap();
    let (mut served, _) = server.accept();
    client.shutdown(Shutdown::Write).unwrap();
    let mut reading = client.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0u8; 4096];
        while matches!(reading.read(&mut buffer), Ok(bytes) if bytes > 0) {}
    });
    std::thread::spawn(move || {
        while Instant::now() < end {
            if served.write_all(&[7u8; 1000]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    client
}

fn innocent(report: &Report) {
    assert!(report.culprits().is_empty(), "{:#?}", report.culprits());
    for notice in report.json()["notices"].as_array().unwrap() {
        if let Some(responsible) = notice["responsible"].as_str() {
            assert_eq!(responsible, "nobody", "{notice:#}");
        }
    }
}
