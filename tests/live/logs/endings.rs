//! Logs of a real HAProxy, in every format and under every header, with every ending provoked: each line is understood, and the counts
//! are those of the script.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use hatrace_tests::haproxy::{Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::connect;
use hatrace_tests::ready;
use hatrace_tests::release::Release;
use hatrace_tests::tracer::run;
use serde_json::Value;

use super::logs;

/// HAProxy's headers; each has a port of its own.
const HEADERS: [&str; 7] = ["rfc3164", "rfc5424", "short", "priority", "raw", "timed", "iso"];
const FIRST_PORT: u16 = 5140;

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
                let mut file = std::fs::File::create(folder.path().join(header)).unwrap();
                let stop = stop.clone();
                std::thread::spawn(move || {
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
                })
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

/// What a server does with a request.
fn serve(mut stream: TcpStream) {
    let mut request = vec![0u8; 4096];
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or("/").to_owned();
    let wait = || sleep(Duration::from_secs(3));
    match path.as_str() {
        "/mute" => wait(),
        "/closes" => {}
        "/half" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        }
        "/stalls" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
            wait();
        }
        "/endless" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            let _ = stream.set_write_timeout(Some(Duration::from_secs(3)));
            while stream.write_all(&[b'x'; 65_536]).is_ok() {}
        }
        _ => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    }
}

fn server(netns: &Netns) {
    let listener = netns.run(|| TcpListener::bind("127.0.0.1:9000")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream));
        }
    });
}

const CONFIG: &str = r#"
global
  stats socket {DIR}/stats.sock mode 600 level admin
LOGS
defaults
  mode http
  log global
  option httplog
  option abortonclose
  retries 0
  timeout connect 500ms
  timeout client 1500ms
  timeout server 600ms
  timeout http-request 700ms
  timeout queue 300ms
  timeout tarpit 400ms
frontend f_http
  bind 127.0.0.1:8000
  bind 127.0.0.1:8001
  http-request deny if { path /deny }
  http-request tarpit if { path /tarpit }
  http-request redirect location /ok if { path /redirect }
  stats enable
  stats uri /stats
  use_backend b_refused if { path /refused }
  use_backend b_queue if { path /queued }
  default_backend b
frontend f_https
  bind 127.0.0.1:8002
  option httpslog
  http-request deny if { path /deny }
  default_backend b
frontend f_clf
  bind 127.0.0.1:8003
  option httplog clf
  http-request deny if { path /deny }
  default_backend b
frontend f_json
  bind 127.0.0.1:8004
  log-format '{"t":"%t","ci":"%ci","cp":%cp,"fe":"%f","be":"%b","srv":"%s","st":%ST,"B":%B,"tsc":"%tsc","Tw":%Tw,"Tt":%Tt}'
  http-request deny if { path /deny }
  default_backend b
frontend f_own
  bind 127.0.0.1:8005
  log-format "%pid %ci:%cp -> %fi:%fp %bi:%bp -> %si:%sp [%tr] %f %b/%s %tsc %ST %Ta {%[capture.req.hdr(0)]} %{+Q}r"
  declare capture request len 64
  http-request capture req.hdr(user-agent) len 64
  http-request deny if { path /deny }
  default_backend b
frontend f_tcp
  mode tcp
  option tcplog
  bind 127.0.0.1:8006
  default_backend b_tcp
backend b
  server s1 127.0.0.1:9000
backend b_tcp
  mode tcp
  server s1 127.0.0.1:9000
backend b_refused
  server s1 127.0.0.1:9001
backend b_queue
  http-request set-path /mute
  server s1 127.0.0.1:9000 maxconn 1
defaults
  mode tcp
  log global
  timeout connect 500ms
  timeout client 1500ms
  timeout server 600ms
frontend f_none
  bind 127.0.0.1:8007
  default_backend b_tcp
"#;

/// What was done, by frontend and the first two letters that must come of it.
#[derive(Default)]
struct Truth(BTreeMap<(String, String), u64>);

impl Truth {
    fn add(&mut self, frontend: &str, code: &str, count: u64) {
        *self.0.entry((frontend.to_owned(), code.to_owned())).or_default() += count;
    }
}

