//! A HAProxy whose log goes to a file, clients that use few ports again and again, and a server that does as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::release::Release;
use hatrace_tests::tracer::Tracer;
use serde_json::Value;

/// Both ends of both sockets.
pub(super) const WITH_ADDRESSES: &str =
    "log-format \"%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %fi:%fp %bi:%bp %si:%sp\"";

const CONFIG: &str = r#"
defaults
  mode tcp
  log 127.0.0.1:5140 len 4096 format raw local0
  FORMAT
  retries 0
  timeout connect 2s
  timeout http-request 700ms
  timeout client 1500ms
  timeout server 600ms
frontend fe
  bind 127.0.0.1:8000
  default_backend be
frontend fe_proxy
  bind 127.0.0.1:8002 accept-proxy
  default_backend be
frontend fe_set
  bind 127.0.0.1:8003
  tcp-request session set-src src,map_ip(/dev/null,127.0.0.1)
  default_backend be
backend be
  server s1 127.0.0.1:9000
frontend fe_http
  mode http
  log-format "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %ST %B %ts %fi:%fp %bi:%bp %si:%sp"
  option abortonclose
  bind 127.0.0.1:8001
  default_backend be_http
backend be_http
  mode http
  option abortonclose
  server s1 127.0.0.1:9000
"#;

pub(super) struct Rig {
    pub(super) netns: Netns,
    pub(super) haproxy: Haproxy,
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    sink: JoinHandle<u64>,
}

impl Rig {
    /// Logs in that format.
    pub(super) fn start(release: &Release, format: &str) -> Self {
        let netns = Netns::new();
        let folder = tempfile::tempdir().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let sink = sink(&netns, &folder.path().join("log"), &stop);
        serve(&netns);
        let haproxy = Haproxy::spawn(
            &netns,
            Start {
                release: Some(release),
                args: &["-db"],
                config: &(GLOBAL.to_owned() + &CONFIG.replace("FORMAT", format)),
                ..Start::default()
            },
        );
        haproxy.await_socket();
        Self {
            netns,
            haproxy,
            folder,
            stop,
            sink,
        }
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Records every connection, for so many seconds.
    pub(super) fn record(&self, seconds: u32) -> Tracer {
        let (pid, seconds) = (self.haproxy.pid().to_string(), seconds.to_string());
        let tape = self.folder.path().join("tape");
        let tape = tape.to_str().unwrap();
        Tracer::start(&["record", "-a", "-o", tape, "-d", &seconds, "--pid", &pid])
    }

    /// Every port of these is used again and again, by so many threads, for so long: how many connections there were.
    pub(super) fn churn(&self, threads: u16, ports: u16, length: Duration) -> u64 {
        let end = Instant::now() + length;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn(move || {
                        self.netns.run(|| {
                            (0u32..)
                                .take_while(|_| Instant::now() < end)
                                .filter(|number| {
                                    let port = u16::try_from(number % u32::from(ports)).unwrap();
                                    once(20_000 + thread * ports + port, number % 5)
                                })
                                .count() as u64
                        })
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    }

    /// What was recorded beside what was logged; and how many lines that were.
    pub(super) fn held(self, recorder: Tracer) -> (Value, u64) {
        assert!(recorder.finish().status.success());
        let (log, configuration) = (self.log(), self.haproxy.path("haproxy.cfg"));
        let from = format!("--from={}", self.folder.path().join("tape").display());
        self.stop.store(true, Ordering::Relaxed);
        let lines = self.sink.join().unwrap();
        let told = super::logs(&["-f", configuration.to_str().unwrap(), &from], &log);
        (told["kernel"][0].clone(), lines)
    }
}

/// What it logs, in a file.
fn sink(netns: &Netns, file: &Path, stop: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let socket = netns.run(|| UdpSocket::bind("127.0.0.1:5140")).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut file = std::fs::File::create(file).unwrap();
    let stop = stop.clone();
    std::thread::spawn(move || {
        let (mut datagram, mut lines) = (vec![0u8; 8192], 0);
        loop {
            match socket.recv(&mut datagram) {
                Ok(length) => {
                    let mut line = datagram[..length].trim_ascii_end().to_vec();
                    line.push(b'\n');
                    file.write_all(&line).unwrap();
                    lines += 1;
                }
                Err(_) if stop.load(Ordering::Relaxed) => return lines,
                Err(_) => {}
            }
        }
    })
}

/// A server that does what the first byte says.
fn serve(netns: &Netns) {
    let listener = netns.run(|| TcpListener::bind("127.0.0.1:9000")).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut request = [0u8; 512];
                let length = stream.read(&mut request).unwrap_or(0);
                match request[..length].first() {
                    // Answers and closes.
                    Some(b'a') => drop(stream.write_all(b"ok")),
                    // Answers and waits for the client.
                    Some(b'w') => {
                        let _ = stream.write_all(b"ok");
                        let _ = stream.read(&mut request);
                    }
                    // An RST in the middle.
                    Some(b'r') => {
                        let _ = stream.write_all(b"ok");
                        sleep(Duration::from_millis(5));
                        crate::odd::linger_zero(&stream);
                    }
                    // HTTP: one answer after the other.
                    Some(b'H') => {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
                        while stream.write_all(answer).is_ok()
                            && stream.read(&mut request).is_ok_and(|length| length > 0)
                        {
                        }
                    }
                    // HTTP: stalls in the middle of the answer.
                    Some(b'G') => {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
                        sleep(Duration::from_secs(2));
                    }
                    _ => sleep(Duration::from_secs(2)),
                }
            });
        }
    });
}

/// A connection from a port of one's own choice.
pub(super) fn connect(port: u16, to: &str) -> Option<TcpStream> {
    let socket = hatrace_tests::peers::socket();
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    rustix::net::connect(&socket, &to.parse::<SocketAddr>().unwrap()).ok()?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    Some(stream)
}

/// One connection from that port: 0 and 1 end by the server's FIN, 2 and 3 by the client's RST, 4 by the server's.
fn once(port: u16, how: u32) -> bool {
    let Some(mut stream) = connect(port, "127.0.0.1:8000") else {
        return false;
    };
    let told: &[u8] = match how {
        0 | 1 => b"a",
        2 | 3 => b"w",
        _ => b"r",
    };
    if stream.write_all(told).is_err() {
        return true;
    }
    let mut answer = [0u8; 8];
    let _ = stream.read(&mut answer);
    match how {
        // HAProxy has closed first: the port is free at once.
        0 | 1 | 4 => drop(stream.read(&mut answer)),
        // The client resets.
        _ => crate::odd::linger_zero(&stream),
    }
    true
}
