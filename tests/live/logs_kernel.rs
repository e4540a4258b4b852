//! HAProxy's log beside the kernel's evidence: under churn on a few ports that are used again and again, and where the log is wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::ready;
use hatrace_tests::release::Release;
use hatrace_tests::tracer::Tracer;

use super::logs::logs;

const CONFIG: &str = "
defaults
  mode tcp
  log 127.0.0.1:5140 len 4096 format raw local0
  log-format \"%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %fi:%fp %bi:%bp %si:%sp\"
  retries 0
  timeout connect 2s
  timeout http-request 700ms
  timeout client 1500ms
  timeout server 600ms
frontend fe
  bind 127.0.0.1:8000
  default_backend be
backend be
  server s1 127.0.0.1:9000
frontend fe_http
  mode http
  option abortonclose
  bind 127.0.0.1:8001
  default_backend be_http
backend be_http
  mode http
  option abortonclose
  server s1 127.0.0.1:9000
";

/// What it logs, in a file.
fn sink(netns: &Netns, file: &Path, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    let socket = netns.run(|| UdpSocket::bind("127.0.0.1:5140")).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut file = std::fs::File::create(file).unwrap();
    let stop = stop.clone();
    std::thread::spawn(move || {
        let (mut datagram, mut lines) = (vec![0u8; 8192], 0);
        loop {
            match socket.recv(&mut datagram) {
                Ok(length) => {
                    file.write_all(datagram[..length].trim_ascii_end()).unwrap();
                    file.write_all(b"\n").unwrap();
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
                        super::odd::linger_zero(&stream);
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
fn connect(port: u16, to: &str) -> Option<TcpStream> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    rustix::net::connect(&socket, &to.parse::<SocketAddr>().unwrap()).ok()?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    Some(stream)
}

/// One connection from that port; how it ends depends on its number.
fn once(port: u16, number: u32) -> bool {
    let Some(mut stream) = connect(port, "127.0.0.1:8000") else {
        return false;
    };
    let how: &[u8] = match number % 5 {
        0 | 1 => b"a",
        2 | 3 => b"w",
        _ => b"r",
    };
    if stream.write_all(how).is_err() {
        return true;
    }
    let mut answer = [0u8; 8];
    let _ = stream.read(&mut answer);
    match number % 5 {
        // HAProxy has closed first: the port is free at once.
        0 | 1 | 4 => drop(stream.read(&mut answer)),
        // The client resets.
        _ => super::odd::linger_zero(&stream),
    }
    true
}

fn record(haproxy: &Haproxy, tape: &Path, seconds: u32) -> Tracer {
    let (pid, seconds) = (haproxy.pid().to_string(), seconds.to_string());
    Tracer::start(&[
        "record",
        "-a",
        "-o",
        tape.to_str().unwrap(),
        "-d",
        &seconds,
        "--pid",
        &pid,
    ])
}

fn haproxy(netns: &Netns, release: &Release) -> Haproxy {
    let haproxy = Haproxy::spawn(
        netns,
        Start {
            release: Some(release),
            args: &["-db"],
            config: &(GLOBAL.to_owned() + CONFIG),
            ..Start::default()
        },
    );
    haproxy.await_socket();
    haproxy
}

#[test]
fn lines_are_joined_under_churn_with_ports_used_again() {
    if !ready("logs_kernel::lines_are_joined_under_churn_with_ports_used_again") {
        return;
    }
    let netns = Netns::new();
    let folder = tempfile::tempdir().unwrap();
    let (log, tape) = (folder.path().join("log"), folder.path().join("tape"));
    let stop = Arc::new(AtomicBool::new(false));
    let sink = sink(&netns, &log, &stop);
    serve(&netns);
    let haproxy = haproxy(&netns, &Release::own());
    let recorder = record(&haproxy, &tape, 14);
    let end = Instant::now() + Duration::from_secs(11);
    let made: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4u16)
            .map(|thread| {
                let netns = &netns;
                scope.spawn(move || {
                    netns.run(|| {
                        let mut made = 0;
                        for number in 0.. {
                            if Instant::now() >= end {
                                break;
                            }
                            // Each port is used again within a second.
                            let port = 20_000 + thread * 250 + u16::try_from(number % 250).unwrap();
                            made += u32::from(once(port, number));
                        }
                        made
                    })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(recorder.finish().status.success());
    stop.store(true, Ordering::Relaxed);
    let lines = sink.join().unwrap();
    assert!(
        made > 500 && lines + 5 >= u64::from(made),
        "{made} connections, {lines} lines"
    );
    let configuration = haproxy.path("haproxy.cfg");
    let told = logs(
        &[
            "-f",
            configuration.to_str().unwrap(),
            &format!("--from={}", tape.display()),
        ],
        &log,
    );
    let kernel = &told["kernel"][0];
    let count = |key: &str| kernel[key].as_u64().unwrap_or_else(|| panic!("{key}: {kernel}"));
    assert!(kernel["whole"].as_bool().unwrap());
    assert!(count("lines") * 100 >= lines * 95, "{lines} lines, {kernel}");
    assert!(count("joined") * 100 >= count("lines") * 99, "{kernel}");
    assert!(count("joined_to_server") * 100 >= count("lines") * 99, "{kernel}");
    // A line that was joined to another one's socket would contradict it: how they end alternates.
    assert_eq!(count("agree"), count("joined"), "{kernel}");
}

#[test]
fn a_socket_that_outlives_its_line_is_told() {
    if !ready("logs_kernel::a_socket_that_outlives_its_line_is_told") {
        return;
    }
    let netns = Netns::new();
    let folder = tempfile::tempdir().unwrap();
    let (log, tape) = (folder.path().join("log"), folder.path().join("tape"));
    let stop = Arc::new(AtomicBool::new(false));
    let sink = sink(&netns, &log, &stop);
    serve(&netns);
    let haproxy = haproxy(&netns, &Release::own());
    let recorder = record(&haproxy, &tape, 9);
    netns.run(|| {
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
    assert!(recorder.finish().status.success());
    stop.store(true, Ordering::Relaxed);
    assert_eq!(sink.join().unwrap(), 4);
    let configuration = haproxy.path("haproxy.cfg");
    let told = logs(
        &[
            "-f",
            configuration.to_str().unwrap(),
            &format!("--from={}", tape.display()),
        ],
        &log,
    );
    let kernel = &told["kernel"][0];
    assert_eq!(
        (&kernel["joined"], &kernel["joined_to_server"], &kernel["agree"]),
        (&4.into(), &4.into(), &4.into()),
        "{kernel}"
    );
    assert_eq!(kernel["lingered"][0]["code"], "cD", "{kernel}");
    let longest = kernel["lingered"][0]["longest_s"].as_f64().unwrap();
    assert!((2.0..4.5).contains(&longest), "{kernel}");
}
