//! The play itself, with a real HAProxy on loopback: every promised state must be there, as `/proc/net/tcp` shows it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

const FIN_WAIT2: u8 = 5;
const CLOSE_WAIT: u8 = 8;

/// A line of `/proc/net/tcp`.
#[derive(Debug)]
struct Row {
    local: SocketAddrV4,
    peer: SocketAddrV4,
    state: u8,
    unread: u32,
    inode: u64,
}

fn address(text: &str) -> Option<SocketAddrV4> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    Some(SocketAddrV4::new(
        Ipv4Addr::from(ip),
        u16::from_str_radix(port, 16).ok()?,
    ))
}

fn row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    Some(Row {
        local: address(fields.get(1)?)?,
        peer: address(fields.get(2)?)?,
        state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
        unread: u32::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// The promised states that are there now.
fn seen(plan: &Plan) -> BTreeSet<&'static str> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut seen = BTreeSet::new();
    for row in table.lines().filter_map(row) {
        let held = row.inode != 0;
        let front = |to: SocketAddrV4, from: Ipv4Addr| row.local == to && *row.peer.ip() == from;
        let what = match row.state {
            FIN_WAIT2 if held && front(plan.to_good, LEAKY_CLIENT) => "leaky client: front FIN_WAIT2, held",
            CLOSE_WAIT if held && row.peer == plan.good1 => "leaky client: back CLOSE_WAIT",
            FIN_WAIT2 if held && row.peer == plan.leaky1 => "leaky server: back FIN_WAIT2, held",
            CLOSE_WAIT if held && row.local == plan.to_leaky => "leaky server: front CLOSE_WAIT",
            FIN_WAIT2 if !held && front(plan.to_web, KEEPER) => "keeper: front FIN_WAIT2, timewait",
            CLOSE_WAIT if row.unread > 0 && front(plan.to_slow, IMPATIENT) => "impatient: CLOSE_WAIT, unread",
            _ => continue,
        };
        seen.insert(what);
    }
    seen
}

/// A stage, or a skip that says so: a machine without HAProxy can't tell whether the demo works. `cargo xtask test`
/// counts the lines of `HATRACE_SKIPPED_FILE` apart from passes.
fn stage(test: &str) -> Option<Stage> {
    match Stage::start(Duration::from_secs(10)) {
        Err(problem) if problem.exit == crate::error::Exit::Cannot => {
            println!("skipped: {test}: {}", problem.what);
            if let Some(path) = std::env::var_os("HATRACE_SKIPPED_FILE") {
                let mut file = fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .unwrap();
                writeln!(file, "{test}: {}", problem.what).unwrap();
            }
            None
        }
        outcome => Some(outcome.unwrap()),
    }
}

#[test]
fn every_promised_state_appears_and_nothing_is_left() {
    let Some(mut stage) = stage("every_promised_state_appears_and_nothing_is_left") else {
        return;
    };
    let until = Instant::now() + Duration::from_secs(8);
    let mut found = BTreeSet::new();
    while found.len() < 6 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
        found.extend(seen(&stage.plan));
    }
    assert_eq!(found.len(), 6, "{found:?}");

    let config = stage.config_path();
    let process = format!("/proc/{}", stage.pid());
    assert!(config.exists() && Path::new(&process).exists());
    let began = Instant::now();
    stage.stop();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!Path::new(&process).exists(), "HAProxy is still there");
    stage.stop();
    drop(stage);
    assert!(!config.exists(), "the folder is still there");
}

#[test]
fn the_narration_names_who_leaks() {
    let Some(stage) = stage("the_narration_names_who_leaks") else {
        return;
    };
    let words = stage.narration();
    for peer in [LEAKY_SERVER, LEAKY_CLIENT, KEEPER, IMPATIENT, SLOW_SERVER] {
        assert!(words.contains(&peer.to_string()), "{peer}: {words}");
    }
    for line in words.lines() {
        assert!(line.chars().count() <= 115, "{line}");
    }
}

#[test]
fn free_ports_are_four_different_ones() {
    let ports: BTreeSet<u16> = free_ports().unwrap().iter().map(SocketAddrV4::port).collect();
    assert_eq!(ports.len(), 4);
    assert!(!ports.contains(&0));
}
