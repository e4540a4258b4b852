//! `term_events`, HAProxy 3.2 and later: what each of its layers saw, in order, when a session ended.

use std::fmt;

/// Where something was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The socket.
    Socket,
    /// A handshake (TLS, PROXY).
    Handshake,
    /// TLS itself.
    Transport,
    /// The multiplexer of the connection.
    Multiplexer,
    /// The request's or response's own stream in it.
    Endpoint,
    /// The session.
    Session,
}

/// One thing that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// On the server's side; else on the client's.
    pub server: bool,
    /// Where.
    pub layer: Layer,
    /// Its number there.
    pub kind: u8,
}

impl Event {
    /// From two characters: `f1`, `SC`.
    #[must_use]
    pub fn parse(layer: u8, kind: u8) -> Option<Self> {
        let number = char::from(kind).to_digit(16)?;
        Some(Self {
            server: layer.is_ascii_uppercase(),
            layer: match layer.to_ascii_lowercase() {
                b'f' => Layer::Socket,
                b'h' => Layer::Handshake,
                b'x' => Layer::Transport,
                b'm' => Layer::Multiplexer,
                b'e' => Layer::Endpoint,
                b's' => Layer::Session,
                _ => return None,
            },
            kind: u8::try_from(number).ok()?,
        })
    }

    /// What it is, in words; `None`: a number that isn't known.
    #[must_use]
    pub const fn means(&self) -> Option<&'static str> {
        Some(match (self.layer, self.kind) {
            (_, 1) => "HAProxy shut its half",
            (Layer::Endpoint | Layer::Session, 2) => "the other end had closed",
            (_, 2) => "the peer's FIN came",
            (_, 3) => "receiving failed",
            (_, 4) => "sending failed",
            (Layer::Multiplexer | Layer::Endpoint | Layer::Session, 5) => {
                "the peer closed in the middle of a message"
            }
            (Layer::Multiplexer | Layer::Endpoint | Layer::Session, 6) => {
                "receiving failed in the middle of a message"
            }
            (Layer::Socket, 7) => "connecting failed",
            (Layer::Multiplexer | Layer::Session, 7) => "a timeout struck",
            (Layer::Socket | Layer::Session, 8) => "HAProxy intercepted it",
            (Layer::Multiplexer, 8) => "the peer is going away (GOAWAY)",
            (Layer::Endpoint, 8) => "the peer reset the stream",
            (Layer::Socket, 9) => "polling while connecting showed an error",
            (Layer::Socket, 10) => "polling showed an error",
            (Layer::Socket, 11) => "polling showed that the peer hung up",
            (_, 9) => "the protocol was violated",
            (_, 10) => "HAProxy had an error of its own",
            (_, 11) => "some other error",
            (Layer::Multiplexer, 12) => "it was shut in good order",
            (Layer::Endpoint, 12) => "it was cancelled",
            (Layer::Session, 12) => "it was aborted",
            _ => return None,
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = match self.layer {
            Layer::Socket => "socket",
            Layer::Handshake => "handshake",
            Layer::Transport => "TLS",
            Layer::Multiplexer => "multiplexer",
            Layer::Endpoint => "stream",
            Layer::Session => "session",
        };
        let side = if self.server { "server" } else { "client" };
        match self.means() {
            Some(means) => write!(f, "{side}'s {layer}: {means}"),
            None => write!(f, "{side}'s {layer}: event {}, which isn't known", self.kind),
        }
    }
}

/// `{f2f1,m2m1,e1,s2S1S7s1,E1,M1,F1}`: from the client's socket to the server's. `None`: it isn't such a list.
#[must_use]
pub fn events(text: &[u8]) -> Option<Vec<Event>> {
    let inner = text.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let mut all = Vec::new();
    for part in inner.split(|byte| *byte == b',') {
        let pairs = part.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return None;
        }
        for pair in pairs {
            let &[layer, kind] = pair else { return None };
            all.push(Event::parse(layer, kind)?);
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_ones() {
        // A client that had closed, a server that never did: server-fin struck (3.2.26).
        let all = events(b"{f2f1,m2m1,e1,s2S1S7s1,E1,M1,F1}").unwrap();
        let words: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(words[0], "client's socket: the peer's FIN came");
        assert!(
            words.contains(&"server's session: a timeout struck".to_owned()),
            "{words:?}"
        );
        // A refused connection.
        let all = events(b"{f1,m1,e1,S1s1,,,F7}").unwrap();
        assert_eq!(
            all.last().unwrap().to_string(),
            "server's socket: connecting failed"
        );
        assert_eq!(events(b"{,,e1,s1S1,E1,,}").unwrap().len(), 4);
        for text in ["", "{", "{}x", "{f}", "{q1}", "{fz}", "{f1"] {
            assert_eq!(events(text.as_bytes()), None, "{text}");
        }
    }
}
