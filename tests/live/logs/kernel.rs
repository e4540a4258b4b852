//! HAProxy's log beside the kernel's evidence: under churn on a few ports that are used again and again, and where the log is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::ready;
use hatrace_tests::release::Release;
use serde_json::Value;

use super::rig::{Rig, WITH_ADDRESSES, connect};

fn count(kernel: &Value, key: &str) -> u64 {
    kernel[key].as_u64().unwrap_or_else(|| panic!("{key}: {kernel}"))
}

/// What the kernel saw of the sockets of one side, by code, and how often.
fn saw(kernel: &Value, side: &str) -> BTreeMap<(String, String), u64> {
    let mut saw = BTreeMap::new();
    for row in kernel["side_by_side"].as_array().unwrap() {
        if let Some(socket) = row[side].as_str() {
            let key = (row["code"].as_str().unwrap().to_owned(), socket.to_owned());
            *saw.entry(key).or_default() += row["count"].as_u64().unwrap();
        }
    }
    saw
}

/// A line that was joined to another one's socket would have another one's end: how they end alternates.
fn no_other_s(kernel: &Value) {
    let clients = saw(kernel, "client");
    let codes: BTreeSet<&str> = clients.keys().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, BTreeSet::from(["--", "CD", "SD"]), "{kernel}");
    for (code, socket) in clients.keys() {
        assert_eq!(code == "CD", socket == "its RST", "{code} {socket}: {kernel}");
    }
    let servers = saw(kernel, "server");
    let resets = |code: &str| servers.get(&(code.to_owned(), "its RST".to_owned())).copied();
    for (code, socket) in servers.keys() {
        let fits = match code.as_str() {
            "--" if socket == "its RST" => {
                // HAProxy takes the server's RST for its end, now and then; more than that were another one's.
                resets("--").unwrap_or(0) * 50 <= resets("SD").unwrap_or(0)
            }
            "--" => socket == "its FIN first",
            "SD" => socket == "its RST",
            _ => socket.starts_with("HAProxy's"),
        };
        assert!(fits, "{code} {socket}: {kernel}");
    }
}

fn churned(name: &str, format: &str, threads: u16, ports: u16, at_least: u64) {
    if !ready(name) {
        return;
    }
    let rig = Rig::start(&Release::own(), format);
    let recorder = rig.record(14);
    let made = rig.churn(threads, ports, Duration::from_secs(11));
    let (kernel, lines) = rig.held(recorder);
    assert!(
        made > 500 && lines + 5 >= made,
        "{made} connections, {lines} lines"
    );
    assert!(kernel["whole"].as_bool().unwrap());
    assert_eq!(count(&kernel, "lost"), 0, "{kernel}");
    assert!(
        count(&kernel, "lines") * 100 >= lines * 95,
        "{lines} lines, {kernel}"
    );
    println!(
        "{name}: {made} connections on {} ports, {} of {} lines joined, {} to their server's",
        threads * ports,
        count(&kernel, "joined"),
        count(&kernel, "lines"),
        count(&kernel, "joined_to_server")
    );
    assert!(
        count(&kernel, "joined") * 100 >= count(&kernel, "lines") * at_least,
        "{kernel}"
    );
    if format == WITH_ADDRESSES {
        assert!(
            count(&kernel, "joined_to_server") * 100 >= count(&kernel, "lines") * 99,
            "{kernel}"
        );
    }
    assert_eq!(kernel["disagreements"], Value::Array(Vec::new()), "{kernel}");
    no_other_s(&kernel);
}

#[test]
fn lines_are_joined_under_churn_with_ports_used_again() {
    churned(
        "logs::kernel::lines_are_joined_under_churn_with_ports_used_again",
        WITH_ADDRESSES,
        4,
        250,
        99,
    );
}

#[test]
fn lines_are_joined_where_ports_are_used_again_within_milliseconds() {
    churned(
        "logs::kernel::lines_are_joined_where_ports_are_used_again_within_milliseconds",
        WITH_ADDRESSES,
        4,
        4,
        99,
    );
}

#[test]
fn lines_of_option_tcplog_are_joined_by_the_client_alone() {
    churned(
        "logs::kernel::lines_of_option_tcplog_are_joined_by_the_client_alone",
        "option tcplog",
        4,
        250,
        99,
    );
}

