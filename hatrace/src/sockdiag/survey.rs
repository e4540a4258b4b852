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
        let mut table = Table::of(held);
        self.every_state(|netns, row| table.take(netns, &row))
            .map_err(failed)?;
        let timewaits = self.timewaits().map_err(failed)?;
        Ok(table.complete(timewaits, self.spaces()))
    }
}

/// What HAProxy holds, to be filled in by what the kernel lists: rows are looked at one by one and not kept, there may be a million.
struct Table {
    sockets: HashMap<Cookie, Standing>,
    listeners: HashMap<Cookie, (HeldSock, Option<Listener>)>,
    /// Closing sockets by their ends as the other side's row would have them.
    closing: HashMap<(Netns, Endpoints), Cookie>,
    opposites: BTreeSet<Opposite>,
}

impl Table {
    /// A worker inherits its listeners from its master: one socket, several descriptors.
    fn of(held: &[HeldSock]) -> Self {
        let listens = |held: &&HeldSock| held.state == TcpState::Listen;
        let mut this = Self {
            sockets: HashMap::with_capacity(held.len()),
            listeners: held
                .iter()
                .filter(listens)
                .map(|held| (held.cookie, (*held, None)))
                .collect(),
            closing: HashMap::new(),
            opposites: BTreeSet::new(),
        };
        for held in held.iter().filter(|held| !listens(held)) {
            this.sockets.entry(held.cookie).or_insert(Standing {
                held: *held,
                unread: 0,
                unacked: 0,
                timer: Timer::None,
                idle: None,
                received: None,
            });
            if held.state.closing() {
                let mirrored = Endpoints {
                    local: held.endpoints.peer,
                    peer: held.endpoints.local,
                };
                this.closing.insert((held.netns, mirrored), held.cookie);
            }
        }
        this
    }

    fn take(&mut self, netns: Netns, row: &DiagRow) {
        if let Some(standing) = self.sockets.get_mut(&row.cookie) {
            standing.unread = row.unread;
            standing.unacked = row.unacked;
            standing.timer = row.timer;
            standing.idle = row.quiet.map(|quiet| quiet.data_received.min(quiet.data_sent));
            standing.received = row.received;
        } else if let Some((held, listener)) = self.listeners.get_mut(&row.cookie) {
            *listener = Some(Listener {
                netns: held.netns,
                local: held.endpoints.local,
                waiting: row.unread,
                backlog: row.unacked,
            });
        } else if !self.closing.is_empty()
            && let Some(inode) = row.inode
            && let Some(cookie) = self.closing.get(&(netns, row.endpoints))
        {
            self.opposites.insert((*cookie, inode));
        }
    }

    fn complete(self, timewaits: Vec<Waiting>, spaces: Vec<(Netns, Space)>) -> (Survey, Vec<Opposite>) {
        let mut listeners: Vec<Listener> = self
            .listeners
            .into_values()
            .filter_map(|(_, listener)| listener)
            .collect();
        listeners.sort_by_key(|listener| (listener.netns, listener.local));
        let survey = Survey {
            sockets: self.sockets.into_values().collect(),
            listeners,
            timewaits: to_servers(timewaits),
            spaces,
            ..Survey::default()
        };
        (survey, self.opposites.into_iter().collect())
    }
}

/// Those with a crowd. Where HAProxy accepted, the other one's port is a client's, another one each time.
fn to_servers(mut timewaits: Vec<Waiting>) -> Vec<Waiting> {
    timewaits.retain(|waiting| waiting.count >= CROWD);
    timewaits
}