fn ask(port: u16, path: &str) -> TcpStream {
    let mut stream = connect(&format!("127.0.0.1:{port}"));
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: a \"b\" c\r\nConnection: close\r\n\r\n");
    // At once: a server that has read a part of it and closes would reset.
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Asks, and reads to the end.
fn done(port: u16, path: &str) {
    let mut answer = Vec::new();
    let _ = ask(port, path).read_to_end(&mut answer);
}

/// Everything that can end a session, on the frontend with `option httplog`.
fn endings(netns: &Netns, haproxy: &Haproxy, version: (u32, u32), truth: &mut Truth) {
    let mut did = |code: &str, count: u64| truth.add("f_http", code, count);
    netns.run(|| {
        (0..7).for_each(|_| done(8000, "/ok"));
        did("--", 7);
        (0..5).for_each(|_| done(8000, "/deny"));
        did("PR", 5);
        (0..4).for_each(|_| done(8000, "/redirect"));
        (0..2).for_each(|_| done(8000, "/stats"));
        did("LR", 6);
        (0..3).for_each(|_| done(8000, "/refused"));
        did("SC", 3);
        (0..2).for_each(|_| done(8000, "/closes"));
        did("SH", 2);
        (0..2).for_each(|_| done(8000, "/half"));
        did("SD", 2);
    });
    let within = |count: u64, what: &(dyn Fn() + Sync)| netns.run(|| (0..count).for_each(|_| what()));
    within(2, &|| done(8000, "/tarpit"));
    did("PT", 2);
    // The manual has CT for one that leaves meanwhile; 2.6, 3.0 and 3.4 go on with it, and say PT.
    within(1, &|| {
        let stream = ask(8000, "/tarpit");
        sleep(Duration::from_millis(100));
        crate::odd::linger_zero(&stream);
        drop(stream);
    });
    did("PT", 1);
    within(2, &|| done(8000, "/mute"));
    did("sH", 2);
    within(2, &|| done(8000, "/stalls"));
    // 3.0 takes a server that stalls in the middle of its answer for a client that left.
    did(if version == (3, 0) { "CD" } else { "sD" }, 2);
    within(2, &|| {
        let stream = ask(8000, "/mute");
        sleep(Duration::from_millis(100));
        drop(stream);
    });
    did("CH", 2);
    within(2, &|| {
        let mut silent = connect("127.0.0.1:8000");
        let _ = silent.read_to_end(&mut Vec::new());
    });
    did("cR", 2);
    within(2, &|| {
        let mut partial = connect("127.0.0.1:8000");
        partial.write_all(b"GET /ok HTTP/1.1\r\nHos").unwrap();
        sleep(Duration::from_millis(50));
    });
    did("CR", 2);
    within(1, &|| {
        let mut garbage = connect("127.0.0.1:8000");
        garbage.write_all(b"\x01\x1b[31mGARBAGE\r\n\r\n").unwrap();
        let _ = garbage.read_to_end(&mut Vec::new());
    });
    did("PR", 1);
    within(2, &|| {
        let mut stream = ask(8000, "/endless");
        let _ = stream.read_exact(&mut [0u8; 100_000]);
        crate::odd::linger_zero(&stream);
        drop(stream);
    });
    did("CD", 2);
    // One that takes nothing for longer than `timeout client`.
    within(1, &|| {
        let stream = ask(8000, "/endless");
        sleep(Duration::from_millis(2500));
        drop(stream);
    });
    did("cD", 1);
    netns.run(|| {
        let first = ask(8000, "/queued");
        sleep(Duration::from_millis(50));
        done(8000, "/queued");
        drop(first);
    });
    did("sQ", 1);
    did("CH", 1);
    // An administrator ends one.
    netns.run(|| {
        let mut killed = ask(8000, "/mute");
        sleep(Duration::from_millis(100));
        let sessions = haproxy.ask("show sess");
        let of = sessions
            .lines()
            .find(|line| line.contains("fe=f_http"))
            .unwrap_or_default()
            .to_owned();
        let pointer = of.split(':').next().unwrap_or_default().to_owned();
        let _ = haproxy.ask(&format!("shutdown session {pointer}"));
        let _ = killed.read_to_end(&mut Vec::new());
    });
    did("K", 1);
}

