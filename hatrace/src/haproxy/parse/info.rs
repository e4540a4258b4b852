//! `show info` and `show version`.

use std::time::Duration;

/// What `show info` says, as far as it is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// `Version`.
    pub version: Option<String>,
    /// `Pid`: in HAProxy's own pid namespace.
    pub pid: Option<u32>,
    /// `Uptime_sec`.
    pub uptime: Option<Duration>,
    /// `CurrConns`: clients' connections.
    pub connections: Option<u64>,
    /// `Maxconn`: the process's limit of them.
    pub maxconn: Option<u64>,
    /// `Stopping`: an old worker that serves what it has and accepts nothing new.
    pub stopping: bool,
}

/// The version in an answer to `show version` (from 2.4.9 on): a line of its own that begins with a number.
#[must_use]
pub fn version(text: &str) -> Option<&str> {
    text.lines().map(str::trim).find(|line| {
        let number = line.split(['.', '-']).next().unwrap_or_default();
        line.contains('.') && !line.contains(char::is_whitespace) && number.parse::<u32>().is_ok()
    })
}

/// Reads `Key: value` lines; `None` where there is neither a pid nor a version: it isn't HAProxy that spoke.
#[must_use]
pub fn info(text: &str) -> Option<Info> {
    let mut info = Info::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match key.trim() {
            "Version" => info.version = Some(value.to_owned()),
            "Pid" => info.pid = value.parse().ok(),
            "Uptime_sec" => info.uptime = value.parse().ok().map(Duration::from_secs),
            "CurrConns" => info.connections = value.parse().ok(),
            "Maxconn" => info.maxconn = value.parse().ok(),
            "Stopping" => info.stopping = value != "0",
            _ => {}
        }
    }
    (info.version.is_some() || info.pid.is_some()).then_some(info)
}
