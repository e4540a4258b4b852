//! A line read by a format: piece by piece, without a copy.

use memchr::{memchr, memmem, memrchr};

use hatrace_core::ending::Code;
use hatrace_core::log::Entry;

use super::format::{Format, Token, Var};
use super::values::{date, ip, number, timer};

impl Format {
    /// Reads a line's body; `None`: it isn't of this format.
    #[must_use]
    pub fn read<'a>(&self, body: &'a [u8]) -> Option<Entry<'a>> {
        if self.names.is_some() {
            return None;
        }
        let mut entry = Entry::default();
        let mut at = 0;
        // Something was written since the last blank.
        let mut since_blank = false;
        for (index, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Literal(literal) => {
                    if !body.get(at..)?.starts_with(literal) {
                        return None;
                    }
                    at += literal.len();
                    since_blank = true;
                }
                Token::Blank => match body.get(at) {
                    Some(b' ') => {
                        at += 1;
                        since_blank = false;
                    }
                    // What is empty leaves no blank of its own.
                    _ if !since_blank || at == body.len() => {}
                    _ => return None,
                },
                Token::Value { var, quoted, escaped } => {
                    let rest = body.get(at..)?;
                    let last = index + 1 == self.tokens.len();
                    let (value, length) = match *var {
                        Var::Captures => captures(rest, &mut entry.truncated),
                        _ if *quoted && rest.first() == Some(&b'"') => {
                            let next = self.tokens.get(index + 1);
                            in_quotes(rest, *escaped, next, last, &mut entry.truncated)
                        }
                        _ => {
                            let length = plain(rest, *var, self.tokens.get(index + 1..).unwrap_or_default())?;
                            (rest.get(..length)?, length)
                        }
                    };
                    set(&mut entry, *var, value)?;
                    at += length;
                    since_blank |= length > 0;
                }
            }
        }
        let rest = body.get(at..)?;
        rest.iter().all(|byte| *byte == b' ').then_some(entry)
    }
}

/// `{a|b}`, or nothing.
fn captures<'a>(rest: &'a [u8], cut: &mut bool) -> (&'a [u8], usize) {
    if rest.first() != Some(&b'{') {
        return (&[], 0);
    }
    match memmem::find(rest, b"} ").or_else(|| memrchr(b'}', rest)) {
        Some(end) => (rest.get(1..end).unwrap_or_default(), end + 1),
        None => {
            *cut = true;
            (rest.get(1..).unwrap_or_default(), rest.len())
        }
    }
}

/// A value in quotes. A client may have written quotes into it: of the last value of a line the last one closes it, of others the first
/// one that what must follow follows.
fn in_quotes<'a>(
    rest: &'a [u8],
    escaped: bool,
    next: Option<&Token>,
    last: bool,
    cut: &mut bool,
) -> (&'a [u8], usize) {
    let inner = rest.get(1..).unwrap_or_default();
    let close = if escaped {
        let mut skip = false;
        inner.iter().position(|byte| {
            let closes = !skip && *byte == b'"';
            skip = !skip && *byte == b'\\';
            closes
        })
    } else if last {
        memrchr(b'"', inner)
    } else {
        let follow: &[u8] = match next {
            Some(Token::Literal(literal)) => literal,
            _ => b" ",
        };
        let fits = |end: usize| {
            let after = inner.get(end + 1..).unwrap_or_default();
            after.is_empty() || after.starts_with(follow)
        };
        memchr::memchr_iter(b'"', inner).find(|end| fits(*end))
    };
    match close {
        Some(end) => (inner.get(..end).unwrap_or_default(), end + 2),
        None => {
            *cut = true;
            (inner, rest.len())
        }
    }
}

