//! The other verdicts, each provoked: who is accused, by which clock, and what would help.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::crowd::{Acting, Manner, connect_from, fetch, talk};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::Server;
use hatrace_tests::release::Release;

use super::{DIRECT, Rig, each_under_one, fixes, on_both, text};

on_both!(a_client_that_does_not_read);

fn a_client_that_does_not_read(release: &Release) {
    let rig = Rig::start(release, &["10.0.0.1", "10.0.0.7"], DIRECT);
    let server = Server::listen(&rig.netns, "127.0.0.1:9000");
    let tracer = rig.culprits(22);
    let (clients, servers) = rig.netns.run(|| {
        let (mut clients, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let mut client = connect_from("10.0.0.7", "10.0.0.1:8000");
            client.write_all(b"x").unwrap();
            let (mut served, _) = server.accept();
            let mut byte = [0u8; 1];
            served.read_exact(&mut byte).unwrap();
            // More than the client's window takes, and less than all buffers on the way hold: or the FIN would be stuck behind it.
            served.set_nonblocking(true).unwrap();
            let chunk = [7u8; 65536];
            let (mut sent, start) = (0, std::time::Instant::now());
            while sent < 512 << 10 && start.elapsed() < Duration::from_secs(2) {
                match served.write(&chunk) {
                    Ok(bytes) => sent += bytes,
                    Err(_) => sleep(Duration::from_millis(5)),
                }
            }
            clients.push(client);
            servers.push(served);
        }
        (clients, servers)
    });
    sleep(Duration::from_millis(1500));
    // The last bytes and the FIN of the servers that can still get them out.
    for served in &servers {
        let _ = served.shutdown(std::net::Shutdown::Write);
    }
    let report = tracer.finish().report();
    // The server's FIN may be stuck behind its own data: then nothing lingers, and there is nothing to accuse.
    let waiting = report
        .lingering()
        .iter()
        .filter(|row| row.text("state") == "CLOSE_WAIT")
        .count();
    if waiting == 0 {
        assert!(report.culprits().is_empty(), "{:#?}", report.culprits());
        panic!(
            "the servers' FINs did not get through: {:#?}",
            rig.netns.ss("sport = :9000")
        );
    }
    let finding = report.finding("slow-reader");
    assert_eq!(text(&finding, "peer"), "10.0.0.7", "{finding:#}");
    assert_eq!(text(&finding, "responsible"), "peer");
    assert_eq!(text(&finding, "confidence"), "certain", "{finding:#}");
    let clock = &finding["clock"];
    assert_eq!(
        (text(clock, "name"), text(clock, "source")),
        ("timeout client", rig.line("timeout client 1h").as_str())
    );
    each_under_one(&report);
    drop((clients, servers));
}

on_both!(a_descriptor_without_a_connection);

fn a_descriptor_without_a_connection(release: &Release) {
    let rig = Rig::start(release, &[], super::super::TCP);
    let server = Server::listen(&rig.netns, "127.0.0.1:9000");
    let mut pairs = server.pairs(&rig.netns, "127.0.0.1:8000", 3);
    pairs
        .iter_mut()
        .for_each(hatrace_tests::peers::Pair::client_closes);
    sleep(Duration::from_millis(500));
    let tracer = rig.culprits(8);
    sleep(Duration::from_millis(1000));
    // An administrator destroys the side that HAProxy doesn't poll any more.
    let status = rig
        .netns
        .command("ss")
        .args(["-K", "-tn", "state", "close-wait", "sport", "=", ":8000"])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    // The first survey that finds them, and one that finds them again.
    let report = tracer.finish().report();
    if rig
        .netns
        .ss("state close-wait")
        .iter()
        .any(|line| line.contains(":8000"))
    {
        panic!("ss -K did nothing: {:?}", rig.netns.ss("state close-wait"));
    }
    let finding = report.finding("zombie-session");
    assert_eq!(text(&finding, "responsible"), "haproxy", "{finding:#}");
    assert_eq!(finding["open"], 3, "{finding:#}");
    assert_eq!(finding["pid"], rig.haproxy.pid());
    drop(pairs);
}

on_both!(timewaits_use_up_the_ports_to_a_server);

