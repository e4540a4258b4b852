//! Connections with something between HAProxy and TCP: MPTCP above it, kernel TLS within.

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::release::Release;
use hatrace_tests::tracer::{Tracer, run};
use hatrace_tests::{ready, skip, until};

use super::TCP;
use super::stage::{certificate, tempfile_in};

fn haproxy(netns: &Netns, release: &Release, config: &str) -> Haproxy {
    let haproxy = Haproxy::spawn(
        netns,
        Start {
            release: Some(release),
            args: &["-db"],
            config,
            ..Start::default()
        },
    );
    haproxy.await_socket();
    haproxy
}

/// A client's MPTCP connection; `None`: this kernel has none.
fn multipath(netns: &Netns, address: &str) -> Option<TcpStream> {
    const IPPROTO_MPTCP: libc::c_int = 262;
    let address: std::net::SocketAddrV4 = address.parse().unwrap();
    netns.run(|| {
        // SAFETY: no pointers.
        let fd = unsafe {
            libc::socket(
                libc::AF_INET,
                libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
                IPPROTO_MPTCP,
            )
        };
        if fd < 0 {
            return None;
        }
        // SAFETY: a descriptor that was made just now.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let to = libc::sockaddr_in {
            sin_family: u16::try_from(libc::AF_INET).unwrap(),
            sin_port: address.port().to_be(),
            sin_addr: libc::in_addr {
                s_addr: u32::from_ne_bytes(address.ip().octets()),
            },
            sin_zero: [0; 8],
        };
        // SAFETY: a live descriptor and an address of the length given.
        let done = unsafe {
            libc::connect(
                socket.as_raw_fd(),
                (&raw const to).cast(),
                libc::socklen_t::try_from(size_of::<libc::sockaddr_in>()).unwrap(),
            )
        };
        (done == 0).then(|| TcpStream::from(socket))
    })
}

// HAProxy's end of an MPTCP connection is a socket of its own above TCP's: it is left alone, said, and nobody is accused for it.

#[test]
fn mptcp_is_left_alone_and_said() {
    left_alone("layers::mptcp_is_left_alone_and_said", "traced");
}

#[test]
fn mptcp_is_left_alone_in_polled_mode() {
    left_alone("layers::mptcp_is_left_alone_in_polled_mode", "polled");
}

fn left_alone(test: &str, mode: &str) {
    if !ready(test) {
        return;
    }
    if !std::path::Path::new("/proc/sys/net/mptcp/enabled").exists() {
        skip(test, "this kernel has no MPTCP");
        return;
    }
    let Some(release) = Release::of("experimental", test) else {
        return;
    };
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let config = GLOBAL.to_owned()
        + &TCP.replace(
            "bind 127.0.0.1:8000",
            "bind 127.0.0.1:8000\n  bind mptcp4@127.0.0.1:8001",
        );
    let haproxy = haproxy(&netns, &release, &config);
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "6", "--mode", mode, "--pid", &pid]);
    let mut plain = server.pairs(&netns, "127.0.0.1:8000", 3);
    let mut paths: Vec<_> = (0..3)
        .map(|_| {
            let mut client = multipath(&netns, "127.0.0.1:8001").expect("an MPTCP connection");
            client.write_all(b"x").unwrap();
            let (server, _) = server.accept();
            (client, server)
        })
        .collect();
    plain.iter_mut().for_each(Pair::server_closes);
    for (_, server) in &mut paths {
        server.shutdown(std::net::Shutdown::Write).unwrap();
    }
    until("HAProxy has passed the FINs on", Duration::from_secs(5), || {
        netns.ss("state close-wait").len() >= 6
    });
    let stuck = run(&["stuck", "--json", "--older", "0s", "--pid", &pid]).report();
    let report = tracer.finish().report();
    for report in [&report, &stuck] {
        let rows = report.by_peer();
        for pair in &plain {
            assert_eq!(
                rows[&pair.client_address().to_string()].kind(),
                "FIN_WAIT2/held/client"
            );
        }
        // Three plain pairs, and the servers' ends of those with MPTCP: plain TCP, and as guilty or not as any other.
        assert_eq!(report.lingering().len(), 9, "{}", report.json()["lingering"]);
    }
    // Whoever is to close the MPTCP side: it isn't known, so it isn't said.
    let found = report.culprits();
    assert!(
        !found.iter().any(|finding| finding["responsible"] == "haproxy"),
        "{found:#?}"
    );
    let unexplained = report.finding("unexplained");
    assert_eq!(
        unexplained["responsible"],
        "nobody",
        "{}",
        report.json()["notices"]
    );
    assert!(report.notices("mptcp"), "{}", report.json()["notices"]);
}

#[test]
fn kernel_tls_is_followed_like_any_other() {
    const TEST: &str = "layers::kernel_tls_is_followed_like_any_other";
    if !ready(TEST) {
        return;
    }
    let known = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap_or_default();
    if !known.split_whitespace().any(|name| name == "tls") {
        skip(TEST, "this kernel has no TLS");
        return;
    }
    let Some(release) = Release::of("experimental", TEST) else {
        return;
    };
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let holder = tempfile_in(&release);
    certificate(holder.path());
    let root = release.root.as_deref().unwrap();
    let certificate = format!(
        "/{}/cert.pem",
        holder.path().strip_prefix(root).unwrap().display()
    );
    let bind = format!("bind 127.0.0.1:8000 ssl crt {certificate} ktls on");
    let config =
        GLOBAL.to_owned() + "  expose-experimental-directives\n" + &TCP.replace("bind 127.0.0.1:8000", &bind);
    let haproxy = haproxy(&netns, &release, &config);
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "6", "--pid", &pid]);
    // A client that is stopped in its tracks never answers the server's end.
    let mut client = netns
        .command("openssl")
        .args(["s_client", "-quiet", "-connect", "127.0.0.1:8000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    let (server, _) = server.accept();
    sleep(Duration::from_millis(300));
    let kernel = netns.ss("-i state established sport = :8000");
    let taken = kernel.iter().any(|line| line.contains("tcp-ulp-tls"));
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&client),
        rustix::process::Signal::STOP,
    )
    .unwrap();
    server.shutdown(std::net::Shutdown::Write).unwrap();
    let report = tracer.finish().report();
    let _ = client.kill();
    let _ = client.wait();
    if !taken {
        skip(TEST, "HAProxy didn't hand its TLS to this kernel");
        return;
    }
    let kinds: Vec<String> = report
        .lingering()
        .iter()
        .map(hatrace_tests::report::Row::kind)
        .collect();
    assert!(
        kinds.contains(&"FIN_WAIT2/held/client".to_owned()),
        "{}",
        report.json()["lingering"]
    );
    assert!(
        kinds.contains(&"CLOSE_WAIT/held/server".to_owned()),
        "{}",
        report.json()["lingering"]
    );
    report.all_exact();
    report.nothing_lost();
}
