//! Logs of a real HAProxy, in every format and under every header, with every ending provoked: each line is understood, and the counts
//! are those of the script.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use hatrace_tests::haproxy::{Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::connect;
use hatrace_tests::release::Release;
use hatrace_tests::tracer::run;
use serde_json::Value;

use super::configured::{FIRST_PORT, FRONTENDS, HEADERS, config};
use super::logs;
use super::provoke::{Provoker, Truth, server};
use crate::stage::full_listener;

/// Takes what is logged, a file for each header.
struct Sinks {
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sinks {
    fn open(netns: &Netns) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let threads = HEADERS
            .iter()
            .zip(FIRST_PORT..)
            .map(|(header, port)| {
                let socket = netns.run(|| UdpSocket::bind(("127.0.0.1", port))).unwrap();
                socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                let file = std::fs::File::create(folder.path().join(header)).unwrap();
                let stop = stop.clone();
                std::thread::spawn(move || take(&socket, file, &stop))
            })
            .collect();
        Self {
            folder,
            stop,
            threads,
        }
    }

    /// The files, once nothing more comes.
    fn close(mut self) -> (tempfile::TempDir, Vec<PathBuf>) {
        sleep(Duration::from_millis(300));
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        let files = HEADERS
            .iter()
            .map(|header| self.folder.path().join(header))
            .collect();
        (self.folder, files)
    }
}

fn take(socket: &UdpSocket, mut file: std::fs::File, stop: &AtomicBool) {
    let mut datagram = vec![0u8; 65_536];
    loop {
        match socket.recv(&mut datagram) {
            Ok(length) => {
                let line = datagram[..length]
                    .strip_suffix(b"\n")
                    .unwrap_or(&datagram[..length]);
                file.write_all(line).unwrap();
                file.write_all(b"\n").unwrap();
            }
            Err(_) if stop.load(Ordering::Relaxed) => return,
            Err(_) => {}
        }
    }
}

/// What it counted, by frontend and code; an administrator's doing by its first letter alone.
fn counted(told: &Value) -> Truth {
    let mut counts = BTreeMap::new();
    for way in told["endings"].as_array().unwrap() {
        let code = way["code"].as_str().unwrap();
        let code = if code.starts_with('K') { "K" } else { code };
        let key = (way["frontend"].as_str().unwrap().to_owned(), code.to_owned());
        *counts.entry(key).or_default() += way["count"].as_u64().unwrap();
    }
    counts
}

/// Where they differ, what was counted and what was done.
fn same(counted: &Truth, done: &Truth, what: &str) {
    let keys: BTreeSet<_> = counted.keys().chain(done.keys()).collect();
    let differ: Vec<_> = keys
        .into_iter()
        .map(|key| (key, counted.get(key), done.get(key)))
        .filter(|(_, counted, done)| counted != done)
        .collect();
    assert!(differ.is_empty(), "{what}: {differ:?}");
}

/// Every ending at every frontend, all frontends at once.
fn provoked(netns: &Netns, haproxy: &Haproxy, version: (u32, u32)) -> Truth {
    let _full = netns.run(|| full_listener("127.0.0.1:9002"));
    let truths = std::thread::scope(|scope| {
        let threads: Vec<_> = FRONTENDS
            .iter()
            .map(|frontend| {
                let provoker = Provoker {
                    haproxy,
                    frontend,
                    version,
                    truth: Truth::new(),
                };
                scope.spawn(move || netns.run(|| provoker.everything()))
            })
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        ended.collect::<Vec<Truth>>()
    });
    netns.run(|| {
        for _ in 0..3 {
            let mut stream = connect("127.0.0.1:8007");
            stream.write_all(b"GET /ok HTTP/1.1\r\n\r\n").unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    // What lasted longest has ended by now.
    sleep(Duration::from_secs(2));
    truths.into_iter().flatten().collect()
}

fn every_ending(release: &Release) {
    let netns = Netns::new();
    let sinks = Sinks::open(&netns);
    server(&netns);
    let haproxy = Haproxy::spawn(
        &netns,
        Start {
            release: Some(release),
            args: &["-db"],
            config: &config(),
            ..Start::default()
        },
    );
    haproxy.await_socket();
    let truth = provoked(&netns, &haproxy, release.number());
    let (folder, files) = sinks.close();
    let configuration = haproxy.path("haproxy.cfg");
    let configuration = configuration.to_str().unwrap();
    for file in &files {
        let told = logs(&["-f", configuration], file);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(told["unparsed"], 0, "{name}: {}", told["examples"]);
        same(&counted(&told), &truth, &name);
        assert_eq!(told["connections"], 3, "{name}: `Connect from` of f_none");
        for code in told["codes"].as_array().unwrap() {
            assert!(
                !code["meaning"].as_str().unwrap().contains("manual knows"),
                "{code}"
            );
        }
    }
    without_its_configuration(&files[0], &truth);
    packed(folder.path(), &files, configuration, &truth);
    // A person's view is safe for a terminal, whatever a client has written.
    let text = run(&["logs", "--unparsed", files[0].to_str().unwrap()]).stdout;
    assert!(!text.contains('\u{1b}') && text.contains("CODE"), "{text}");
}

/// Formats of one's own are not known, and nothing else is lost; JSON is by its names.
fn without_its_configuration(file: &Path, truth: &Truth) {
    let told = logs(&[], file);
    let is_own = |name: &str| FRONTENDS.iter().any(|one| one.name == name && one.own);
    let own = truth.iter().filter(|((frontend, _), _)| is_own(frontend));
    assert_eq!(
        told["unparsed"],
        own.map(|(_, count)| count).sum::<u64>(),
        "{}",
        told["examples"]
    );
    let mut others = truth.clone();
    others.retain(|(frontend, _), _| !is_own(frontend));
    same(&counted(&told), &others, "without the configuration");
}

/// All of them at once, packed.
fn packed(folder: &Path, files: &[PathBuf], configuration: &str, truth: &Truth) {
    let packed = folder.join("all.gz");
    let text: Vec<u8> = files
        .iter()
        .flat_map(|file| std::fs::read(file).unwrap())
        .collect();
    let mut gzip = std::process::Command::new("gzip")
        .arg("-c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::fs::File::create(&packed).unwrap())
        .spawn()
        .unwrap();
    gzip.stdin.take().unwrap().write_all(&text).unwrap();
    assert!(gzip.wait().unwrap().success());
    let told = logs(&["-f", configuration], &packed);
    let sevenfold: Truth = truth
        .iter()
        .map(|(key, count)| (key.clone(), count * 7))
        .collect();
    same(&counted(&told), &sevenfold, "packed");
}

on!(every_ending_on_2_6, |_| Some(Release::own()), every_ending);
on!(
    every_ending_on_3_0,
    |name| Release::of("trixie", name),
    every_ending
);
on!(
    every_ending_on_the_newest,
    |name| Release::of("experimental", name),
    every_ending
);
