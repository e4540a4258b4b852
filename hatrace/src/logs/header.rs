//! What stands before a line's body: whatever wrote it there, HAProxy itself, a syslog daemon or journald.

use super::values::number;

/// A line without its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split<'a> {
    /// The process, where the header names it.
    pub pid: Option<u32>,
    /// The rest.
    pub body: &'a [u8],
}

/// Takes the header off: `<134>`, RFC 5424, RFC 3164 with and without a host, an ISO date, or none.
#[must_use]
pub fn split(line: &[u8]) -> Split<'_> {
    let line = priority(line);
    if let Some(split) = line.strip_prefix(b"1 ").and_then(rfc5424) {
        return split;
    }
    let dated = rfc3164(line).or_else(|| iso(line));
    match dated {
        Some(rest) => tag(rest).unwrap_or(Split {
            pid: None,
            body: rest,
        }),
        None => tag(line).unwrap_or(Split {
            pid: None,
            body: line,
        }),
    }
}

/// Without `<134>`.
fn priority(line: &[u8]) -> &[u8] {
    let inner = line.strip_prefix(b"<").unwrap_or_default();
    let end = inner.iter().take(4).position(|byte| *byte == b'>');
    match end.and_then(|end| Some((number(inner.get(..end)?)?, inner.get(end + 1..)?))) {
        Some((_, rest)) => rest,
        None => line,
    }
}

/// `2026-11-20T09:49:15.083817+00:00 host haproxy 7459 - - body`.
fn rfc5424(rest: &[u8]) -> Option<Split<'_>> {
    let mut rest = iso(rest)?;
    let mut pid = None;
    for field in 0..4 {
        let (word, after) = word(rest)?;
        if field == 2 {
            pid = number(word).and_then(|number| u32::try_from(number).ok());
        }
        rest = after;
    }
    let body = match rest.first()? {
        b'-' => rest.get(1..)?,
        b'[' => structured(rest)?,
        _ => return None,
    };
    Some(Split {
        pid,
        body: body.strip_prefix(b" ").unwrap_or(body),
    })
}

/// Behind `[id name="va\]lue"][...]`.
fn structured(rest: &[u8]) -> Option<&[u8]> {
    let (mut skip, mut depth) = (false, 0);
    for (index, byte) in rest.iter().enumerate() {
        match byte {
            _ if skip => skip = false,
            b'\\' => skip = true,
            b'[' if depth == 0 => depth = 1,
            b']' if depth == 1 => depth = 0,
            b' ' if depth == 0 => return rest.get(index..),
            _ => {}
        }
    }
    Some(&[])
}

/// `Nov 20 09:49:15 `.
fn rfc3164(line: &[u8]) -> Option<&[u8]> {
    let shape = line.get(3) == Some(&b' ')
        && line.get(6) == Some(&b' ')
        && line.get(9) == Some(&b':')
        && line.get(12) == Some(&b':');
    let month = line
        .get(..3)
        .is_some_and(|month| month.iter().all(u8::is_ascii_alphabetic));
    if !(shape && month) {
        return None;
    }
    // Some add a fraction.
    let (_, rest) = word(line.get(7..)?)?;
    Some(rest)
}

/// `2026-11-20T09:49:15.083817+00:00 `.
fn iso(line: &[u8]) -> Option<&[u8]> {
    let shape = line.get(4) == Some(&b'-') && line.get(7) == Some(&b'-') && line.get(13) == Some(&b':');
    let year = line.get(..4).is_some_and(|year| number(year).is_some());
    let (stamp, rest) = (shape && year).then(|| word(line)).flatten()?;
    // Written with a blank in place of the T, the time is a word of its own.
    if stamp.len() == 10 {
        return Some(word(rest)?.1);
    }
    Some(rest)
}

/// `[host] tag[pid]: body`, `[host] tag: body`.
fn tag(rest: &[u8]) -> Option<Split<'_>> {
    let mut at = rest;
    for _ in 0..2 {
        let (word, after) = word(at)?;
        if let Some(name) = word.strip_suffix(b":") {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./[]@".contains(byte);
            if !name.is_empty() && name.iter().all(plain) {
                let pid = name
                    .iter()
                    .position(|byte| *byte == b'[')
                    .and_then(|open| number(name.get(open + 1..name.len().checked_sub(1)?)?))
                    .and_then(|number| u32::try_from(number).ok());
                return Some(Split { pid, body: after });
            }
        }
        at = after;
    }
    None
}

/// The first word, and what is behind the blanks after it.
fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', line)?;
    let rest = line.get(end..)?;
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    Some((line.get(..end)?, rest.get(blanks..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_is_taken_off() {
        const BODY: &str = "127.0.0.1:41142 [20/Nov/2026:09:49:15.083] f_http b/s1 0/0/0/0/0 200";
        for (header, pid) in [
            ("", None),
            ("<6>", None),
            ("<134>Nov 20 09:49:15 localhost hatr[7459]: ", Some(7459)),
            ("<134>Nov 20 09:49:15 hatr[7459]: ", Some(7459)),
            ("Nov  2 09:49:15 lb1 haproxy[1]: ", Some(1)),
            ("Nov  2 09:49:15 lb1 haproxy: ", None),
            (
                "<142>1 2026-11-20T09:49:15.083817+00:00 - hatr 7459 - - ",
                Some(7459),
            ),
            (
                "<142>1 2026-11-20T09:49:15Z lb1 hatr 7459 - [x@1 a=\"b\\] c\"][y] ",
                Some(7459),
            ),
            ("<6>2026-11-20T09:49:15.083829+00:00 ", None),
            ("2026-11-20T09:49:15.083829+00:00 lb1 haproxy[12]: ", Some(12)),
            ("2026-11-20 09:49:15 lb1 haproxy[12]: ", Some(12)),
        ] {
            let line = format!("{header}{BODY}");
            let split = split(line.as_bytes());
            assert_eq!(std::str::from_utf8(split.body).unwrap(), BODY, "{header}");
            assert_eq!(split.pid, pid, "{header}");
        }
        for odd in ["", " ", "<", "<134>", "1 ", "Nov 20", "x: y", "<99999>x"] {
            let _ = split(odd.as_bytes());
        }
    }
}
