//! Every lingering socket's session is the one that `show sess all` has for that very connection; what has none says what it is.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::release::Release;
use hatrace_tests::report::{Report, Row};
use hatrace_tests::tracer::run;
use hatrace_tests::{fact, ready, truth};

use super::stage::{LEAVING, Stage};

impl Stage {
    /// So many were right: a wrong one has ended the test.
    fn fact(&self, what: &str, right: usize) {
        fact(&self.version, what, &format!("{right} of {right}"));
    }

    /// The session of the connection whose server's end HAProxy reaches from `local`, by HAProxy's own word.
    fn check(&self, report: &Report) {
        let truth = truth::by_back(&self.haproxy.ask("show sess all"), "be_tcp");
        // A client's port can be another's towards another frontend.
        let rows: HashMap<(String, String), Row> = report
            .lingering()
            .into_iter()
            .map(|row| ((row.text("local").to_owned(), row.text("peer").to_owned()), row))
            .collect();
        let mut named = 0;
        for pair in &self.pairs {
            let back = pair.back_address().to_string();
            let stream = &truth[&back];
            let front = (
                pair.client.peer_addr().unwrap().to_string(),
                pair.client_address().to_string(),
            );
            let back = (back, pair.server.local_addr().unwrap().to_string());
            for (ends, proxy) in [(&front, &stream.frontend), (&back, &stream.backend)] {
                let row = rows.get(ends).unwrap_or_else(|| panic!("{ends:?} is missing"));
                assert_eq!(row.text("session"), stream.ptr, "{} {stream:?}", row.json);
                assert_eq!(row.text("proxy"), proxy, "{}", row.json);
                assert_eq!(row.text("server"), stream.server, "{}", row.json);
                named += 1;
            }
            let (one, other) = (&rows[&front], &rows[&back]);
            assert_eq!(one.json["pair"]["cookie"], other.json["cookie"], "{}", one.json);
            assert_eq!(other.json["pair"]["cookie"], one.json["cookie"], "{}", other.json);
            assert_eq!(one.json["pair"]["state"], other.json["state"], "{}", one.json);
        }
        assert!(named >= 600, "{named}");
        self.fact(
            "held pairs (TCP, set-src, IPv4 and IPv6; either half closed)",
            named,
        );
        self.check_the_rest(report);
    }

    fn check_the_rest(&self, report: &Report) {
        let all = truth::streams(&self.haproxy.ask("show sess all"));
        let rows = report.lingering();
        let of = |proxy: &str, state: &str| -> Vec<&Row> {
            rows.iter()
                .filter(|row| row.text("proxy") == proxy && row.text("state") == state)
                .collect()
        };
        // Every pointer that is shown is one of that frontend's, or backend's, live streams.
        for row in rows.iter().filter(|row| row.json["session"].is_string()) {
            let known = all.iter().any(|stream| {
                stream.ptr == row.text("session")
                    && [&stream.frontend, &stream.backend].contains(&&row.text("proxy").to_owned())
            });
            assert!(known, "{}", row.json);
        }
        let tls = of("fe_tls", "FIN_WAIT2");
        assert_eq!(tls.len(), 1, "{rows:?}");
        self.fact("a TLS client", tls.len());
        let http = of("fe_http", "CLOSE_WAIT");
        assert_eq!(http.len(), LEAVING, "the clients that left during the request");
        for row in http {
            let own = all
                .iter()
                .find(|stream| stream.source == row.text("peer") && stream.frontend == "fe_http");
            assert_eq!(row.text("session"), own.unwrap().ptr, "{}", row.json);
            assert_eq!(row.json["pair"]["state"], "ESTABLISHED", "{}", row.json);
        }
        self.fact("HTTP clients that left during the request", LEAVING);
        let queued = of("fe_q", "CLOSE_WAIT");
        assert_eq!(queued.len(), 2, "one at work, one in the queue");
        let waiting: Vec<_> = queued
            .iter()
            .filter(|row| row.json["session_facts"]["server"].is_null())
            .collect();
        assert_eq!(waiting.len(), 1, "{queued:?}");
        assert!(waiting[0].json["session"].is_string() && waiting[0].json["pair"].is_null());
        self.fact("requests at work and in the queue", queued.len());
        let connecting = of("be_syn", "SYN_SENT");
        assert_eq!(connecting.len(), 1, "{rows:?}");
        assert!(connecting[0].json["session"].is_string());
        self.fact("connecting to a server that doesn't answer", connecting.len());
        let check = of("be_chk", "SYN_SENT");
        assert_eq!(check.len(), 1, "{rows:?}");
        assert!(check[0].json["session"].is_null());
        assert_eq!(check[0].text("without_session"), "health-check");
        let h2 = of("fe_h2", "CLOSE_WAIT");
        assert_eq!(h2.len(), 1, "twenty streams on one connection: {rows:?}");
        for row in h2 {
            let mut told: Vec<_> = row.json["session_facts"]["streams"].as_array().unwrap().clone();
            told.sort_by_key(ToString::to_string);
            let mut own: Vec<serde_json::Value> = all
                .iter()
                .filter(|stream| stream.frontend == "fe_h2")
                .map(|stream| stream.ptr.clone().into())
                .collect();
            own.sort_by_key(ToString::to_string);
            assert_eq!(told, own, "{}", row.json);
            assert_eq!(told.len(), 20, "{}", row.json);
            self.fact("streams of an HTTP/2 connection", told.len());
        }
        // HAProxy calls these clients otherwise than the kernel does; the one that spoke the PROXY protocol it doesn't.
        let renamed = of("fe_src", "FIN_WAIT2");
        assert_eq!(renamed.len(), 20);
        for row in renamed {
            let called = row.json["session_facts"]["source"].as_str().unwrap_or_default();
            assert!(called.starts_with("127.0.0.0:"), "{}", row.json);
        }
        assert_eq!(of("fe_px", "FIN_WAIT2").len(), 1);
        self.fact("clients under another address (set-src, PROXY protocol)", 21);
        assert!(
            report.json()["without_session"]
                .as_array()
                .unwrap()
                .iter()
                .all(|why| why["count"].as_u64().unwrap() <= 2),
            "{}",
            report.json()["without_session"]
        );
    }
}

fn mix(release: &Release) {
    let stage = Stage::set(release);
    let pid = stage.haproxy.pid().to_string();
    sleep(Duration::from_millis(1200));
    let stuck = run(&["stuck", "--json", "--pid", &pid]).report();
    stage.check(&stuck);
    let traced = run(&["report", "--json", "-d", "4", "--pid", &pid]).report();
    assert_eq!(traced.json()["target"]["mode"], "traced");
    stage.check(&traced);
}

#[test]
fn each_socket_s_session_is_haproxy_s_own_word_for_it() {
    if ready("sessions::each_socket_s_session_is_haproxy_s_own_word_for_it") {
        mix(&Release::own());
    }
}

fn on(debian: &str, test: &str) {
    if !ready(test) {
        return;
    }
    if let Some(release) = Release::of(debian, test) {
        mix(&release);
    }
}

#[test]
fn the_same_on_3_0() {
    on("trixie", "sessions::the_same_on_3_0");
}

#[test]
fn the_same_on_the_newest_in_sid() {
    on("sid", "sessions::the_same_on_the_newest_in_sid");
}

#[test]
fn the_same_on_one_newer_still() {
    on("experimental", "sessions::the_same_on_one_newer_still");
}
