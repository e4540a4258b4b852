//! Everything HAProxy has open beside what the kernel keeps around it: for what is wrong without closing.

use std::collections::{BTreeSet, HashMap};

use hatrace_core::ids::{Cookie, Netns};
use hatrace_core::sock::{Endpoints, HeldSock, Timer};
use hatrace_core::survey::{Listener, Space, Standing, Survey, Waiting};
use hatrace_core::tcp::TcpState;

use super::Namespaces;
use super::message::DiagRow;

/// TIME_WAITs between two addresses are told from so many on: fewer are no trouble, and there may be many such pairs.
const CROWD: u64 = 10;

/// A socket of HAProxy's whose other end is on this host too, and nobody of HAProxy's has it: the inode of that end.
pub type Opposite = (Cookie, u64);

impl Namespaces {
    /// What HAProxy holds beside what the kernel lists. The second part is for who wants to know whose the other ends are.
    ///
    /// # Errors
    /// A namespace that couldn't be listed.
    pub fn survey(&mut self, held: &[HeldSock]) -> Result<(Survey, Vec<Opposite>), String> {
        let failed = |error: std::io::Error| format!("sock_diag: {error}");
        let rows = self.every_state().map_err(failed)?;
        let timewaits = self.timewaits().map_err(failed)?;
        Ok(put_together(held, &rows, timewaits, self.spaces()))
    }
}

fn put_together(
    held: &[HeldSock],
    rows: &[(Netns, DiagRow)],
    timewaits: Vec<Waiting>,
    spaces: Vec<(Netns, Space)>,
) -> (Survey, Vec<Opposite>) {
    let by_cookie: HashMap<Cookie, &DiagRow> = rows.iter().map(|(_, row)| (row.cookie, row)).collect();
    let mut found = Survey {
        spaces,
        ..Survey::default()
    };
    let mut seen = BTreeSet::new();
    for held in held {
        // A worker inherits its listeners from its master: one socket, several descriptors.
        if !seen.insert(held.cookie) {
            continue;
        }
        let row = by_cookie.get(&held.cookie);
        if held.state == TcpState::Listen {
            found.listeners.extend(row.map(|row| Listener {
                netns: held.netns,
                local: held.endpoints.local,
                waiting: row.unread,
                backlog: row.unacked,
            }));
        } else {
            found.sockets.push(Standing {
                held: *held,
                unread: row.map_or(0, |row| row.unread),
                unacked: row.map_or(0, |row| row.unacked),
                timer: row.map_or(Timer::None, |row| row.timer),
                quiet: row.and_then(|row| row.quiet),
                received: row.and_then(|row| row.received),
            });
        }
    }
    found.timewaits = to_servers(timewaits);
    let opposite = opposites(&found.sockets, rows);
    (found, opposite)
}

/// Those with a crowd. Where HAProxy accepted, the other one's port is a client's, another one each time.
fn to_servers(mut timewaits: Vec<Waiting>) -> Vec<Waiting> {
    timewaits.retain(|waiting| waiting.count >= CROWD);
    timewaits
}

/// Closing sockets whose other end is in the same namespace, held by somebody else.
fn opposites(sockets: &[Standing], rows: &[(Netns, DiagRow)]) -> Vec<Opposite> {
    let closing: HashMap<(Netns, Endpoints), Cookie> = sockets
        .iter()
        .filter(|standing| standing.held.state.closing())
        .map(|standing| {
            let ends = standing.held.endpoints;
            let mirrored = Endpoints {
                local: ends.peer,
                peer: ends.local,
            };
            ((standing.held.netns, mirrored), standing.held.cookie)
        })
        .collect();
    if closing.is_empty() {
        return Vec::new();
    }
    let own: BTreeSet<Cookie> = sockets.iter().map(|standing| standing.held.cookie).collect();
    rows.iter()
        .filter(|(_, row)| !own.contains(&row.cookie))
        .filter_map(|(netns, row)| Some((*closing.get(&(*netns, row.endpoints))?, row.inode?)))
        .collect()
}