fn timewaits_use_up_the_ports_to_a_server(release: &Release) {
    let netns = Netns::new();
    netns.sysctl("net.ipv4.ip_local_port_range", "20000 20199");
    // Clients elsewhere: their ports are not HAProxy's.
    let far = Netns::new();
    netns.wire(&far, "10.0.0.1", "10.9.0.1");
    let rig = Rig::within(netns, release, &DIRECT.replace("1h", "10s"));
    // Clients close first, HAProxy passes it on, and the server follows: the TIME_WAIT is HAProxy's.
    let _server = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Waits);
    let tracer = rig.culprits(9);
    far.run(|| {
        for _ in 0..160 {
            drop(talk("10.9.0.1", "10.0.0.1:8000"));
        }
    });
    let report = tracer.finish().report();
    let waiting = rig.netns.ss("state time-wait dst 127.0.0.1:9000").len();
    assert!(waiting >= 140, "{waiting}");
    let finding = report.finding("server-port-exhaustion");
    assert_eq!(
        (text(&finding, "proxy"), text(&finding, "server")),
        ("be", "s1"),
        "{finding:#}"
    );
    assert_eq!(text(&finding, "responsible"), "haproxy");
    let told = finding["open"].as_u64().unwrap();
    assert!(told.abs_diff(waiting as u64) <= 5, "{told} of {waiting}");
    assert!(report.culprits().is_empty(), "{:#?}", report.culprits());
}

const LOOP: &str = "
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend outer
  bind 10.0.0.1:8000
  default_backend to_inner
backend to_inner
  server inner 127.0.0.1:8001
frontend inner
  bind 127.0.0.1:8001
  default_backend be
backend be
  server s1 127.0.0.1:9000
";

on_both!(haproxy_connected_to_itself);

fn haproxy_connected_to_itself(release: &Release) {
    let rig = Rig::start(release, &["10.0.0.1", "10.0.0.7"], LOOP);
    let _server = Acting::listen(&rig.netns, "127.0.0.1:9000", Manner::Closes);
    let tracer = rig.culprits(16);
    let kept: Vec<TcpStream> = rig
        .netns
        .run(|| (0..10).map(|_| fetch("10.0.0.7", "10.0.0.1:8000")).collect());
    let report = tracer.finish().report();
    each_under_one(&report);
    let culprits = report.culprits();
    assert_eq!(culprits.len(), 1, "{culprits:#?}");
    let finding = &culprits[0];
    assert_eq!(text(finding, "verdict"), "self-loop", "{finding:#}");
    assert_eq!(
        (text(finding, "peer"), text(finding, "responsible")),
        ("10.0.0.7", "peer")
    );
    assert_eq!(text(finding, "confidence"), "certain");
    assert_eq!(finding["open"], 10, "each chain once: {finding:#}");
    assert_eq!(finding["sockets"].as_array().unwrap().len(), 40, "{finding:#}");
    drop(kept);
}

on_both!(connections_that_never_say_anything);

fn connections_that_never_say_anything(release: &Release) {
    let http = DIRECT
        .replace("mode tcp", "mode http")
        .replace("server 1h", "server 10s");
    let rig = Rig::start(release, &["10.0.0.1", "10.0.0.7"], &http);
    let mute: Vec<TcpStream> = rig.netns.run(|| {
        (0..12)
            .map(|_| connect_from("10.0.0.7", "10.0.0.1:8000"))
            .collect()
    });
    sleep(Duration::from_secs(18));
    let report = rig.culprits(6).finish().report();
    let finding = report.finding("unreaped-preconnect");
    assert_eq!(text(&finding, "responsible"), "haproxy", "{finding:#}");
    assert_eq!(finding["open"], 12, "{finding:#}");
    let promised = format!(
        "timeout http-request 10s (frontend fe, {})",
        rig.line("frontend fe")
    );
    assert!(fixes(&finding).contains(&promised), "{finding:#}");
    drop((mute, rig));

    // With the line that was promised to help, shorter: gone.
    let config = http.replace(
        "timeout client 1h",
        "timeout client 1h\n  timeout http-request 3s",
    );
    let rig = Rig::start(release, &["10.0.0.1", "10.0.0.7"], &config);
    let mute: Vec<TcpStream> = rig.netns.run(|| {
        (0..12)
            .map(|_| connect_from("10.0.0.7", "10.0.0.1:8000"))
            .collect()
    });
    sleep(Duration::from_secs(4));
    let left = rig.netns.ss("state established sport = :8000");
    assert!(left.is_empty(), "{left:?}");
    drop(mute);
}
