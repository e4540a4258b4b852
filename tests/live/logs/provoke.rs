//! Every way in which a session can end, provoked at one frontend.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::haproxy::Haproxy;
use hatrace_tests::netns::Netns;
use hatrace_tests::peers::connect;

use super::configured::Frontend;

/// What was done, by frontend and the first two letters that must come of it.
pub(super) type Truth = BTreeMap<(String, String), u64>;

/// What a server does with a request.
fn serve(mut stream: TcpStream) {
    let mut request = vec![0u8; 4096];
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or("/").to_owned();
    let wait = || sleep(Duration::from_secs(3));
    match path.as_str() {
        "/closes" => {}
        "/half" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        }
        "/resets" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
            sleep(Duration::from_millis(50));
            crate::odd::linger_zero(&stream);
        }
        "/garbage" => drop(stream.write_all(b"this is no HTTP at all\r\n\r\n")),
        "/stalls" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
            wait();
        }
        "/endless" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            let _ = stream.set_write_timeout(Some(Duration::from_secs(3)));
            while stream.write_all(&[b'x'; 65_536]).is_ok() {}
        }
        "/ok" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
        _ => wait(),
    }
}

pub(super) fn server(netns: &Netns) {
    let listener = netns.run(|| TcpListener::bind("127.0.0.1:9000")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream));
        }
    });
}

/// Who does it, and where.
pub(super) struct Provoker<'a> {
    pub(super) haproxy: &'a Haproxy,
    pub(super) frontend: &'a Frontend,
    pub(super) version: (u32, u32),
    pub(super) truth: Truth,
}