/// A value without quotes: up to what follows it.
fn plain(rest: &[u8], var: Var, following: &[Token]) -> Option<usize> {
    // A value without quotes has no blanks, but for times and requests.
    let blanks = matches!(var, Var::Accepted | Var::Request | Var::Other);
    Some(match following.first() {
        None if blanks => rest.len(),
        None | Some(Token::Blank) => before(rest, b' ').unwrap_or(rest.len()),
        Some(Token::Literal(literal)) => match literal.as_slice() {
            // An address of IPv6 has colons itself: the port's is the last one before what follows the port.
            b":" if is_address(var) => {
                let whole = match following.get(2) {
                    Some(Token::Blank) | None => before(rest, b' ').unwrap_or(rest.len()),
                    Some(Token::Literal(after)) => memmem::find(rest, after)?,
                    Some(Token::Value { .. }) => return None,
                };
                memrchr(b':', rest.get(..whole)?)?
            }
            [one] if blanks => before(rest, *one)?,
            [one] => rest
                .iter()
                .position(|byte| byte == one || *byte == b' ')
                .filter(|end| rest.get(*end) == Some(one))?,
            many => memmem::find(rest, many)
                .filter(|end| blanks || before(rest, b' ').is_none_or(|blank| blank >= *end))?,
        },
        // Captures may be nothing.
        Some(Token::Value { .. }) => memchr(b'{', rest)
            .or_else(|| memchr(b' ', rest))
            .unwrap_or(rest.len()),
    })
}

/// How many bytes stand before one: most values are so short that looking at each is the quickest.
fn before(rest: &[u8], wanted: u8) -> Option<usize> {
    rest.iter().position(|byte| *byte == wanted)
}

const fn is_address(var: Var) -> bool {
    matches!(
        var,
        Var::ClientIp | Var::FrontIp | Var::BackIp | Var::ServerIp | Var::SocketIp
    )
}

/// Takes a value in; `None`: it can't be one of that kind, so the line is of another format.
pub(super) fn set<'a>(entry: &mut Entry<'a>, var: Var, value: &'a [u8]) -> Option<()> {
    let none = matches!(value, b"-" | b"");
    let port = || number(value).and_then(|number| u16::try_from(number).ok());
    match var {
        Var::ClientIp => entry.client = ip(value),
        Var::FrontIp => entry.front = ip(value),
        Var::BackIp => entry.back = ip(value),
        Var::ServerIp => entry.server_ip = ip(value),
        Var::SocketIp => entry.socket = ip(value),
        Var::ClientPort => entry.client_port = port(),
        Var::FrontPort => entry.front_port = port(),
        Var::BackPort => entry.back_port = port(),
        Var::ServerPort => entry.server_port = port(),
        Var::SocketPort => entry.socket_port = port(),
        Var::Accepted if none => {}
        Var::Accepted => entry.accepted = Some(date(value)?),
        Var::Frontend => {
            let plain = value.strip_suffix(b"~");
            (entry.tls, entry.frontend) = (plain.is_some(), plain.unwrap_or(value));
        }
        Var::Backend => entry.backend = value,
        Var::Server => entry.server = value,
        Var::Request => entry.uri = value,
        Var::TermEvents => entry.term_events = value,
        Var::Code => entry.code = Some(Code::parse(value)?),
        Var::Pid => entry.pid = number(value).and_then(|number| u32::try_from(number).ok()),
        Var::Status if none => {}
        // -1: none was sent.
        Var::Status => entry.status = u16::try_from(timer(value)?.0).ok(),
        Var::Retries => {
            let (retries, _) = if none { (0, false) } else { timer(value)? };
            entry.retries = u32::try_from(retries).ok();
        }
        Var::Bytes if none => {}
        Var::Bytes => {
            let (bytes, early) = timer(value)?;
            entry.bytes = u64::try_from(bytes).ok();
            entry.early |= early;
        }
        Var::TimeRequest | Var::TimeQueue | Var::TimeConnect | Var::TimeResponse | Var::TimeTotal if none => {
        }
        Var::TimeRequest => entry.request = Some(timer(value)?.0),
        Var::TimeQueue => entry.queue = Some(timer(value)?.0),
        Var::TimeConnect => entry.connect = Some(timer(value)?.0),
        Var::TimeResponse => entry.response = Some(timer(value)?.0),
        Var::TimeTotal => {
            let (total, early) = timer(value)?;
            entry.total = Some(total);
            entry.early |= early;
        }
        Var::Captures | Var::Other => {}
    }
    Some(())
}
