//! HAProxy's command line in every condition: hatrace goes on tracing, and says once what is wrong and what to do.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server};
use hatrace_tests::report::Report;
use hatrace_tests::tracer::{Finished, run};
use hatrace_tests::{ready, until};

use super::TCP;

fn start(netns: &Netns, global: &str) -> Haproxy {
    let config = global.to_owned() + TCP;
    let haproxy = Haproxy::spawn(
        netns,
        Start {
            release: None,
            args: &["-db"],
            config: &config,
            ..Start::default()
        },
    );
    until("haproxy listens", Duration::from_secs(10), || {
        netns
            .ss("state listening")
            .iter()
            .any(|line| line.contains(":8000"))
    });
    haproxy
}

/// Held pairs, and what a report on them says with these options more.
fn report_on(netns: &Netns, haproxy: &Haproxy, more: &[&str]) -> (Finished, Report, Vec<Pair>) {
    let server = Server::listen(netns, "127.0.0.1:9000");
    let mut pairs = server.pairs(netns, "127.0.0.1:8000", 5);
    pairs.iter_mut().for_each(Pair::server_closes);
    let pid = haproxy.pid().to_string();
    let mut args = vec!["report", "--json", "--pid", &pid];
    args.extend(more);
    if !more.contains(&"-d") {
        args.extend(["-d", "6"]);
    }
    let finished = run(&args);
    let report = finished.report();
    assert_eq!(report.lingering().len(), 10, "tracing goes on: {}", report.json());
    assert_eq!(report.json()["target"]["mode"], "traced");
    (finished, report, pairs)
}

/// One warning with its remedy; kernel truth alone, and the reason beside it.
fn refused(finished: &Finished, report: &Report, code: &str, remedy: &str) {
    let warnings: Vec<&str> = finished
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning:"))
        .collect();
    assert_eq!(warnings.len(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains(remedy), "{}", finished.stderr);
    assert_eq!(
        report.json()["target"]["api"][0]["state"],
        code,
        "{}",
        report.json()["target"]
    );
    assert_eq!(report.total("with_session"), 0);
    for row in report.lingering() {
        assert!(row.json["session"].is_null());
        assert_eq!(row.text("without_session"), code, "{}", row.json);
    }
}

#[test]
fn a_user_level_socket() {
    if !ready("api::a_user_level_socket") {
        return;
    }
    let netns = Netns::new();
    let haproxy = start(&netns, "global\n  stats socket {DIR}/stats.sock level user\n");
    let (finished, report, _pairs) = report_on(&netns, &haproxy, &[]);
    refused(&finished, &report, "level-user", "stats.sock level operator");
}

#[test]
fn all_slots_taken() {
    if !ready("api::all_slots_taken") {
        return;
    }
    let netns = Netns::new();
    let haproxy = start(&netns, GLOBAL);
    let path = haproxy.path("stats.sock");
    let hanging: Vec<UnixStream> = (0..10)
        .map(|_| {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(b"prompt\n").unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let (finished, report, _pairs) = report_on(&netns, &haproxy, &[]);
    refused(&finished, &report, "slots-taken", "stats maxconn");
    drop(hanging);
}

/// A socket that isn't HAProxy's, at the place the user names.
fn impostor(answer: Option<&'static [u8]>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fake.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let mut keep = Vec::new();
        for stream in listener.incoming().flatten() {
            if let Some(answer) = answer {
                let _ = (&stream).write_all(answer);
            } else {
                keep.push(stream);
            }
        }
    });
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn one_that_never_answers() {
    if !ready("api::one_that_never_answers") {
        return;
    }
    let netns = Netns::new();
    let haproxy = start(&netns, GLOBAL);
    let (_folder, path) = impostor(None);
    let (finished, report, _pairs) = report_on(&netns, &haproxy, &["--socket", &path]);
    refused(&finished, &report, "no-answer", "stats maxconn");
}

#[test]
fn one_that_answers_garbage() {
    if !ready("api::one_that_answers_garbage") {
        return;
    }
    let netns = Netns::new();
    let haproxy = start(&netns, GLOBAL);
    let (_folder, path) = impostor(Some(b"HTTP/1.0 400 Bad request\r\n\r\n\xff\xfe\0garbage\n\n"));
    let (finished, report, _pairs) = report_on(&netns, &haproxy, &["--socket", &path]);
    refused(&finished, &report, "garbage", "--socket PATH");
}

#[test]
fn one_whose_sessions_never_come_is_not_asked_again_and_again() {
    if !ready("api::one_whose_sessions_never_come_is_not_asked_again_and_again") {
        return;
    }
    let netns = Netns::new();
    let haproxy = start(&netns, GLOBAL);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (pid, asked) = (haproxy.pid(), Arc::new(AtomicU32::new(0)));
    let counted = asked.clone();
    std::thread::spawn(move || {
        let mut keep = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut request = [0u8; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let _ = write!(stream, "\nName: HAProxy\nVersion: 2.6.12\nPid: {pid}\n\n");
            if String::from_utf8_lossy(&request[..length]).contains("show sess") {
                counted.fetch_add(1, Ordering::Relaxed);
                keep.push(stream);
            }
        }
    });
    let path = path.display().to_string();
    let (finished, report, _pairs) = report_on(&netns, &haproxy, &["--socket", &path, "-d", "12"]);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "{}", finished.stderr);
    for row in report.lingering() {
        assert_eq!(row.text("without_session"), "not-asked-yet", "{}", row.json);
    }
    let took = report.json()["target"]["api"][0]["seconds"].as_f64().unwrap();
    assert!(took > 2.0, "what was waited for counts: {took}");
}

#[test]
fn one_that_is_another_process_s() {
    if !ready("api::one_that_is_another_process_s") {
        return;
    }
    let netns = Netns::new();
    let haproxy = start(&netns, GLOBAL);
    let (_folder, path) = impostor(Some(
        b"\nadmin\n\nName: HAProxy\nVersion: 2.6.12\nPid: 1\n\n0x1: proto=tcpv4\n\n",
    ));
    let (finished, report, _pairs) = report_on(&netns, &haproxy, &["--socket", &path]);
    refused(&finished, &report, "other-process", "stats socket");
}

#[test]
fn none_at_all() {
    if !ready("api::none_at_all") {
        return;
    }
    let netns = Netns::new();
    let haproxy = start(&netns, "global\n  maxconn 1000\n");
    let (finished, report, _pairs) = report_on(&netns, &haproxy, &[]);
    refused(
        &finished,
        &report,
        "no-socket",
        "stats socket /run/haproxy/admin.sock mode 660 level operator",
    );
}

#[test]
fn not_to_be_asked() {
    if !ready("api::not_to_be_asked") {
        return;
    }
    let netns = Netns::new();
    let haproxy = start(&netns, GLOBAL);
    let before = haproxy.ask("show info");
    let (finished, report, _pairs) = report_on(&netns, &haproxy, &["--no-api"]);
    assert!(!finished.stderr.contains("warning:"), "{}", finished.stderr);
    let api = &report.json()["target"]["api"][0];
    assert_eq!((&api["state"], &api["questions"]), (&"api-off".into(), &0.into()));
    // HAProxy's own count of what its command line was asked: ours alone.
    let requests = |text: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix("CumReq: "))
            .and_then(|count| count.parse::<u64>().ok())
            .unwrap()
    };
    let after = haproxy.ask("show info");
    assert_eq!(
        requests(&after) - requests(&before),
        5 + 1,
        "five pairs and this question"
    );
}

