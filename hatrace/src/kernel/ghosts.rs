//! Records of the table that are nobody's: their end was missed, or an adoption met it in that very moment.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hatrace_common::wire;
use hatrace_core::ids::Netns;
use hatrace_core::input::{Counts, Sweep};
use hatrace_core::sock::{BySide, Claim, Side, SockRow};
use hatrace_core::tcp::TcpState;
use hatrace_core::time::Mono;

use super::decode;
use super::table::Table;

/// So many looks at a record that is behind its socket: the engine believes the second that has two scans between it and the first.
const LOOKS: u8 = 4;

/// What looks at the sockets have said against the table.
#[derive(Default)]
pub struct Ghosts {
    /// Closing lives of the table whose sockets the last look didn't find.
    absent: BTreeSet<u64>,
    /// Records in another state than their socket, what that was in, and how often a look has said so.
    behind: BTreeMap<(u64, TcpState), u8>,
    /// Lives given up for that.
    given_up: BySide<u64>,
}

impl Ghosts {
    /// Holds the table against a look at the sockets. A closing life's record that two looks in a row don't find the socket of is
    /// given up, and counted as lost. Says whether another look is wanted: for such records, for those that a missed transition has left
    /// behind, or for sockets of HAProxy's that have none.
    pub fn settle(&mut self, table: &Table, now: Mono, sweep: &Sweep) -> bool {
        // A timewait bears the cookie of the full socket that it has taken over from: where the record is there still, its end was missed.
        let full = sweep.rows.iter().filter(|row| !row.timewait);
        let found: HashMap<u64, TcpState> = full.map(|row| (row.cookie.0, row.state)).collect();
        let strange = |row: &&SockRow| row.claim != Claim::None && !row.timewait && row.state.lingers();
        let mut strangers: HashSet<u64> = sweep
            .rows
            .iter()
            .filter(strange)
            .map(|row| row.cookie.0)
            .collect();
        let (mut absent, mut behind) = (BTreeSet::new(), BTreeMap::new());
        table.scan(|record| {
            strangers.remove(&record.cookie);
            let entered = record.closing.max(record.second);
            let covered = sweep.netns.contains(&Netns(record.netns));
            match found.get(&record.cookie) {
                None if record.first != 0 && covered && entered < now.ns() => {
                    absent.insert(record.cookie);
                }
                Some(state) if Some(*state) != TcpState::from_kernel(record.state) => {
                    let key = (record.cookie, *state);
                    let looks = self.behind.get(&key).map_or(1, |looks| looks.saturating_add(1));
                    behind.insert(key, looks);
                }
                _ => {}
            }
        });
        let ghosts: BTreeSet<u64> = absent.intersection(&self.absent).copied().collect();
        if !ghosts.is_empty() {
            self.give_up(table, &ghosts);
        }
        self.absent = absent;
        self.behind = behind;
        let unsettled = self.behind.values().any(|looks| *looks < LOOKS);
        unsettled || !strangers.is_empty() || !self.absent.is_empty()
    }

    fn give_up(&mut self, table: &Table, ghosts: &BTreeSet<u64>) {
        for record in table.forget(|record| ghosts.contains(&record.cookie)) {
            if record.flags & wire::flag::ADOPTED == 0 {
                let side = decode::side(record.side);
                self.given_up.set(side, self.given_up.get(side) + 1);
            }
        }
    }

    /// Adds the lives given up to those lost.
    pub fn count(&self, counts: &mut Counts) {
        for side in Side::ALL {
            counts
                .lost
                .set(side, counts.lost.get(side) + self.given_up.get(side));
        }
    }
}
