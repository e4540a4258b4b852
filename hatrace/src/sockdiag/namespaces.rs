//! The network namespaces HAProxy's processes are in, and a look into all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use hatrace_core::ids::{Netns, Pid};
use hatrace_core::input::{Gap, Sweep};
use hatrace_core::survey::{Space, Waiting};
use hatrace_core::tcp::TcpState;
use hatrace_core::time::Mono;

use super::{DiagRow, NetnsSocket, lingering_states};
use crate::ability::Ability;
use crate::clock;

/// TIME_WAITs are counted one by one where there are more than one for so many ports.
const SCARCE: u64 = 4;
/// Above this many timewaits in all, TIME_WAITs are not asked for: listing them would cost more than they tell.
const TIMEWAITS_LISTED: u64 = 20_000;

/// A netlink socket in each namespace that could be entered.
#[derive(Default)]
pub struct Namespaces {
    sockets: BTreeMap<Netns, NetnsSocket>,
    unreachable: BTreeSet<Netns>,
    without: BTreeSet<Ability>,
}

/// What a look found.
pub struct Looked {
    /// What was looked at and what the namespaces themselves tell; no rows yet.
    pub sweep: Sweep,
    /// The sockets, listeners among them; no subflows of MPTCP connections.
    pub rows: Vec<(Netns, DiagRow)>,
    /// Inodes of MPTCP sockets, as their listeners and subflows tell them.
    pub layered: Vec<u64>,
    /// Namespaces that couldn't be listed.
    pub failures: Vec<io::Error>,
}

impl Looked {
    /// The failures, for the engine.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.failures.iter().map(|error| Gap::SweepFailed {
            why: format!("sock_diag: {error}"),
        })
    }
}

impl Namespaces {
    /// None yet, on a kernel without these abilities.
    #[must_use]
    pub fn all_but(without: &BTreeSet<Ability>) -> Self {
        Self {
            without: without.clone(),
            ..Self::default()
        }
    }

    /// Enters the namespaces of `processes` that are new. Tells of those that can't be, once each.
    pub fn enter(&mut self, processes: impl Iterator<Item = (Pid, Netns)>) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (pid, netns) in processes {
            if let Some(socket) = self.sockets.get_mut(&netns) {
                socket.seen_through(pid);
                continue;
            }
            match NetnsSocket::of_process(pid) {
                Ok(socket) => {
                    self.sockets.insert(netns, socket.all_but(&self.without));
                }
                Err(error) => {
                    if self.unreachable.insert(netns) {
                        let why = error.to_string();
                        gaps.push(Gap::NetnsUnreachable { netns, why });
                    }
                }
            }
        }
        gaps
    }

    /// What each namespace allows, and what of it is used.
    #[must_use]
    pub fn spaces(&self) -> Vec<(Netns, Space)> {
        self.sockets
            .iter()
            .map(|(netns, socket)| (*netns, socket.space()))
            .collect()
    }

    /// TIME_WAITs of each namespace by their two addresses, where there are so many that its ports may run out.
    ///
    /// # Errors
    /// The first namespace that couldn't be listed.
    pub fn timewaits(&mut self) -> io::Result<Vec<Waiting>> {
        let mut found = Vec::new();
        for (netns, socket) in &mut self.sockets {
            let ports = socket
                .space()
                .ports
                .map_or(0, |(low, high)| u64::from(high.saturating_sub(low)));
            if socket.timewaits().unwrap_or(0) * SCARCE < ports {
                continue;
            }
            let counts = socket.count_timewaits()?;
            found.extend(counts.into_iter().map(|((from, to), count)| Waiting {
                netns: *netns,
                from,
                to,
                count,
            }));
        }
        Ok(found)
    }

    /// Calls `each` with every TCP socket of each namespace, listeners and subflows of MPTCP connections too; no TIME_WAITs.
    ///
    /// # Errors
    /// The first namespace that couldn't be listed.
    pub fn every_state(&mut self, mut each: impl FnMut(Netns, DiagRow)) -> io::Result<()> {
        let all = TcpState::ALL
            .into_iter()
            .filter(|state| *state != TcpState::TimeWait)
            .collect();
        for (netns, socket) in &mut self.sockets {
            socket.each(all, |row| each(*netns, row))?;
        }
        Ok(())
    }

    /// Looks into each for what lingers, and for listeners, in a sweep that began at `now`; `fds`: as it is to say of itself.
    pub fn look(&mut self, now: Mono, fds: bool) -> Looked {
        let mut states = lingering_states();
        let crowd: u64 = self.sockets.values().filter_map(NetnsSocket::timewaits).sum();
        if crowd < TIMEWAITS_LISTED {
            states = states.with(TcpState::TimeWait);
        }
        let mut looked = Looked {
            sweep: Sweep {
                netns: Vec::new(),
                states,
                took: Duration::ZERO,
                fds,
                rows: Vec::new(),
                timewait_overflow: None,
                limits: Vec::new(),
            },
            rows: Vec::new(),
            layered: Vec::new(),
            failures: Vec::new(),
        };
        let sweep = &mut looked.sweep;
        for (netns, socket) in &mut self.sockets {
            match socket.dump(states.with(TcpState::Listen)) {
                Ok(rows) => {
                    sweep.netns.push(*netns);
                    let layered = rows.iter().filter(|row| row.mptcp).filter_map(|row| row.inode);
                    looked.layered.extend(layered);
                    let plain = rows.into_iter().filter(|row| !row.is_subflow());
                    looked.rows.extend(plain.map(|row| (*netns, row)));
                }
                Err(error) => looked.failures.push(error),
            }
            if let Some(more) = socket.timewait_overflow() {
                sweep.timewait_overflow = Some(sweep.timewait_overflow.unwrap_or(0) + more);
            }
            sweep.limits.push((*netns, socket.limits()));
        }
        looked.sweep.took = clock::now().since(now);
        looked
    }
}
