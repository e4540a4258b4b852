//! The configuration as HAProxy was started with it: several files, folders, variables, conditions; and one that has been changed since.

use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::release::Release;
use hatrace_tests::tracer::{Tracer, run};

use super::on_both;

on_both!(every_way_to_configure_it);

const DEFAULTS: &str = "
defaults base
  mode tcp
  timeout connect 5000
  timeout client \"${CLIENT_SECONDS}s\"
defaults late from base
  timeout server 1h
.if streq(\"$SITE\",paris)
  timeout client-fin '9s' # quoted
.elif version_atleast(1.0)
  timeout client-fin 1h
.else
  timeout client-fin 2h
.endif
";

const FRONTEND: &str = "
frontend fe
  bind 127.0.0.1:8000
  default_backend be
backend be from base
  timeout server 2h
  server s1 127.0.0.1:9000
";

fn every_way_to_configure_it(release: &Release) {
    let netns = Netns::new();
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let haproxy = Haproxy::spawn(
        &netns,
        Start {
            release: Some(release),
            // Relative to -C; a folder, whose files are read in the order of their names; what isn't .cfg is not read.
            args: &["-db", "-C", "{DIR}", "-f", "conf.d"],
            config: "# all of it is in the folder\n",
            files: &[
                ("conf.d/00-global.cfg", GLOBAL),
                ("conf.d/10-defaults.cfg", DEFAULTS),
                ("conf.d/20-site.cfg", FRONTEND),
                ("conf.d/notes.txt", "frontend nobody\n"),
            ],
            environment: &[("SITE", "paris"), ("CLIENT_SECONDS", "3600")],
        },
    );
    haproxy.await_socket();
    let pid = haproxy.pid().to_string();
    let mut pairs = server.pairs(&netns, "127.0.0.1:8000", 3);
    let tracer = Tracer::start(&["report", "--json", "-d", "4", "--pid", &pid]);
    pairs.iter_mut().for_each(Pair::server_closes);
    let report = tracer.finish().report();
    let rows = report.lingering();
    assert_eq!(rows.len(), 6);
    let line = 1 + DEFAULTS.lines().position(|line| line.contains("'9s'")).unwrap();
    for row in &rows {
        let clock = &row.json["clock"];
        assert_eq!(clock["name"], "timeout client-fin", "{}", row.json);
        assert_eq!(clock["source"], format!("10-defaults.cfg:{line}"), "{}", row.json);
        assert_eq!(
            (&clock["length_s"], &clock["certain"]),
            (&9.0.into(), &true.into()),
            "{}",
            row.json
        );
        let fires_at = report.taken_at() + clock["fires_in_s"].as_f64().unwrap();
        assert!((fires_at - (pairs[0].closed_at + 9.0)).abs() < 1.0, "{clock}");
    }

    // Without HAProxy's word: the configuration alone names the frontend and the clock of what is half-closed.
    let silent = run(&["stuck", "--json", "--no-api", "--pid", &pid]).report();
    let front = silent
        .lingering()
        .into_iter()
        .find(|row| row.text("side") == "client")
        .unwrap();
    assert_eq!(front.text("proxy"), "fe", "{}", front.json);
    assert_eq!(
        front.json["clock"]["name"], "timeout client-fin",
        "{}",
        front.json
    );

    // The file is changed, HAProxy isn't restarted: names are no longer certain, and the report says why.
    sleep(Duration::from_millis(1100));
    std::fs::write(
        haproxy.path("conf.d/20-site.cfg"),
        format!("{FRONTEND}\n# touched\n"),
    )
    .unwrap();
    let changed = run(&["stuck", "--json", "--pid", &pid]).report();
    let row = changed.lingering().into_iter().next().unwrap();
    assert_eq!(row.json["clock"]["certain"], false, "{}", row.json);
    let told = changed.json()["target"]["configuration"].to_string();
    assert!(
        told.contains("conf.d/20-site.cfg has been changed since the process started"),
        "{told}"
    );
    drop(pairs);
}

on_both!(idle_sessions_that_nothing_will_end);

const ENDLESS: &str = "
defaults
  mode tcp
  timeout connect 5s
frontend endless
  bind 127.0.0.1:8000
  default_backend be
frontend bounded
  bind 127.0.0.1:8001
  timeout client 1h
  default_backend be
backend be
  server s1 127.0.0.1:9000
";

fn idle_sessions_that_nothing_will_end(release: &Release) {
    let rig = super::Rig::start(release, &[], ENDLESS);
    let server = Server::listen(&rig.netns, "127.0.0.1:9000");
    let endless = server.pairs(&rig.netns, "127.0.0.1:8000", 4);
    let bounded = server.pairs(&rig.netns, "127.0.0.1:8001", 4);
    sleep(Duration::from_secs(27));
    let report = rig.culprits(6).finish().report();
    let culprits = report.culprits();
    assert_eq!(culprits.len(), 1, "{culprits:#?}");
    let finding = &culprits[0];
    assert_eq!(
        (&finding["verdict"], &finding["proxy"]),
        (&"no-timeout".into(), &"endless".into()),
        "{finding:#}"
    );
    assert_eq!(
        (&finding["open"], &finding["responsible"]),
        (&4.into(), &"haproxy".into()),
        "{finding:#}"
    );
    let promised = format!(
        "timeout client 1m (frontend endless, {})",
        rig.line("frontend endless")
    );
    assert!(super::fixes(finding).contains(&promised), "{finding:#}");
    drop((endless, bounded));
}
