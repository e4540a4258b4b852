//! Live tests that change what belongs to the whole host: no other test runs beside them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "tests fail by panicking"
)]

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hatrace_tests::crowd::connect_from;
use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::Server;
use hatrace_tests::release::Release;
use hatrace_tests::tracer::Tracer;

const CONFIG: &str = "
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout client-fin 1s
frontend fe
  bind 10.0.0.1:8000
  default_backend be
backend be
  server s1 127.0.0.1:9000
";

const LIMIT: &str = "/proc/sys/net/ipv4/tcp_max_orphans";
const VANISHED: usize = 150;

/// The limit is the host's: lowered for a moment, to what other tests' orphans don't reach, and put back whatever happens.
struct Lowered(String);

impl Lowered {
    /// To where what there is, others' too, is nearly half of it: at half the kernel begins to give some up.
    fn to_what_there_is() -> Self {
        let before = std::fs::read_to_string(LIMIT).unwrap();
        let this = Self(before);
        this.again();
        this
    }

    /// The same when others' orphans may have ended.
    fn again(&self) {
        std::fs::write(LIMIT, (2 * orphans() + 60).to_string()).unwrap();
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        let _ = std::fs::write(LIMIT, self.0.trim());
    }
}

/// On both HAProxys, one after the other.
#[test]
fn orphans_near_the_limit() {
    let name = "live_alone::orphans_near_the_limit";
    if !hatrace_tests::ready(name) {
        return;
    }
    flood(&Release::own());
    if let Some(newer) = Release::of("sid", name) {
        flood(&newer);
    }
}

/// Of the whole host, by the kernel's own count.
fn orphans() -> usize {
    let text = std::fs::read_to_string("/proc/net/sockstat").unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "orphan").unwrap();
    words[at + 1].parse().unwrap()
}

fn flood(release: &Release) {
    // Others' orphans, and those of the run before, end by themselves: the limit below is reckoned from what there is.
    let start = Instant::now();
    while orphans() > 60 && start.elapsed() < Duration::from_secs(40) {
        sleep(Duration::from_millis(200));
    }
    let netns = Netns::new();
    // Gone soon after the test.
    netns.sysctl("net.ipv4.tcp_orphan_retries", "5");
    let far = Netns::new();
    netns.wire(&far, "10.0.0.1", "10.9.0.1");
    let config = GLOBAL.to_owned() + CONFIG;
    let start = Start {
        release: Some(release),
        args: &["-db"],
        config: &config,
        ..Start::default()
    };
    let haproxy = Haproxy::spawn(&netns, start);
    haproxy.await_socket();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let (clients, servers): (Vec<_>, Vec<_>) = far.run(|| {
        (0..VANISHED)
            .map(|_| {
                let mut client = connect_from("10.9.0.1", "10.0.0.1:8000");
                client.write_all(b"x").unwrap();
                let (mut served, _) = server.accept();
                // Read, or the server's close would be a RST, and no FIN would go anywhere.
                std::io::Read::read_exact(&mut served, &mut [0u8; 1]).unwrap();
                (client, served)
            })
            .unzip()
    });
    sleep(Duration::from_millis(300));
    far.silence("10.0.0.1");
    let pid = haproxy.pid().to_string();
    let tracer = Tracer::start(&["culprits", "--json", "-d", "7", "--pid", &pid]);
    drop(servers);
    sleep(Duration::from_secs(4));
    let lowered = Lowered::to_what_there_is();
    for _ in 0..14 {
        sleep(Duration::from_millis(200));
        lowered.again();
    }
    let report = tracer.finish().report();
    drop(lowered);
    let finding = report.finding("orphan-flood");
    assert_eq!(
        (&finding["peer"], &finding["responsible"]),
        (&"10.9.0.1".into(), &"path".into()),
        "{finding:#}"
    );
    assert_eq!(finding["open"], VANISHED, "{finding:#}");
    assert!(
        finding["because"].to_string().contains(" that this host keeps"),
        "{finding:#}"
    );
    drop(clients);
}