#[test]
fn nothing_is_asked_while_nothing_lingers() {
    if !ready("api::nothing_is_asked_while_nothing_lingers") {
        return;
    }
    let netns = Netns::new();
    let haproxy = start(&netns, GLOBAL);
    let server = Server::listen(&netns, "127.0.0.1:9000");
    let _open = server.pairs(&netns, "127.0.0.1:8000", 20);
    let pid = haproxy.pid().to_string();
    let report = run(&["report", "--json", "-d", "4", "--pid", &pid]).report();
    assert_eq!(report.lingering().len(), 0);
    // Who is there, and no more.
    assert_eq!(
        report.json()["target"]["api"][0]["questions"],
        1,
        "{}",
        report.json()["target"]
    );
}

/// Every session named, by a socket of this kind alone.
fn reached_by(global: &str, through: &str) {
    let netns = Netns::new();
    let haproxy = start(&netns, global);
    let (finished, report, _pairs) = report_on(&netns, &haproxy, &[]);
    let api = &report.json()["target"]["api"][0];
    assert_eq!(
        api["socket"],
        through,
        "{} {}",
        report.json()["target"],
        finished.stderr
    );
    assert_eq!(report.total("with_session"), 10, "{}", report.json());
}

#[test]
fn an_abstract_socket_in_haproxy_s_namespace() {
    if ready("api::an_abstract_socket_in_haproxy_s_namespace") {
        reached_by(
            "global\n  stats socket abns@hatrace-stats level operator\n",
            "abns@hatrace-stats",
        );
    }
}

#[test]
fn a_tcp_socket_in_haproxy_s_namespace() {
    if ready("api::a_tcp_socket_in_haproxy_s_namespace") {
        reached_by(
            "global\n  stats socket ipv4@127.0.0.1:9999 level admin\n",
            "127.0.0.1:9999",
        );
    }
}
