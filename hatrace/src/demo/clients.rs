//! The clients in front of the demo's HAProxy: most behave, one never closes, one leaves before its answer.
//!
//! Each has a source address of its own on loopback, so that a report can name it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use super::bell::Bell;

/// What a request of HTTP begins with.
pub(super) const HTTP_VERB: &str = "GET ";
/// How long an answer may take: the good ones come at once, and a client that waits for ever would hold up the end.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the impatient one waits.
const IMPATIENCE: Duration = Duration::from_millis(400);
/// How many connections one client keeps open at most, whatever happens.
const KEPT: usize = 200;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Reads the answer up to the other's FIN, then closes.
    Closes,
    /// Reads a line of answer and closes first.
    ClosesFirst,
    /// Reads the answer up to the other's FIN and never closes: the FIN stays unanswered.
    NeverCloses,
    /// Leaves before the answer.
    Leaves,
}

/// A client: who, where to, how often, how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    /// For the thread's name.
    pub name: &'static str,
    /// Its addresses, in turn.
    pub from: &'static [Ipv4Addr],
    /// HAProxy's listener.
    pub to: SocketAddrV4,
    /// It speaks HTTP, not lines.
    pub http: bool,
    /// How it behaves.
    pub manner: Manner,
    /// The time between two visits.
    pub every: Duration,
    /// How many visits at most: the traffic ends by itself where nobody ends it.
    pub visits: usize,
}

impl Client {
    /// Sends it to work on a thread of its own, until the bell rings.
    pub(super) fn start(self, bell: &Arc<Bell>) -> io::Result<JoinHandle<()>> {
        let bell = Arc::clone(bell);
        Builder::new()
            .name(format!("demo-{}", self.name))
            .spawn(move || self.work(&bell))
    }

    fn work(self, bell: &Bell) {
        let mut kept = Vec::new();
        let sources = self.from.iter().cycle();
        for source in sources.take(self.visits) {
            // A visit that fails is a visit less: HAProxy may be on its way down.
            if let Ok(stream) = self.visit(*source, bell)
                && self.manner == Manner::NeverCloses
                && kept.len() < KEPT
            {
                kept.push(stream);
            }
            if !bell.rest(self.every) {
                return;
            }
        }
        // What it keeps, it keeps to the end.
        while bell.rest(Duration::from_secs(3600)) {}
    }

    fn visit(self, source: Ipv4Addr, bell: &Bell) -> io::Result<TcpStream> {
        let mut stream = connect_from(source, self.to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if self.http {
            let host = self.to;
            stream.write_all(format!("{HTTP_VERB}/ HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
        } else {
            stream.write_all(b"hello\n")?;
        }
        match self.manner {
            Manner::Closes | Manner::NeverCloses => {
                stream.read_to_end(&mut Vec::new())?;
            }
            Manner::ClosesFirst => {
                BufReader::new(&stream).read_line(&mut String::new())?;
            }
            Manner::Leaves => {
                bell.rest(IMPATIENCE);
            }
        }
        Ok(stream)
    }
}

/// A connection from an address of one's choice, which `TcpStream::connect` doesn't offer.
fn connect_from(source: Ipv4Addr, to: SocketAddrV4) -> io::Result<TcpStream> {
    let fd = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    bind(&fd, &SocketAddrV4::new(source, 0))?;
    connect(&fd, &to)?;
    Ok(TcpStream::from(fd))
}