impl Provoker<'_> {
    /// Does something so often; each must end with that code.
    fn must(&mut self, code: &str, count: u64, what: impl Fn(&Self)) {
        (0..count).for_each(|_| what(self));
        let key = (self.frontend.name.to_owned(), code.to_owned());
        *self.truth.entry(key).or_default() += count;
    }

    fn ask(&self, path: &str) -> TcpStream {
        let mut stream = connect(&format!("127.0.0.1:{}", self.frontend.port_of(path)));
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: a \"b\" c\r\nConnection: close\r\n\r\n");
        // At once: a server that has read a part of it and closes would reset.
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Asks, and reads to the end.
    fn done(&self, path: &str) {
        let _ = self.ask(path).read_to_end(&mut Vec::new());
    }

    /// Asks, and leaves a little later.
    fn left(&self, path: &str) {
        let stream = self.ask(path);
        sleep(Duration::from_millis(100));
        drop(stream);
    }

    /// Asks, takes some, and resets.
    fn reset(&self, path: &str) {
        let mut stream = self.ask(path);
        let _ = stream.read_exact(&mut [0u8; 100_000]);
        crate::odd::linger_zero(&stream);
    }

    fn tell(&self, command: &str) {
        let name = self.frontend.name;
        let answer = self.haproxy.ask(&command.replace("BE", name));
        assert!(answer.trim().is_empty(), "{command}: {answer}");
    }

    /// Everything, in both modes; by the letters of HTTP's phase of waiting for headers, which TCP doesn't have.
    pub(super) fn everything(mut self) -> Truth {
        let http = self.frontend.http;
        // Where a session is that waits for its server: HTTP waits for headers.
        let at = |cause: &str| format!("{cause}{}", if http { 'H' } else { 'D' });
        self.must("--", 7, |this| this.done("/ok"));
        self.must("SC", 3, |this| this.done("/refused"));
        self.must("sC", 2, |this| this.done("/black"));
        // From 3.0 on, in TCP mode, HAProxy sees that only when the time to connect is over.
        let leaves = if !http && self.version >= (3, 0) {
            "sC"
        } else {
            "CC"
        };
        self.must(leaves, 2, |this| this.left("/black"));
        self.must(&at("s"), 2, |this| this.done("/mute"));
        self.must("SD", 2, |this| this.done("/resets"));
        self.must("CD", 2, |this| this.reset("/endless"));
        // One that takes nothing for longer than `timeout client`.
        self.must("cD", 1, |this| {
            let stream = this.ask("/endless");
            sleep(Duration::from_millis(2500));
            drop(stream);
        });
        self.queued(&at);
        self.ports(&at);
        self.by_others();
        if http {
            self.http();
        } else {
            self.must("sD", 1, |this| this.done("/stalls"));
        }
        self.truth
    }

    /// Waits in a backend's queue: too long, and until the client leaves.
    fn queued(&mut self, at: &dyn Fn(&str) -> String) {
        for leaves in [false, true] {
            let mut first = self.ask("/queued");
            self.is_served("queued");
            if leaves {
                self.must("CQ", 1, |this| this.left("/queued"));
            } else {
                self.must("sQ", 1, |this| this.done("/queued"));
            }
            let _ = first.read_to_end(&mut Vec::new());
            self.must(&at("s"), 1, |_| {});
        }
    }

    /// Waits until a session of that backend has its server.
    fn is_served(&self, backend: &str) {
        let own = format!("be={}_{backend} srv=s1 ", self.frontend.name);
        for _ in 0..100 {
            if self.haproxy.ask("show sess").contains(&own) {
                return;
            }
            sleep(Duration::from_millis(5));
        }
        panic!("no {own}: {}", self.haproxy.ask("show sess"));
    }

    /// More connections than there are source ports.
    fn ports(&mut self, at: &dyn Fn(&str) -> String) {
        let mut first = self.ask("/ports");
        self.is_served("ports");
        // The manual has PC for it; 2.6, 3.0 and 3.4 say so in a message ("no free ports"), and SC in the line.
        self.must("SC", 1, |this| this.done("/ports"));
        let _ = first.read_to_end(&mut Vec::new());
        self.must(&at("s"), 1, |_| {});
    }

    /// An administrator, a server that goes down, one that comes back.
    fn by_others(&mut self) {
        // From 3.0 on it is C for connecting, in whatever phase it was.
        let phase = match (self.version, self.frontend.http) {
            ((2, _), true) => 'H',
            ((2, _), false) => '-',
            _ => 'C',
        };
        self.must("K", 1, |this| {
            let mut killed = this.ask("/mute");
            sleep(Duration::from_millis(100));
            let sessions = this.haproxy.ask("show sess");
            let own = format!("fe={} ", this.frontend.name);
            let of = sessions
                .lines()
                .find(|line| line.contains(&own))
                .unwrap_or_default();
            let pointer = of.split(':').next().unwrap_or_default().to_owned();
            let _ = this.haproxy.ask(&format!("shutdown session {pointer}"));
            let _ = killed.read_to_end(&mut Vec::new());
        });
        self.must(&format!("D{phase}"), 1, |this| {
            let mut waits = this.ask("/down");
            sleep(Duration::from_millis(100));
            this.tell("set server BE_down/s1 health down");
            let _ = waits.read_to_end(&mut Vec::new());
        });
        self.tell("set server BE_up/s1 health down");
        self.must(&format!("U{phase}"), 1, |this| {
            let mut waits = this.ask("/up");
            sleep(Duration::from_millis(100));
            this.tell("set server BE_up/s1 health up");
            let _ = waits.read_to_end(&mut Vec::new());
        });
    }

    /// What only HTTP has.
    fn http(&mut self) {
        self.must("PR", 5, |this| this.done("/deny"));
        self.must("PR", 2, |this| this.done("/reject"));
        self.must("LR", 4, |this| this.done("/redirect"));
        self.must("LR", 2, |this| this.done("/stats"));
        self.must("PT", 2, |this| this.done("/tarpit"));
        // The manual has CT for one that leaves meanwhile; 2.6, 3.0 and 3.4 go on with it, and say PT.
        self.must("PT", 1, |this| {
            let stream = this.ask("/tarpit");
            sleep(Duration::from_millis(100));
            crate::odd::linger_zero(&stream);
        });
        self.must("SH", 2, |this| this.done("/closes"));
        self.must("PH", 1, |this| this.done("/garbage"));
        self.must("SD", 2, |this| this.done("/half"));
        // 3.0 takes a server that stalls in the middle of its answer for a client that left.
        let stalls = if self.version == (3, 0) { "CD" } else { "sD" };
        self.must(stalls, 2, |this| this.done("/stalls"));
        self.must("CH", 2, |this| this.left("/mute"));
        let port = self.frontend.port;
        let raw = |text: &[u8]| {
            let mut stream = connect(&format!("127.0.0.1:{port}"));
            stream.write_all(text).unwrap();
            stream
        };
        self.must("cR", 2, |_| drop(raw(b"").read_to_end(&mut Vec::new())));
        self.must("CR", 2, |_| {
            let _partial = raw(b"GET /ok HTTP/1.1\r\nHos");
            sleep(Duration::from_millis(50));
        });
        self.must("PR", 1, |_| {
            drop(raw(b"\x01\x1b[31mGARBAGE\r\n\r\n").read_to_end(&mut Vec::new()));
        });
    }
}
