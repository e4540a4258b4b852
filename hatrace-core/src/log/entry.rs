//! One line of a log, understood: what it says of one session, still in the line's own bytes.

use std::net::IpAddr;

use crate::ending::Code;

/// Milliseconds since 1970 by the clock of whoever wrote it: HAProxy writes local time, and doesn't say which.
pub type Written = i64;

/// What a line says. Timers are in milliseconds; -1: that was never reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was accepted, or its request began.
    pub accepted: Option<Written>,
    /// The client, as the log calls it.
    pub client: Option<IpAddr>,
    /// Its port.
    pub client_port: Option<u16>,
    /// The peer of the client's socket, where the format tells it apart (`fc_src`).
    pub socket: Option<IpAddr>,
    /// Its port.
    pub socket_port: Option<u16>,
    /// HAProxy's own address towards the client.
    pub front: Option<IpAddr>,
    /// Its port.
    pub front_port: Option<u16>,
    /// HAProxy's own address towards the server.
    pub back: Option<IpAddr>,
    /// Its port.
    pub back_port: Option<u16>,
    /// The server's address.
    pub server_ip: Option<IpAddr>,
    /// Its port.
    pub server_port: Option<u16>,
    /// The frontend, without the `~` of TLS.
    pub frontend: &'a [u8],
    /// It had the `~` of TLS.
    pub tls: bool,
    /// The backend; the frontend again where none was chosen.
    pub backend: &'a [u8],
    /// The server; `<NOSRV>`, `<STATS>`: there was none.
    pub server: &'a [u8],
    /// `TR`: the request's time to arrive.
    pub request: Option<i64>,
    /// `Tw`: in queues.
    pub queue: Option<i64>,
    /// `Tc`: to connect.
    pub connect: Option<i64>,
    /// `Tr`: to the response's headers.
    pub response: Option<i64>,
    /// `Ta`, `Tt`: all of it.
    pub total: Option<i64>,
    /// Logged before its end (`option logasap`): bytes and times are less than they became.
    pub early: bool,
    /// HTTP's status.
    pub status: Option<u16>,
    /// From the server to the client.
    pub bytes: Option<u64>,
    /// How it ended.
    pub code: Option<Code>,
    /// The process.
    pub pid: Option<u32>,
    /// Further tries to connect.
    pub retries: Option<u32>,
    /// The request line, as it stands: whatever the client wrote.
    pub uri: &'a [u8],
    /// `term_events` (3.2).
    pub term_events: &'a [u8],
    /// It was cut off (`len` of the `log` line).
    pub truncated: bool,
}

impl Entry<'_> {
    /// When it ended, as far as it is told.
    #[must_use]
    pub fn ended(&self) -> Option<Written> {
        Some(self.accepted? + self.total.unwrap_or(0).max(0))
    }

    /// Whether a server was chosen.
    #[must_use]
    pub fn has_server(&self) -> bool {
        !self.server.is_empty() && self.server != b"-" && self.server.first() != Some(&b'<')
    }
}