#[test]
fn a_socket_that_outlives_its_line_is_told() {
    if !ready("logs::kernel::a_socket_that_outlives_its_line_is_told") {
        return;
    }
    let rig = Rig::start(&Release::own(), WITH_ADDRESSES);
    let recorder = rig.record(9);
    rig.netns.run(|| {
        for port in 21_000..21_003 {
            let mut stream = connect(port, "127.0.0.1:8001").unwrap();
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
        // The server has closed; the client doesn't for long after `timeout client` has ended the session.
        let mut stream = connect(21_010, "127.0.0.1:8000").unwrap();
        stream.write_all(b"a").unwrap();
        sleep(Duration::from_millis(4500));
        drop(stream);
    });
    let (kernel, lines) = rig.held(recorder);
    assert_eq!(lines, 4);
    assert_eq!(
        (&kernel["joined"], &kernel["joined_to_server"], &kernel["agree"]),
        (&4.into(), &4.into(), &4.into()),
        "{kernel}"
    );
    assert_eq!(
        (&kernel["lingered"][0]["code"], &kernel["lingered"][0]["side"]),
        (&"cD".into(), &"client".into()),
        "{kernel}"
    );
    let longest = kernel["lingered"][0]["longest_s"].as_f64().unwrap();
    assert!((2.0..4.5).contains(&longest), "{kernel}");
}

/// Requests of one connection share its socket; that it is there after each of them is no finding.
#[test]
fn requests_of_one_connection_share_its_socket() {
    if !ready("logs::kernel::requests_of_one_connection_share_its_socket") {
        return;
    }
    let rig = Rig::start(&Release::own(), WITH_ADDRESSES);
    let recorder = rig.record(8);
    rig.netns.run(|| {
        let mut stream = connect(25_000, "127.0.0.1:8001").unwrap();
        for _ in 0..3 {
            stream.write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            assert!(stream.read(&mut [0; 512]).unwrap() > 0);
            sleep(Duration::from_millis(400));
        }
        // HAProxy closes it when nothing more comes; the client doesn't for long.
        sleep(Duration::from_millis(2500));
    });
    let (kernel, lines) = rig.held(recorder);
    assert_eq!(lines, 3);
    assert_eq!(
        (count(&kernel, "lines"), count(&kernel, "joined")),
        (3, 3),
        "{kernel}"
    );
    assert_eq!(kernel["lingered"], Value::Array(Vec::new()), "{kernel}");
    let clients: Vec<_> = saw(&kernel, "client").into_keys().collect();
    assert_eq!(clients, [("--".to_owned(), "still open".to_owned())], "{kernel}");
}

/// A client whose address somebody else told is not looked for by it: another one has that address in truth.
#[test]
fn an_address_that_is_not_the_socket_s_is_not_joined_by() {
    if !ready("logs::kernel::an_address_that_is_not_the_socket_s_is_not_joined_by") {
        return;
    }
    let rig = Rig::start(&Release::own(), WITH_ADDRESSES);
    let recorder = rig.record(7);
    rig.netns.run(|| {
        // A real one, that is reset, while others claim to be it.
        let mut real = connect(22_000, "127.0.0.1:8000").unwrap();
        real.write_all(b"w").unwrap();
        let _ = real.read(&mut [0; 8]);
        for port in 22_001..22_004 {
            let mut claims = connect(port, "127.0.0.1:8002").unwrap();
            claims
                .write_all(b"PROXY TCP4 127.0.0.1 127.0.0.1 22000 8000\r\na")
                .unwrap();
            let _ = claims.read_to_end(&mut Vec::new());
        }
        // And one that a rule gives another address.
        let mut changed = connect(22_005, "127.0.0.1:8003").unwrap();
        changed.write_all(b"a").unwrap();
        let _ = changed.read_to_end(&mut Vec::new());
        crate::odd::linger_zero(&real);
        drop(real);
    });
    let (kernel, lines) = rig.held(recorder);
    assert_eq!(lines, 5);
    assert_eq!(
        (
            count(&kernel, "lines"),
            count(&kernel, "joined"),
            count(&kernel, "disguised")
        ),
        (1, 1, 4),
        "{kernel}"
    );
    // By their server's socket they are.
    assert_eq!(count(&kernel, "joined_to_server"), 5, "{kernel}");
    assert_eq!(count(&kernel, "agree"), 5, "{kernel}");
    let clients: Vec<_> = saw(&kernel, "client").into_keys().collect();
    assert_eq!(clients, [("CD".to_owned(), "its RST".to_owned())], "{kernel}");
}

/// HAProxy 3.0 takes a server that stalls in the middle of its answer for a client that left, if the client closes when HAProxy has: the
/// kernel saw whose FIN was the first.
#[test]
fn a_code_that_the_kernel_contradicts_is_a_finding() {
    let name = "logs::kernel::a_code_that_the_kernel_contradicts_is_a_finding";
    if !ready(name) {
        return;
    }
    let Some(release) = Release::of("trixie", name) else {
        return;
    };
    let rig = Rig::start(&release, WITH_ADDRESSES);
    let recorder = rig.record(6);
    rig.netns.run(|| {
        let mut stream = connect(24_000, "127.0.0.1:8001").unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (kernel, lines) = rig.held(recorder);
    assert_eq!(lines, 1);
    assert_eq!(count(&kernel, "joined"), 1, "{kernel}");
    assert_eq!(kernel["disagree"][0]["code"], "CD", "{kernel}");
    let because = kernel["disagreements"][0]["kernel"].as_str().unwrap();
    assert!(
        because.contains("the client had sent neither FIN nor RST"),
        "{kernel}"
    );
}
