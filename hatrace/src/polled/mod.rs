//! The polled mode: sock_diag sweeps in place of the kernel half. Nothing is loaded; what begins and ends between two sweeps
//! is known no better than that.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use hatrace_core::ids::{Fd, FdTable, Netns, Pid};
use hatrace_core::input::{Counts, Input};
use hatrace_core::sock::{Claim, HeldSock, Side};
use hatrace_core::survey::Survey;
use hatrace_core::tcp::TcpState;
use hatrace_core::time::Mono;

use crate::ability::Ability;
use crate::clock;
use crate::error::Problem;
use crate::port::{Cost, Depth, Source, Stamped};
use crate::sockdiag::{DiagRow, Listeners, Namespaces, sock_row};
use crate::target::{Target, all_socket_inodes};

/// Sweeps at work.
pub struct Polled {
    target: Target,
    interval: Duration,
    namespaces: Namespaces,
    /// Who has an inode open, of HAProxy's processes.
    owners: HashMap<u64, (Pid, Fd)>,
    /// Inodes that nobody of HAProxy's had open when last looked.
    others: BTreeSet<u64>,
    /// Inodes of HAProxy's MPTCP sockets so far.
    mptcp: BTreeSet<u64>,
    last: Option<Mono>,
    cost: Cost,
}

impl Polled {
    /// Sweeps of the target's sockets, `interval` apart.
    #[must_use]
    pub fn new(target: Target, interval: Duration, without: &BTreeSet<Ability>) -> Self {
        Self {
            target,
            interval,
            namespaces: Namespaces::all_but(without),
            owners: HashMap::new(),
            others: BTreeSet::new(),
            mptcp: BTreeSet::new(),
            last: None,
            cost: Cost::default(),
        }
    }

    /// Reads the fds of HAProxy's processes again if there is an inode nobody was asked about yet.
    fn learn_owners(&mut self, present: &BTreeSet<u64>) {
        self.owners.retain(|inode, _| present.contains(inode));
        self.others.retain(|inode| present.contains(inode));
        let known = |inode: &u64| self.owners.contains_key(inode) || self.others.contains(inode);
        if present.iter().all(known) {
            return;
        }
        self.owners.clear();
        // Workers first: a listener that a master holds as well is a frontend's.
        for pid in self.target.pids() {
            for (inode, _, fd) in all_socket_inodes(pid) {
                if present.contains(&inode) {
                    self.owners.entry(inode).or_insert((pid, Fd(fd)));
                }
            }
        }
        self.others = present
            .iter()
            .filter(|inode| !self.owners.contains_key(inode))
            .copied()
            .collect();
    }

    fn listeners(&self, rows: &[(Netns, DiagRow)]) -> Listeners {
        let mut listeners = Listeners::default();
        for (netns, row) in rows.iter().filter(|(_, row)| row.state == TcpState::Listen) {
            if let Some((pid, _)) = row.inode.and_then(|inode| self.owners.get(&inode)) {
                let side = if self.target.is_master(*pid) {
                    Side::Control
                } else {
                    Side::Client
                };
                listeners.add(*netns, row.endpoints.local, side);
            }
        }
        listeners
    }

    fn sweep(&mut self, now: Mono, out: &mut Vec<Stamped>) -> Result<(), Problem> {
        let unreachable = self.namespaces.enter(self.target.namespaces());
        let looked = self.namespaces.look(now, true);
        if let (None, Some(error)) = (self.last, looked.failures.first()) {
            return Err(
                Problem::cannot(format!("sock_diag can't list the sockets of this host: {error}"))
                    .remedy("modprobe tcp_diag"),
            );
        }
        out.extend(
            unreachable
                .into_iter()
                .chain(looked.gaps())
                .map(|gap| (now, Input::Gap(gap))),
        );
        let (mut sweep, found) = (looked.sweep, looked.rows);
        let inodes = found.iter().filter_map(|(_, row)| row.inode);
        self.learn_owners(&inodes.chain(looked.layered.iter().copied()).collect());
        let owned = looked
            .layered
            .into_iter()
            .filter(|inode| self.owners.contains_key(inode));
        self.mptcp.extend(owned);
        let counts = Counts {
            mptcp: self.mptcp.len() as u64,
            ..Counts::default()
        };
        out.push((now, Input::Counts(Box::new(counts))));
        let listeners = self.listeners(&found);
        for (netns, row) in found.iter().filter(|(_, row)| row.state != TcpState::Listen) {
            let owner = row.inode.and_then(|inode| self.owners.get(&inode)).copied();
            let row = sock_row(row, owner, &listeners, *netns);
            // Somebody else has it open: none of ours. Orphans and timewaits of known sockets the engine knows by cookie.
            if row.claim != Claim::None || row.inode.is_none() {
                sweep.rows.push(row);
            }
        }
        self.last = Some(now);
        self.cost.sweep = self.cost.sweep.max(clock::now().since(now));
        out.push((now, Input::Sweep(Box::new(sweep))));
        Ok(())
    }
}

impl Source for Polled {
    fn look(&mut self, now: Mono, depth: Depth, out: &mut Vec<Stamped>) -> Result<(), Problem> {
        if depth == Depth::Full || self.last.is_none_or(|last| now.since(last) >= self.interval) {
            for change in self.target.refresh() {
                out.push((now, Input::Process(change)));
            }
            self.sweep(now, out)?;
        }
        Ok(())
    }

    fn pids(&self) -> Vec<Pid> {
        self.target.pids()
    }

    fn cost(&self) -> Cost {
        self.cost
    }

    fn survey(&mut self, thorough: bool) -> Result<Survey, String> {
        let began = clock::now();
        let held = self.held(&self.target.pids())?;
        let (found, opposites) = self.namespaces.survey(&held)?;
        self.cost.survey = self.cost.survey.max(clock::now().since(began));
        Ok(self.target.complete(found, &opposites, thorough))
    }

    fn held(&mut self, pids: &[Pid]) -> Result<Vec<HeldSock>, String> {
        let mut places: HashMap<u64, Vec<(Pid, FdTable, Fd)>> = HashMap::new();
        for pid in pids {
            for (inode, table, fd) in all_socket_inodes(*pid) {
                places.entry(inode).or_default().push((*pid, table, Fd(fd)));
            }
        }
        let mut rows = Vec::new();
        let (namespaces, mptcp) = (&mut self.namespaces, &mut self.mptcp);
        namespaces
            .every_state(|netns, row| {
                let own = row.inode.filter(|inode| places.contains_key(inode));
                if row.mptcp {
                    mptcp.extend(own);
                }
                if row.state == TcpState::Listen || own.is_some() && !row.is_subflow() {
                    rows.push((netns, row));
                }
            })
            .map_err(|error| format!("sock_diag: {error}"))?;
        let listeners = self.listeners(&rows);
        let mut held = Vec::new();
        for (netns, row) in rows.iter().filter(|(_, row)| !row.timewait) {
            let of_row = row.inode.and_then(|inode| places.get(&inode));
            let listener = listeners.side_of(*netns, row.endpoints.local);
            for (pid, table, fd) in of_row.into_iter().flatten() {
                held.push(HeldSock {
                    pid: *pid,
                    table: *table,
                    fd: *fd,
                    cookie: row.cookie,
                    state: row.state,
                    side: listener.unwrap_or(Side::Server),
                    endpoints: row.endpoints,
                    netns: *netns,
                });
            }
        }
        Ok(held)
    }
}
