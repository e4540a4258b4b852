//! The servers behind the demo's HAProxy: one closes as it should, one never does, one takes its time.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::bell::Bell;
use super::clients::HTTP_VERB;

/// How long the slow one thinks.
pub(super) const THINKS: Duration = Duration::from_secs(4);
/// How long a request may take to arrive: it is sent in one piece, over loopback.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many connections one server keeps open at most, whatever happens.
const KEPT: usize = 200;

/// What a server does with a connection after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Closes it, as it should.
    Closes,
    /// Keeps it, whatever comes: HAProxy's FIN is acknowledged by the kernel and answered by nobody.
    NeverCloses,
    /// Thinks for [`THINKS`] before the answer, then closes.
    TakesItsTime,
}

/// A server on a thread of its own.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddrV4,
    listener: Arc<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server at a free port of `ip`.
    pub(super) fn start(name: &str, ip: Ipv4Addr, manner: Manner, bell: &Arc<Bell>) -> io::Result<Self> {
        let listener = Arc::new(TcpListener::bind((ip, 0))?);
        let address = match listener.local_addr()? {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        let (ours, bell) = (Arc::clone(&listener), Arc::clone(bell));
        let thread = Builder::new()
            .name(format!("demo-{name}"))
            .spawn(move || serve(&ours, manner, &bell))?;
        Ok(Self {
            address,
            listener,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Ends it and closes what it kept. The bell must have been rung.
    pub(super) fn stop(&mut self) {
        // On Linux this wakes a blocked accept(), which then fails: no connection to oneself is needed.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // A panic of its thread has been printed by then.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(listener: &TcpListener, manner: Manner, bell: &Arc<Bell>) {
    let mut kept = Vec::new();
    let mut thinking: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((mut stream, _)) = listener.accept() {
        match manner {
            Manner::Closes => drop(answer(&mut stream)),
            Manner::NeverCloses => {
                // Whatever became of the answer, it keeps the connection: that is its vice.
                let _ = answer(&mut stream);
                if kept.len() < KEPT {
                    kept.push(stream);
                }
            }
            Manner::TakesItsTime => {
                thinking.retain(|thread| !thread.is_finished());
                let bell = Arc::clone(bell);
                let think = move || {
                    if bell.rest(THINKS) {
                        // The client has left by then: that the answer can't be delivered is the point.
                        let _ = answer(&mut stream);
                    }
                };
                if thinking.len() < KEPT
                    && let Ok(thread) = Builder::new().name("demo-thinks".to_owned()).spawn(think)
                {
                    thinking.push(thread);
                }
            }
        }
    }
    for thread in thinking {
        let _ = thread.join();
    }
}

/// Reads a request, of a line or of HTTP, and answers in kind.
fn answer(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(&*stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if !line.starts_with(HTTP_VERB) {
        return stream.write_all(b"hello\n");
    }
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")
}
