//! What HAProxy says in a story, and what the kernel says just before and just after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hatrace_core::ids::{Fd, FdTable, Netns, Pid, SessionPtr};
use hatrace_core::input::Input;
use hatrace_core::naming::Asking;
use hatrace_core::sock::{Endpoints, HeldSock, Side};
use hatrace_core::stream::{
    Access, EndState, Expiry, FdLine, FdUse, Stream, StreamEnd, StreamFd, Streamless, Told, Unreachable,
};
use hatrace_core::tcp::TcpState;

use crate::line::Line;

/// The answers that are being put together.
#[derive(Default)]
pub struct Talk {
    before: Vec<HeldSock>,
    after: Vec<HeldSock>,
    streams: Vec<Stream>,
    fds: Vec<FdLine>,
}

/// What a descriptor of a story stands for.
pub struct Open {
    pub cookie: hatrace_core::ids::Cookie,
    pub endpoints: Endpoints,
    pub state: TcpState,
    pub side: Side,
}

const REASONS: [Streamless; 9] = [
    Streamless::KeepAlive,
    Streamless::NoRequest,
    Streamless::ProxyHeader,
    Streamless::Handshake,
    Streamless::Draining,
    Streamless::Pool,
    Streamless::Check,
    Streamless::Cli,
    Streamless::Unspecified,
];

fn fd(text: &str) -> Result<StreamFd, String> {
    let (group, number) = match text.split_once('/') {
        Some((group, number)) => (
            Some(FdTable(group.parse().map_err(|_| "a group is a number")?)),
            number,
        ),
        None => (None, text),
    };
    Ok(StreamFd {
        group,
        fd: Fd(number.parse().map_err(|_| format!("no descriptor: {number}"))?),
    })
}

/// `never`, or what is left in seconds.
fn expiry(text: &str) -> Expiry {
    text.parse()
        .map_or(Expiry::Never, |seconds| Expiry::In(Duration::from_secs(seconds)))
}

impl Talk {
    /// `before 11=Front 2/12=Back`, `after ...`: what the kernel says of the descriptors.
    pub fn look(&mut self, line: &Line, mut open: impl FnMut(&str) -> Open) -> Result<(), String> {
        let pid = Pid(7);
        let mut held = Vec::new();
        for (place, name) in &line.keys {
            let place = fd(place)?;
            let open = open(name);
            held.push(HeldSock {
                pid,
                table: place.group.unwrap_or(FdTable::FIRST),
                fd: place.fd,
                cookie: open.cookie,
                state: open.state,
                side: open.side,
                endpoints: open.endpoints,
                netns: Netns(1),
            });
        }
        match line.verb.as_str() {
            "before" => self.before = held,
            _ => self.after = held,
        }
        Ok(())
    }

    /// `stream 0xa fe be s1 front=11 back=12 age=3`.
    pub fn stream(&mut self, line: &Line) -> Result<(), String> {
        let [ptr, frontend, backend, server, ..] = line.words.as_slice() else {
            return Err("a stream is POINTER FRONTEND BACKEND SERVER".to_owned());
        };
        let digits = ptr.trim_start_matches("0x");
        let name = |text: &str| (text != "-").then(|| Arc::from(text));
        let end = |key: &str| -> Result<StreamEnd, String> {
            let timer = |name: &str| {
                line.keys
                    .get(&format!("{key}-{name}"))
                    .map_or(Expiry::Unknown, |text| expiry(text))
            };
            Ok(StreamEnd {
                fd: line.keys.get(key).map(|text| fd(text)).transpose()?,
                state: match line.keys.get(&format!("{key}-state")) {
                    Some(number) => EndState::from_number(number.parse().map_err(|_| "a state is a number")?),
                    None => EndState::Established,
                },
                eof_read: Some(line.has(&format!("{key}-eof"))),
                shut_done: Some(line.has(&format!("{key}-shut"))),
                read_expires: timer("rex"),
                write_expires: timer("wex"),
            })
        };
        self.streams.push(Stream {
            ptr: SessionPtr(u64::from_str_radix(digits, 16).map_err(|_| "a pointer is 0xa")?),
            source: line.keys.get("source").and_then(|text| text.parse().ok()),
            frontend: name(frontend),
            backend: name(backend),
            server: name(server),
            age: line.span("age")?,
            front: end("front")?,
            back: end("back")?,
            connect_expires: line
                .keys
                .get("c_exp")
                .map_or(Expiry::Unknown, |text| expiry(text)),
        });
        Ok(())
    }

