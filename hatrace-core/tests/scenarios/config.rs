//! The configuration of a story.

use std::sync::Arc;
use std::time::Duration;

use hatrace_core::config::{Doubt, Limit, Place, Proxy, ProxyKind, ProxyMode, Set, TimeoutKind};

use crate::line::{Line, span};

/// `proxy listen fe tcp line=10 client-fin=30 client=60@3`: the header's line, and each timeout's, the next ones if it doesn't say.
pub fn proxy(line: &Line) -> Result<Proxy, String> {
    let [kind, name, mode, ..] = line.words.as_slice() else {
        return Err("a proxy is KIND NAME MODE".to_owned());
    };
    let kind = [ProxyKind::Frontend, ProxyKind::Backend, ProxyKind::Listen]
        .into_iter()
        .find(|known| known.keyword() == kind)
        .ok_or("a proxy is a frontend, a backend or a listen")?;
    let header = line.number("line", 1)?;
    let set_at = |number: u32| Place {
        file: Arc::from("haproxy.cfg"),
        line: number,
    };
    let mut next = header;
    let mut proxy = Proxy {
        name: Arc::from(name.as_str()),
        kind,
        place: set_at(header),
        defaults: None,
        mode: set(
            if mode == "http" {
                ProxyMode::Http
            } else {
                ProxyMode::Tcp
            },
            set_at(header),
        ),
        timeouts: std::collections::BTreeMap::new(),
        options: std::collections::BTreeMap::new(),
        maxconn: None,
        binds: Vec::new(),
        servers: Vec::new(),
        set_timeouts: Vec::new(),
        source: None,
        client_address: hatrace_core::config::ClientAddress::Socket,
    };
    for (key, value) in &line.keys {
        next += 1;
        let (value, at) = match value.split_once('@') {
            Some((value, at)) => (value, at.parse().map_err(|_| "a line is a number")?),
            None => (value.as_str(), next),
        };
        if let Some(kind) = TimeoutKind::parse(key) {
            let length = span(value)?;
            let limit = if length == Duration::ZERO {
                Limit::Never
            } else {
                Limit::After(length)
            };
            proxy.timeouts.insert(kind, set(limit, set_at(at)));
        } else if key == "maxconn" {
            let number = value.parse().map_err(|_| "maxconn wants a number")?;
            proxy.maxconn = Some(set(number, set_at(at)));
        } else if key != "line" {
            return Err(format!("no such setting: {key}"));
        }
    }
    Ok(proxy)
}

fn set<T>(value: T, place: Place) -> Set<T> {
    Set {
        value,
        place,
        inherited: false,
        certain: true,
    }
}

/// The file is not the one that the process was started with.
pub fn newer() -> Doubt {
    Doubt::Newer {
        file: "haproxy.cfg".to_owned(),
        by: Duration::from_secs(60),
    }
}
