//! Less usual ways to linger and to end.

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server, connect};
use hatrace_tests::tracer::{Tracer, run};
use hatrace_tests::{ready, wall};

use super::TCP;

/// Makes close() send a RST.
pub(super) fn linger_zero(socket: &impl AsRawFd) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // SAFETY: a live descriptor and a structure of the size given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap(),
        )
    };
    assert_eq!(result, 0);
}

#[test]
fn a_reset_ends_a_held_fin_wait2() {
    if !ready("odd::a_reset_ends_a_held_fin_wait2") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let tracer = Tracer::start(&["--min", "500ms", "-d", "5", "--pid", &haproxy.pid().to_string()]);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 2);
    pairs.iter_mut().for_each(Pair::server_closes);
    sleep(Duration::from_millis(1500));
    for pair in pairs {
        linger_zero(&pair.client);
        drop(pair.client);
    }
    let finished = tracer.finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    let left: Vec<&str> = finished
        .stdout
        .lines()
        .filter(|line| line.contains("FIN_WAIT2") && line.contains("RST from the peer"))
        .collect();
    assert_eq!(left.len(), 2, "{}", finished.stdout);
}

#[test]
fn the_accept_queue_is_no_leak_of_haproxys() {
    if !ready("odd::the_accept_queue_is_no_leak_of_haproxys") {
        return;
    }
    let netns = Netns::new();
    let _server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::start(&netns, TCP);
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["report", "--json", "-d", "4", "--pid", &pid]);
    haproxy.freeze();
    let began = wall();
    let clients: Vec<_> = netns.run(|| {
        (0..3)
            .map(|_| {
                let mut client = connect("127.0.0.1:8000");
                client.write_all(b"x").unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                client
            })
            .collect()
    });
    sleep(Duration::from_millis(500));
    let stuck = run(&["stuck", "--json", "--pid", &pid]).report();
    let report = tracer.finish().report();
    haproxy.thaw();
    for report in [&report, &stuck] {
        let rows = report.by_peer();
        for client in &clients {
            let row = &rows[&client.local_addr().unwrap().to_string()];
            assert_eq!(row.kind(), "CLOSE_WAIT/unaccepted/client", "{}", row.json);
            assert!(row.can_have_begun(began, began + 0.3), "{}", row.json);
            assert!(row.json["fd"].is_null(), "{}", row.json);
            assert_eq!(row.json["unread_bytes"], 2, "a byte and the FIN: {}", row.json);
        }
    }
}

#[test]
fn a_close_after_shutdown_does_not_restart_the_dwell() {
    if !ready("odd::a_close_after_shutdown_does_not_restart_the_dwell") {
        return;
    }
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    // client-fin bounds the held FIN_WAIT2; then HAProxy closes, and the kernel's clock runs.
    let config = TCP.replace(
        "timeout connect 5s",
        "timeout connect 5s\n  timeout client-fin 2s\n  timeout server-fin 2s",
    );
    let haproxy = Haproxy::start(&netns, &config);
    let tracer = Tracer::start(&["report", "--json", "-d", "6", "--pid", &haproxy.pid().to_string()]);
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 5);
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    report.all_exact();
    let rows = report.by_peer();
    for pair in &pairs {
        let row = &rows[&pair.client_address().to_string()];
        assert_eq!(row.kind(), "FIN_WAIT2/timewait/client", "{}", row.json);
        assert!(
            row.can_have_begun(pair.closed_at, pair.closed_at + 0.05),
            "{}: {}",
            pair.closed_at,
            row.json
        );
    }
}
