//! A HAProxy with everything on it that a socket can be to it: held pairs, HTTP, TLS, HTTP/2, PROXY protocol, queues, checks.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::{GLOBAL, Haproxy, Start};
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::{Pair, Server, connect};
use hatrace_tests::release::Release;

const PROXIES: &str = "
defaults
  timeout connect 1h
  timeout client 1h
  timeout server 1h
  timeout queue 1h
  timeout check 1h
  no option abortonclose
frontend fe_tcp
  mode tcp
  bind 127.0.0.1:8000
  default_backend be_tcp
frontend fe_tls
  mode tcp
  bind 127.0.0.1:8001 ssl crt {DIR}/cert.pem
  default_backend be_tcp
frontend fe_px
  mode tcp
  bind 127.0.0.1:8002 accept-proxy
  default_backend be_tcp
frontend fe_src
  mode tcp
  bind 127.0.0.1:8003
  tcp-request connection set-src src,ipmask(24)
  default_backend be_tcp
frontend fe_v6
  mode tcp
  bind :::8004 v4v6
  default_backend be_tcp
frontend fe_http
  mode http
  bind 127.0.0.1:8005
  default_backend be_http
frontend fe_h2
  mode http
  bind 127.0.0.1:8006 proto h2
  default_backend be_http
frontend fe_q
  mode http
  bind 127.0.0.1:8007
  default_backend be_q
frontend fe_syn
  mode tcp
  bind 127.0.0.1:8008
  default_backend be_syn
backend be_tcp
  mode tcp
  server s1 127.0.0.1:9000
backend be_http
  mode http
  server h1 127.0.0.1:9001
backend be_q
  mode http
  server q1 127.0.0.1:9002 maxconn 1
backend be_syn
  mode tcp
  server full 127.0.0.1:9003
backend be_chk
  mode http
  option httpchk
  server c1 127.0.0.1:9003 check inter 1h
";

/// HTTP clients that leave during their request.
pub(crate) const LEAVING: usize = 20;

/// A stage with everything on it: 300 pairs that are held, and one of each of the rest.
pub(crate) struct Stage {
    /// HAProxy's.
    pub(crate) version: String,
    netns: Netns,
    pub(crate) haproxy: Haproxy,
    pub(crate) pairs: Vec<Pair>,
    /// Clients that ended their half, and the servers' ends where there are any.
    clients: Vec<TcpStream>,
    servers: Vec<TcpStream>,
    tls: Vec<Child>,
    _listeners: Vec<Server>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.tls {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(super) fn certificate(haproxy_folder: &std::path::Path) {
    let key = haproxy_folder.join("key.pem");
    let cert = haproxy_folder.join("crt.pem");
    let status = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("openssl runs");
    assert!(status.success());
    let both = std::fs::read_to_string(&cert).unwrap() + &std::fs::read_to_string(&key).unwrap();
    std::fs::write(haproxy_folder.join("cert.pem"), both).unwrap();
}

/// HTTP/2 by prior knowledge: the preface, SETTINGS, and a GET on each of `streams` streams.
fn h2_requests(streams: u8) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for stream in 0..streams {
        // :method GET, :scheme http, :path /, :authority x; END_HEADERS and END_STREAM.
        let headers = [0x82, 0x86, 0x84, 0x41, 0x01, b'x'];
        bytes.extend([0, 0, 6, 1, 5, 0, 0, 0, 2 * stream + 1]);
        bytes.extend(headers);
    }
    bytes
}

/// Reads until `wanted` bytes have come.
fn take(stream: &mut TcpStream, wanted: usize) {
    let mut buffer = vec![0u8; wanted];
    stream.read_exact(&mut buffer).expect("what was sent arrives");
}

impl Stage {
    pub(crate) fn set(release: &Release) -> Self {
        let netns = Netns::new();
        let tcp = Server::listen(&netns, "127.0.0.1:9000");
        let http = Server::listen(&netns, "127.0.0.1:9001");
        let queue = Server::listen(&netns, "127.0.0.1:9002");
        let config = GLOBAL.to_owned() + PROXIES;
        // The certificate has to be there before HAProxy reads its configuration.
        let holder = tempfile_in(release);
        certificate(holder.path());
        let seen = match &release.root {
            Some(root) => format!("/{}", holder.path().strip_prefix(root).unwrap().display()),
            None => holder.path().display().to_string(),
        };
        let config = config.replace("{DIR}/cert.pem", &format!("{seen}/cert.pem"));
        // A listener whose queue is full: who connects to it gets no answer.
        let full = netns.run(|| full_listener("127.0.0.1:9003"));
        let haproxy = Haproxy::spawn(
            &netns,
            Start {
                release: Some(release),
                args: &["-db"],
                config: &config,
                ..Start::default()
            },
        );
        haproxy.await_socket();
        let mut stage = Self {
            version: release.version.clone(),
            netns,
            haproxy,
            pairs: Vec::new(),
            clients: full,
            servers: Vec::new(),
            tls: Vec::new(),
            _listeners: Vec::new(),
        };
        stage.tcp_pairs(&tcp);
        stage.others(&tcp, &http, &queue);
        stage._listeners = vec![tcp, http, queue];
        stage
    }

