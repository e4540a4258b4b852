//! HAProxy's logs, read: lines -> header off -> a format that fits -> what it says of one session.

mod format;
mod header;
pub mod input;
mod json;
mod read;
#[cfg(test)]
mod tests;
mod values;

use hatrace_core::log::Entry;

pub use format::Format;
use json::Object;
pub use json::Scratch;

/// The formats that have names, as HAProxy gives them to its configuration.
#[must_use]
pub const fn named() -> [(&'static str, &'static str); 5] {
    [
        ("HAPROXY_HTTP_LOG_FMT", format::HTTP),
        ("HAPROXY_HTTPS_LOG_FMT", format::HTTPS),
        ("HAPROXY_TCP_LOG_FMT", format::TCP),
        ("HAPROXY_HTTP_CLF_LOG_FMT", format::CLF),
        ("HAPROXY_TCP_CLF_LOG_FMT", format::TCP_CLF),
    ]
}

/// A line, understood or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// What it says of one session.
    Session(Entry<'a>),
    /// A connection that came to no session: a failed handshake, or `Connect from`, written at its beginning.
    Connection(Entry<'a>),
    /// A message of HAProxy's about itself.
    Message(&'a [u8]),
    /// Neither.
    Unknown(&'a [u8]),
    /// Nothing at all.
    Blank,
}

/// Reads lines of any format it knows; the one that fitted last is tried first.
#[derive(Debug)]
pub struct Reader {
    /// Those that were given, then those that have names.
    formats: Vec<Format>,
    sessions: usize,
    last: usize,
}

impl Reader {
    /// Knows these formats, and those of HAProxy's own.
    #[must_use]
    pub fn new(mut formats: Vec<Format>) -> Self {
        formats.extend(
            [
                ("httplog", format::HTTP),
                ("httpslog", format::HTTPS),
                ("tcplog", format::TCP),
                ("clf", format::CLF),
                ("tcp clf", format::TCP_CLF),
            ]
            .map(|(name, text)| Format::known(name, text)),
        );
        let sessions = formats.len();
        formats.extend(
            [
                ("connect", "Connect from %ci:%cp to %fi:%fp (%f/%HV)"),
                ("error", "%ci:%cp [%t] %ft/%HV: %HU"),
            ]
            .map(|(name, text)| Format::known(name, text)),
        );
        Self {
            formats,
            sessions,
            last: 0,
        }
    }

    /// Reads one line.
    pub fn read<'a>(&mut self, line: &'a [u8], scratch: &'a mut Scratch) -> Line<'a> {
        let line = trimmed(line);
        if line.is_empty() {
            return Line::Blank;
        }
        let split = header::split(line);
        if split.body.first() != Some(&b'{') {
            return self.body(split.body, split.pid, line);
        }
        match json::object(split.body, &self.formats, scratch) {
            Object::Message(pid) => {
                let text: &'a [u8] = trimmed(scratch.message());
                let inner = header::split(text);
                self.body(inner.body, inner.pid.or(pid), text)
            }
            Object::Fields(fields) => match scratch.entry(&fields) {
                Some(entry) => Line::Session(Entry {
                    pid: entry.pid.or(split.pid),
                    ..entry
                }),
                None => Line::Unknown(line),
            },
            // A format of the user's own may begin with a brace and not be JSON: quotes within a request are enough.
            Object::Other => self.body(split.body, split.pid, line),
        }
    }

    fn body<'a>(&mut self, body: &'a [u8], pid: Option<u32>, line: &'a [u8]) -> Line<'a> {
        let found = self.fitting(body).or_else(|| self.fitting(anchored(line)?));
        match found {
            Some((index, mut entry)) => {
                entry.pid = entry.pid.or(pid);
                if index < self.sessions {
                    Line::Session(entry)
                } else {
                    Line::Connection(entry)
                }
            }
            None if is_message(body) => Line::Message(body),
            None => Line::Unknown(line),
        }
    }

    fn fitting<'a>(&mut self, body: &'a [u8]) -> Option<(usize, Entry<'a>)> {
        let order =
            std::iter::once(self.last).chain((0..self.formats.len()).filter(|index| *index != self.last));
        let mut tried = order.filter_map(|index| Some((index, self.formats.get(index)?.read(body)?)));
        let found = tried.next()?;
        self.last = found.0;
        Some(found)
    }
}

/// Without what ends a line.
fn trimmed(line: &[u8]) -> &[u8] {
    let end = line
        .iter()
        .rposition(|byte| !matches!(byte, b'\n' | b'\r' | b' ' | 0));
    line.get(..end.map_or(0, |end| end + 1)).unwrap_or_default()
}

/// Behind a header that nobody knows: from the word before the first date on.
fn anchored(line: &[u8]) -> Option<&[u8]> {
    let date = memchr::memchr_iter(b'[', line).find(|at| {
        let inner = line.get(at + 1..).unwrap_or_default();
        values::date(inner).is_some()
    })?;
    let before = line.get(..date)?.strip_suffix(b" ")?;
    let start = memchr::memrchr(b' ', before).map_or(0, |blank| blank + 1);
    (start > 0).then(|| line.get(start..)).flatten()
}

/// What HAProxy says of itself (`src/server.c`, `src/proxy.c`, `src/check.c`, `src/haproxy.c`, `src/proto_tcp.c`, `src/resolvers.c`).
fn is_message(body: &[u8]) -> bool {
    const BEGIN: [&[u8]; 21] = [
        b"Server ",
        b"Backup Server ",
        b"Health check for",
        b"Backup Health check for",
        b"Agent check for",
        b"Connect() failed for",
        b"Proxy ",
        b"proxy ",
        b"Process ",
        b"Stopping ",
        b"Pausing ",
        b"Paused ",
        b"Enabling ",
        b"Disabling ",
        b"backend ",
        b"Loading ",
        b"New worker",
        b"[NOTICE]",
        b"[WARNING]",
        b"[ALERT]",
        b"Configuration ",
    ];
    const WITHIN: [&[u8]; 2] = [b" changed its IP from ", b" changed its FQDN from "];
    BEGIN.iter().any(|begin| body.starts_with(begin))
        || WITHIN
            .iter()
            .any(|within| memchr::memmem::find(body, within).is_some())
}
