//! Peers that act by themselves: servers that answer and close, or don't; clients that come from addresses of their own.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::netns::Netns;

/// What a server does with a connection once it has read something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers and closes; reads to the end.
    Closes,
    /// Answers, waits for the client's end, closes then.
    Waits,
    /// Answers, and ignores that the client has closed.
    Ignores,
    /// Reads, and never answers.
    Mute,
}

/// A server on a thread of its own, until it is dropped.
pub struct Acting {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
    /// Connections that are kept.
    kept: Arc<Mutex<Vec<TcpStream>>>,
}

impl Acting {
    /// Listens at `address` and behaves.
    ///
    /// # Panics
    /// When the address is taken.
    #[must_use]
    pub fn listen(netns: &Netns, address: &str, manner: Manner) -> Self {
        let listener = netns
            .run(|| TcpListener::bind(address))
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        listener.set_nonblocking(true).expect("a listener");
        let stop = Arc::new(AtomicBool::new(false));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let thread = std::thread::spawn({
            let (stop, kept) = (stop.clone(), kept.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    match listener.accept() {
                        Ok((stream, _)) => {
                            let _ = stream.set_nonblocking(false);
                            let _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
                            let kept = kept.clone();
                            std::thread::spawn(move || serve(stream, manner, &kept));
                        }
                        Err(_) => sleep(Duration::from_millis(2)),
                    }
                }
            }
        });
        Self {
            stop,
            address: address.parse().expect("an address"),
            thread: Some(thread),
            kept,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it keeps.
    ///
    /// # Panics
    /// Never, but for a panic elsewhere.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.lock().expect("a lock").len()
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, manner: Manner, kept: &Mutex<Vec<TcpStream>>) {
    let mut buffer = [0u8; 4096];
    match stream.read(&mut buffer) {
        Ok(0) | Err(_) => return,
        Ok(_) => {}
    }
    if manner != Manner::Mute {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    match manner {
        Manner::Closes => {
            let _ = stream.shutdown(Shutdown::Write);
            drain(&mut stream);
        }
        Manner::Waits => drain(&mut stream),
        Manner::Ignores | Manner::Mute => {
            if let Ok(mut kept) = kept.lock() {
                kept.push(stream);
            }
        }
    }
}

fn drain(stream: &mut TcpStream) {
    let mut buffer = [0u8; 4096];
    while matches!(stream.read(&mut buffer), Ok(bytes) if bytes > 0) {}
}

/// A connection from an address of one's own, from a thread that is in the right namespace.
///
/// # Panics
/// When it can't be made.
#[must_use]
pub fn connect_from(source: &str, to: &str) -> TcpStream {
    let to: SocketAddr = to.parse().expect("an address");
    let source: SocketAddr = format!("{source}:0").parse().expect("an address");
    let socket = crate::peers::socket();
    rustix::net::bind(&socket, &source).unwrap_or_else(|error| panic!("{source}: {error}"));
    rustix::net::connect(&socket, &to).unwrap_or_else(|error| panic!("{source} to {to}: {error}"));
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    stream
}

/// Sends something, reads to the server's end, and gives the connection back, not closed.
///
/// # Panics
/// When nothing can be sent.
#[must_use]
pub fn fetch(source: &str, to: &str) -> TcpStream {
    let mut stream = connect_from(source, to);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("a request");
    drain(&mut stream);
    stream
}

/// Sends something, reads the answer's beginning, and gives the connection back, open.
///
/// # Panics
/// When there is no answer.
#[must_use]
pub fn talk(source: &str, to: &str) -> TcpStream {
    let mut stream = connect_from(source, to);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("a request");
    let mut buffer = [0u8; 4096];
    assert!(stream.read(&mut buffer).expect("an answer") > 0);
    stream
}

/// Does something again and again until `end`, on a thread in the namespace.
pub fn every(netns: &Netns, pause: Duration, end: Instant, mut what: impl FnMut() + Send) {
    netns.run(|| {
        while Instant::now() < end {
            what();
            sleep(pause);
        }
    });
}