    fn tcp_pairs(&mut self, tcp: &Server) {
        for (front, count) in [
            ("127.0.0.1:8000", 200),
            ("127.0.0.1:8003", 40),
            ("127.0.0.1:8004", 30),
            ("[::1]:8004", 30),
        ] {
            let mut pairs = tcp.pairs(&self.netns, front, count);
            let half = pairs.len() / 2;
            let (first, second) = pairs.split_at_mut(half);
            first.iter_mut().for_each(Pair::server_closes);
            second.iter_mut().for_each(Pair::client_closes);
            self.pairs.extend(pairs);
        }
    }

    fn others(&mut self, tcp: &Server, http: &Server, queue: &Server) {
        // PROXY protocol: HAProxy calls the client 192.0.2.77.
        let mut pair = self.netns.run(|| {
            let mut client = connect("127.0.0.1:8002");
            client
                .write_all(b"PROXY TCP4 192.0.2.77 192.0.2.1 4711 443\r\nx")
                .unwrap();
            let (mut server, _) = tcp.accept();
            take(&mut server, 1);
            Pair {
                client,
                server,
                closed_at: 0.0,
            }
        });
        pair.server_closes();
        self.pairs.push(pair);
        // TLS: a client that is stopped in its tracks never answers the server's end.
        let mut tls = self
            .netns
            .command("openssl")
            .args(["s_client", "-quiet", "-connect", "127.0.0.1:8001"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl runs");
        tls.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        let (mut server, _) = tcp.accept();
        take(&mut server, 1);
        let pid = rustix::process::Pid::from_child(&tls);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let _ = server.shutdown(std::net::Shutdown::Write);
        self.tls.push(tls);
        self.servers.push(server);
        let (clients, servers) = self.netns.run(|| {
            let mut clients = Vec::new();
            let mut servers = Vec::new();
            // HTTP: the clients leave while the server thinks.
            for _ in 0..LEAVING {
                let mut client = connect("127.0.0.1:8005");
                client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                servers.push(http.accept().0);
                clients.push(client);
            }
            // HTTP/2: twenty streams on one connection, each with a connection to the server.
            let mut client = connect("127.0.0.1:8006");
            client.write_all(&h2_requests(20)).unwrap();
            for _ in 0..20 {
                servers.push(http.accept().0);
            }
            clients.push(client);
            // A request that is answered: an idle client, and a connection in the server's pool. They don't linger, and confuse nobody.
            let mut idle = connect("127.0.0.1:8005");
            idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let (mut pooled, _) = http.accept();
            let mut request = [0u8; 1024];
            let _ = pooled.read(&mut request).unwrap();
            pooled
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .unwrap();
            let _ = idle.read(&mut request).unwrap();
            servers.extend([idle, pooled]);
            // One request occupies the server's only slot, the next waits in the queue, and its client leaves.
            let mut first = connect("127.0.0.1:8007");
            first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            servers.push(queue.accept().0);
            let mut second = connect("127.0.0.1:8007");
            second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            clients.extend([first, second]);
            // Connecting to nobody.
            let mut client = connect("127.0.0.1:8008");
            client.write_all(b"x").unwrap();
            clients.push(client);
            (clients, servers)
        });
        sleep(Duration::from_millis(300));
        for client in &clients {
            let _ = client.shutdown(std::net::Shutdown::Write);
        }
        self.clients.extend(clients);
        self.servers.extend(servers);
    }
}

pub(super) fn tempfile_in(release: &Release) -> tempfile::TempDir {
    match &release.root {
        Some(root) => tempfile::tempdir_in(root.join("tmp")),
        None => tempfile::tempdir(),
    }
    .expect("a folder")
}

/// Listens with the shortest queue there is, and fills it: the sockets that do.
pub(crate) fn full_listener(address: &str) -> Vec<TcpStream> {
    let address: std::net::SocketAddr = address.parse().unwrap();
    let socket = hatrace_tests::peers::socket();
    rustix::net::bind(&socket, &address).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let mut keep = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        keep.push(stream);
        assert!(keep.len() < 10, "the queue doesn't fill");
    }
    keep.push(TcpStream::from(socket));
    keep
}
