//! One line of `show fd`: what a descriptor is for, above all one that no stream holds.

use hatrace_core::stream::{Expiry, FdLine, FdUse, Streamless};

use super::words::{Names, expiry, fd, flags, pointer, value};

/// Flags of a connection (`include/haproxy/connection-t.h`), the same from 2.4 to 3.5.
const IN_POOL: u64 = 0x3;
const AWAITS_PROXY_HEADER: u64 = 0x0200_0000;
const TLS_HANDSHAKE: u64 = 0x0800_0000;
const PRIVATE: u64 = 0x1000_0000;
/// `H1C_F_WAIT_NEXT_REQ` (`include/haproxy/mux_h1-t.h`): as 2.6 has it, and as 3.0 and later do.
const NEXT_REQUEST: [u64; 2] = [0x4_0000, 0x8000];

/// The descriptor of a line; `None` for a line that is of none.
#[must_use]
pub fn fd_line(line: &str, names: &mut Names) -> Option<FdLine> {
    let (number, rest) = line.trim_start().split_once(" : ")?;
    let fd = fd(number.trim())?;
    if !rest.starts_with("st=") {
        return None;
    }
    let port = |key| value(rest, key).and_then(|text| text.parse().ok());
    let (mut proxy, mut server) = (None, None);
    if let Some(both) = value(rest, "sv") {
        if let Some((backend, name)) = both.split_once('/') {
            (proxy, server) = (names.name(backend), names.name(name));
        }
    } else if let Some(of) = value(rest, "fe").or_else(|| value(rest, "px")) {
        proxy = names.name(of);
    }
    let stream = value(rest, ".sc.app").and_then(pointer);
    let check = rest.contains("srv_chk_io_cb");
    Some(FdLine {
        fd,
        what: what(rest, stream.is_some(), check),
        local_port: port("lport"),
        peer_port: port("rport"),
        proxy,
        server,
        stream: stream.filter(|_| !check),
        expires: value(rest, ".exp").map_or(Expiry::Unknown, |text| expiry(Some(text))),
    })
}

fn what(line: &str, names_stream: bool, check: bool) -> FdUse {
    if value(line, "l.st").is_some() {
        return FdUse::Listener;
    }
    let Some(back) = value(line, "back") else {
        return FdUse::Other;
    };
    let connection = value(line, "cflg").and_then(flags).unwrap_or(0);
    if value(line, "fe") == Some("GLOBAL") {
        return FdUse::Idle(Streamless::Cli);
    }
    if connection & AWAITS_PROXY_HEADER != 0 && back == "0" {
        return FdUse::Idle(Streamless::ProxyHeader);
    }
    if connection & TLS_HANDSHAKE != 0 && back == "0" {
        return FdUse::Idle(Streamless::Handshake);
    }
    match (back, value(line, "mux")) {
        // No multiplexer, no handshake: it is connecting, for a stream or a check.
        (_, None) => FdUse::Stream,
        ("1", Some(mux)) => server_side(line, mux, connection, names_stream, check),
        (_, Some("H1")) => client_h1(line, names_stream),
        (_, Some("H2" | "FCGI" | "SPOP")) => multiplexed(line, Streamless::KeepAlive),
        // PASS: a stream of its own from the first byte on.
        (_, Some(_)) => FdUse::Stream,
    }
}

fn server_side(line: &str, mux: &str, connection: u64, names_stream: bool, check: bool) -> FdUse {
    if connection & IN_POOL != 0 {
        return FdUse::Idle(Streamless::Pool);
    }
    if check {
        return FdUse::Idle(Streamless::Check);
    }
    match mux {
        "H1" if names_stream => FdUse::Stream,
        "H1" => FdUse::Idle(Streamless::Pool),
        "PASS" if connection & PRIVATE != 0 && value(line, "sv").is_some() => FdUse::StreamOrCheck,
        "H2" | "FCGI" | "SPOP" => multiplexed(line, Streamless::Pool),
        _ => FdUse::Stream,
    }
}

/// An HTTP/1 client: it has no stream before the headers are complete, none between two requests, and none once the answer has been
/// sent, even where the rest of the request still comes.
fn client_h1(line: &str, names_stream: bool) -> FdUse {
    if names_stream {
        return FdUse::Stream;
    }
    if value(line, "h1s").is_none() {
        let told = value(line, "h1c.flg").and_then(flags).unwrap_or(0);
        let between = NEXT_REQUEST.iter().any(|flag| told & flag != 0);
        return FdUse::Idle(if between {
            Streamless::KeepAlive
        } else {
            Streamless::NoRequest
        });
    }
    let incomplete = value(line, ".req.state").is_some_and(|state| {
        state.starts_with("MSG_RQ") || state.starts_with("MSG_HDR") || state == "MSG_LAST_LF"
    });
    // 2.4 and 2.5 name the connection's owner otherwise, and not whether that is a stream.
    if value(line, ".cs.data").is_some() {
        return FdUse::Stream;
    }
    FdUse::Idle(if incomplete {
        Streamless::NoRequest
    } else {
        Streamless::Draining
    })
}

fn multiplexed(line: &str, idle: Streamless) -> FdUse {
    let count = |key| value(line, key).and_then(|text| text.parse::<u64>().ok());
    let attached = count(".nbcs").or_else(|| count(".nbsc"));
    match (count(".nbst"), attached) {
        (Some(0), _) => FdUse::Idle(idle),
        (Some(_), Some(0)) => FdUse::Idle(Streamless::Unspecified),
        (Some(_), _) => FdUse::Stream,
        (None, _) => FdUse::Idle(Streamless::Unspecified),
    }
}
