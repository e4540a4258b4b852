//! One line of `show sess` in its short form, from 2.4 to 3.5.

use hatrace_core::stream::{EndState, Expiry, Stream, StreamEnd};

use super::words::{Names, address, block, duration, expiry, fd, flags, pointer, value};

/// `CF_SHUTR` and `CF_SHUTW` of a channel, up to 2.7 (`include/haproxy/channel-t.h`).
const CHANNEL_EOF_READ: u64 = 0x20;
const CHANNEL_SHUT_DONE: u64 = 0x2000;
/// `SC_FL_EOS` and `SC_FL_SHUT_DONE` of a stream connector, from 2.8 on (`include/haproxy/stconn-t.h`).
const END_EOF_READ: u64 = 0x4_0000;
const END_SHUT_DONE: u64 = 0x2_0000;

/// The stream of a line; `None` for a line that is of none.
#[must_use]
pub fn stream(line: &str, names: &mut Names) -> Option<Stream> {
    let (ptr, rest) = line.trim_end().split_once(": ")?;
    let ptr = pointer(ptr.trim_start())?;
    if !rest.starts_with("proto=") {
        return None;
    }
    // What the client sent can hold anything: it comes last, and is not looked at.
    let rest = rest.split_once(" uri=\"").map_or(rest, |(before, _)| before);
    let mut name = |key| value(rest, key).and_then(|text| names.name(text));
    let (frontend, backend, server) = (name("fe"), name("be"), name("srv"));
    let (front, back) = ends(rest)?;
    Some(Stream {
        ptr,
        source: value(rest, "src").and_then(address),
        frontend,
        backend,
        server,
        age: value(rest, "age").and_then(duration),
        front,
        back,
        connect_expires: value(rest, "c_exp").map_or(Expiry::Unknown, |text| expiry(Some(text))),
    })
}

/// Both sides. Up to 2.7 timers and half-closes are told by the channels: what comes from the client is the request's reading side.
fn ends(line: &str) -> Option<(StreamEnd, StreamEnd)> {
    let either =
        |new: &str, old: &str| block(line, &format!("{new}=")).or_else(|| block(line, &format!("{old}=")));
    let (front_text, back_text) = (either("scf", "s0")?, either("scb", "s1")?);
    let (mut front, mut back) = (end(front_text), end(back_text));
    if value(front_text, "rex").is_some() {
        return Some((front, back));
    }
    let (request, response) = (block(line, "rq"), block(line, "rp"));
    let has = |channel: Option<&str>, flag: u64| {
        let told = channel.and_then(|channel| value(channel, "f")).and_then(flags);
        told.map(|told| told & flag != 0)
    };
    let timer = |channel: Option<&str>, key: &str| {
        channel.map_or(Expiry::Unknown, |channel| expiry(value(channel, key)))
    };
    front.eof_read = has(request, CHANNEL_EOF_READ);
    back.shut_done = has(request, CHANNEL_SHUT_DONE);
    back.eof_read = has(response, CHANNEL_EOF_READ);
    front.shut_done = has(response, CHANNEL_SHUT_DONE);
    (front.read_expires, back.write_expires) = (timer(request, "rx"), timer(request, "wx"));
    (back.read_expires, front.write_expires) = (timer(response, "rx"), timer(response, "wx"));
    Some((front, back))
}

/// `8,20000h,fd=14,rex=2s,wex=`: from 2.8 on it says everything itself.
fn end(text: &str) -> StreamEnd {
    let mut words = text.split(',');
    let state = words
        .next()
        .and_then(|word| word.parse().ok())
        .map_or(EndState::Initial, EndState::from_number);
    let told = words.next().and_then(flags);
    let has = |flag: u64| told.map(|told| told & flag != 0);
    let mut end = StreamEnd {
        fd: value(text, "fd").and_then(fd),
        state,
        ..StreamEnd::default()
    };
    if value(text, "rex").is_some() {
        end.read_expires = expiry(value(text, "rex"));
        end.write_expires = expiry(value(text, "wex"));
        end.eof_read = has(END_EOF_READ);
        end.shut_done = has(END_SHUT_DONE);
    }
    end
}