/// Some endings on every other frontend.
fn formats(netns: &Netns, truth: &mut Truth) {
    for (port, frontend) in [
        (8002, "f_https"),
        (8003, "f_clf"),
        (8004, "f_json"),
        (8005, "f_own"),
    ] {
        netns.run(|| {
            (0..5).for_each(|_| done(port, "/ok"));
            (0..3).for_each(|_| done(port, "/deny"));
            done(port, "/closes");
        });
        truth.add(frontend, "--", 5);
        truth.add(frontend, "PR", 3);
        truth.add(frontend, "SH", 1);
    }
    netns.run(|| (0..4).for_each(|_| done(8006, "/ok")));
    truth.add("f_tcp", "--", 4);
    netns.run(|| done(8006, "/stalls"));
    truth.add("f_tcp", "sD", 1);
    netns.run(|| (0..3).for_each(|_| done(8007, "/ok")));
}

fn config() -> String {
    let logs: String = HEADERS
        .iter()
        .zip(FIRST_PORT..)
        .map(|(header, port)| format!("  log 127.0.0.1:{port} len 8192 format {header} local0\n"))
        .collect();
    CONFIG.replace("LOGS\n", &logs)
}

/// What it counted, by frontend and code; an administrator's doing by its first letter alone.
fn counted(told: &Value) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for way in told["endings"].as_array().unwrap() {
        let code = way["code"].as_str().unwrap();
        let code = if code.starts_with('K') { "K" } else { code };
        let key = (way["frontend"].as_str().unwrap().to_owned(), code.to_owned());
        *counts.entry(key).or_default() += way["count"].as_u64().unwrap();
    }
    counts
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
    let mut truth = Truth::default();
    endings(&netns, &haproxy, release.number(), &mut truth);
    formats(&netns, &mut truth);
    // What lasted longest has ended by now.
    sleep(Duration::from_secs(2));
    let (folder, files) = sinks.close();
    let configuration = haproxy.path("haproxy.cfg");
    for file in &files {
        let told = logs(&["-f", configuration.to_str().unwrap()], file);
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(told["unparsed"], 0, "{name}: {}", told["examples"]);
        assert_eq!(counted(&told), truth.0, "{name}");
        assert_eq!(told["connections"], 3, "{name}: `Connect from` of f_none");
        for code in told["codes"].as_array().unwrap() {
            assert!(
                !code["meaning"].as_str().unwrap().contains("manual knows"),
                "{code}"
            );
        }
    }
    // Without its configuration the formats of one's own are not known, and nothing else is lost; JSON is by its names.
    let told = logs(&[], &files[0]);
    assert_eq!(told["unparsed"], 9, "f_own's: {}", told["examples"]);
    let mut others = truth.0.clone();
    others.retain(|(frontend, _), _| frontend != "f_own");
    assert_eq!(counted(&told), others);
    // Packed, and all of them at once.
    let packed = folder.path().join("all.gz");
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
    let told = logs(&["-f", configuration.to_str().unwrap()], &packed);
    let sevenfold: BTreeMap<_, u64> = truth
        .0
        .iter()
        .map(|(key, count)| (key.clone(), count * 7))
        .collect();
    assert_eq!(counted(&told), sevenfold);
    // A person's view is safe for a terminal, whatever a client has written.
    let text = run(&["logs", "--unparsed", files[0].to_str().unwrap()]).stdout;
    assert!(!text.contains('\u{1b}') && text.contains("CODE"), "{text}");
}

macro_rules! on {
    ($name:ident, $release:expr) => {
        #[test]
        fn $name() {
            let name = concat!("logs::endings::", stringify!($name));
            if ready(name) {
                let release: fn(&str) -> Option<Release> = $release;
                if let Some(release) = release(name) {
                    every_ending(&release);
                }
            }
        }
    };
}

on!(every_ending_on_2_6, |_| Some(Release::own()));
on!(every_ending_on_3_0, |name| Release::of("trixie", name));
on!(every_ending_on_the_newest, |name| Release::of(
    "experimental",
    name
));
