//! `show servers conn` and `show servers state`: where servers listen.

use std::net::{IpAddr, SocketAddr};

use hatrace_core::stream::ServerAddress;

use super::words::Names;

/// `bkname/svname bkid/svid addr port ...`: columns by place, they are named in the heading alike from 2.4 to 3.5.
#[must_use]
pub fn servers_conn(text: &str, names: &mut Names) -> Vec<ServerAddress> {
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (backend, server) = words.first()?.split_once('/')?;
        address(backend, server, words.get(2)?, words.get(3)?, names)
    })
    .collect()
}

/// The same from `show servers state`, by the names of its heading.
#[must_use]
pub fn servers_state(text: &str, names: &mut Names) -> Vec<ServerAddress> {
    let mut columns: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            columns = heading.split_whitespace().collect();
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let cell = |name: &str| {
            let at = columns.iter().position(|column| *column == name)?;
            words.get(at).copied()
        };
        let (Some(backend), Some(server), Some(ip), Some(port)) = (
            cell("be_name"),
            cell("srv_name"),
            cell("srv_addr"),
            cell("srv_port"),
        ) else {
            continue;
        };
        found.extend(address(backend, server, ip, port, names));
    }
    found
}

fn address(backend: &str, server: &str, ip: &str, port: &str, names: &mut Names) -> Option<ServerAddress> {
    let ip: IpAddr = ip.parse().ok()?;
    let port: u16 = port.parse().ok().filter(|&port| port != 0)?;
    Some(ServerAddress::new(
        names.name(backend)?,
        names.name(server)?,
        SocketAddr::new(ip, port),
    ))
}
