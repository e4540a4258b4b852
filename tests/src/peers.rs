//! Peers with a script: connections through HAProxy whose two outer ends the test holds in its hands.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::netns::Netns;
use crate::wall;

/// A socket of IPv4 that is neither bound nor connected, and not for the programs that other tests start meanwhile.
///
/// # Panics
/// When there is none to be had.
#[must_use]
pub fn socket() -> std::os::fd::OwnedFd {
    rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .expect("a socket")
}

/// One connection through HAProxy: the client's end and the server's end.
pub struct Pair {
    /// The client's socket.
    pub client: TcpStream,
    /// The server's socket.
    pub server: TcpStream,
    /// When one of them sent its FIN, in wall-clock seconds.
    pub closed_at: f64,
}

impl Pair {
    /// The address under which HAProxy's front socket knows its peer.
    ///
    /// # Panics
    /// When the socket is gone.
    #[must_use]
    pub fn client_address(&self) -> SocketAddr {
        self.client.local_addr().expect("an address")
    }

    /// The address that HAProxy's back socket has on its own side.
    ///
    /// # Panics
    /// When the socket is gone.
    #[must_use]
    pub fn back_address(&self) -> SocketAddr {
        self.server.peer_addr().expect("an address")
    }

    /// The server sends its FIN.
    pub fn server_closes(&mut self) {
        self.closed_at = wall();
        let _ = self.server.shutdown(Shutdown::Write);
    }

    /// The client sends its FIN.
    pub fn client_closes(&mut self) {
        self.closed_at = wall();
        let _ = self.client.shutdown(Shutdown::Write);
    }
}

/// A server that does nothing by itself.
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Listens.
    ///
    /// # Panics
    /// When the address is taken.
    #[must_use]
    pub fn listen(netns: &Netns, address: &str) -> Self {
        let listener = netns
            .run(|| TcpListener::bind(address))
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        Self { listener }
    }

    /// The next connection.
    ///
    /// # Panics
    /// When none can be had.
    #[must_use]
    pub fn accept(&self) -> (TcpStream, SocketAddr) {
        self.listener.accept().expect("HAProxy connects")
    }

    /// Makes `count` connections through the frontend at `front`, each with a byte passed from end to end, so that both sides stand.
    ///
    /// # Panics
    /// When one can't be made.
    #[must_use]
    pub fn pairs(&self, netns: &Netns, front: &str, count: usize) -> Vec<Pair> {
        netns.run(|| {
            (0..count)
                .map(|_| {
                    let mut client = connect(front);
                    client.write_all(b"x").expect("a byte is sent");
                    let (mut server, _) = self.listener.accept().expect("HAProxy connects");
                    let mut byte = [0u8; 1];
                    server.read_exact(&mut byte).expect("the byte arrives");
                    Pair {
                        client,
                        server,
                        closed_at: 0.0,
                    }
                })
                .collect()
        })
    }

    /// Answers each connection as HTTP, `Connection: close`, and closes it; until the listener is dropped with the process.
    ///
    /// # Panics
    /// When the listener can't be cloned.
    pub fn serve_http(&self) {
        let listener = self.listener.try_clone().expect("a clone");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    let mut buffer = [0u8; 4096];
                    let _ = stream.read(&mut buffer);
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
                });
            }
        });
    }
}

/// A connection, from a thread that is in the right namespace.
///
/// # Panics
/// When it can't be made.
#[must_use]
pub fn connect(address: &str) -> TcpStream {
    let address: SocketAddr = address.parse().expect("an address");
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
        .unwrap_or_else(|error| panic!("{address}: {error}"));
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    stream
}