    /// `fd 11 idle-keep-alive proxy=fe`: a line of `show fd`; `stream`, `check?`, or why it has none.
    pub fn line(&mut self, line: &Line) -> Result<(), String> {
        let [number, what, ..] = line.words.as_slice() else {
            return Err("a descriptor is FD WHAT".to_owned());
        };
        let what = match what.as_str() {
            "stream" => FdUse::Stream,
            "check?" => FdUse::StreamOrCheck,
            other => FdUse::Idle(
                *REASONS
                    .iter()
                    .find(|reason| reason.code() == other)
                    .ok_or_else(|| format!("no such use: {other}"))?,
            ),
        };
        let port = |key: &str| line.keys.get(key).and_then(|text| text.parse().ok());
        self.fds.push(FdLine {
            fd: fd(number)?,
            what,
            local_port: port("lport"),
            peer_port: port("rport"),
            proxy: line.keys.get("proxy").map(|name| Arc::from(name.as_str())),
            server: line.keys.get("server").map(|name| Arc::from(name.as_str())),
            stream: None,
            expires: line.keys.get("exp").map_or(Expiry::Unknown, |text| expiry(text)),
        });
        Ok(())
    }

    /// `told`: everything since the last, in one.
    pub fn told(&mut self) -> Input {
        let talk = std::mem::take(self);
        Input::Told(Box::new(Told {
            pid: Pid(7),
            before: talk.before,
            after: talk.after,
            streams: Some(talk.streams),
            details: Vec::new(),
            asked: talk.fds.iter().map(|line| line.fd.fd).collect(),
            fds: talk.fds,
            servers: None,
            figures: None,
        }))
    }
}

/// `asking ready`, `asking off`, `asking old-worker`: whether HAProxy can be asked.
pub fn asking(line: &Line) -> Result<Input, String> {
    let reasons = [
        Unreachable::NoSocket,
        Unreachable::LevelUser,
        Unreachable::SlotsTaken,
        Unreachable::NoAnswer,
        Unreachable::Garbage,
        Unreachable::OldWorker,
        Unreachable::OtherProcess,
        Unreachable::Denied,
    ];
    let access = match line.words.first().map(String::as_str) {
        Some("ready") => Access::Ready {
            through: "/run/stats.sock".to_owned(),
        },
        Some("off") => Access::Off,
        Some(word) => Access::Refused {
            code: *reasons
                .iter()
                .find(|reason| reason.code() == word)
                .ok_or_else(|| format!("no such reason: {word}"))?,
            why: "because".to_owned(),
            remedy: None,
        },
        None => return Err("how?".to_owned()),
    };
    Ok(Input::Asking(Asking {
        pid: Pid(7),
        access: Some(access),
        questions: 1,
        took: Duration::from_millis(1),
        longest: Duration::from_millis(1),
    }))
}

/// What the engine would ask next, as lines.
pub fn wants(names: &[String], wants: &BTreeMap<Pid, hatrace_core::naming::Wants>) -> Vec<String> {
    wants
        .values()
        .map(|wants| {
            let sockets: Vec<String> = wants
                .sockets
                .iter()
                .map(|(fd, cookie)| {
                    let name = usize::try_from(cookie.0 - 1)
                        .ok()
                        .and_then(|index| names.get(index));
                    format!("fd {} ({})", fd.0, name.map_or("?", String::as_str))
                })
                .collect();
            let mut line = format!("wants {}", sockets.join(", "));
            for (what, wanted) in [("listeners", wants.listeners), ("servers", wants.servers)] {
                if wanted {
                    line.push_str(&format!(" {what}"));
                }
            }
            line
        })
        .collect()
}
