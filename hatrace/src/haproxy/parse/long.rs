//! One stream in the long form: `show sess PTR`.

use hatrace_core::stream::Detail;

use super::words::{Names, address, fd, pointer, value};

/// Reads one record; `None` where the session wasn't found.
#[must_use]
pub fn long_session(text: &str, names: &mut Names) -> Option<Detail> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("0x"));
    let first = lines.next()?;
    let (ptr, rest) = first.split_once(": ")?;
    let mut session = Detail {
        ptr: pointer(ptr)?,
        id: value(rest, "id").and_then(|id| id.parse().ok()),
        accepted: rest
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map(|(date, _)| date.to_owned()),
        source: value(rest, "source").and_then(address),
        frontend: None,
        backend: None,
        server: None,
        back_local: None,
        back_peer: None,
        front_fd: None,
        back_fd: None,
    };
    let mut back = false;
    for line in lines.take_while(|line| !line.starts_with("0x")) {
        let text = line.trim_start();
        let mut name = |key| value(text, key).and_then(|name| names.name(name));
        if text.starts_with("frontend=") {
            session.frontend = name("frontend");
        } else if text.starts_with("backend=") {
            session.backend = name("backend");
            session.back_local = value(text, "addr").and_then(address);
        } else if text.starts_with("server=") {
            session.server = name("server");
            session.back_peer = value(text, "addr").and_then(address);
        } else if text.starts_with("co0=") || text.starts_with("scf=") {
            back = false;
        } else if text.starts_with("co1=") || text.starts_with("scb=") || text.starts_with("app1=") {
            back = true;
        } else if text.starts_with("flags=0x") && value(text, "fd.state").is_some() {
            let descriptor = value(text, "fd").and_then(fd);
            if back {
                session.back_fd = descriptor;
            } else {
                session.front_fd = descriptor;
            }
        }
    }
    Some(session)
}
