//! The state of things, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use crate::dwell::Dwells;
use crate::engine::Engine;
use crate::ledger::Entry;
use crate::naming::Without;
use crate::snapshot::{Lingering, Notice, Snapshot, Totals};
use crate::sock::BySide;
use crate::telling::spans;
use crate::time::Mono;

impl Engine {
    /// The state of things at `at`.
    #[must_use]
    pub fn snapshot(&self, at: Mono) -> Snapshot {
        let mut dwells = self.ended_times(at);
        let mut lingering = Vec::new();
        for entry in self.entries.values().filter(|entry| !entry.absent) {
            let side = entry.life.side;
            // What ended of a life that goes on: its histogram entry is made at its end, here it is only shown.
            if entry.timewait.is_none() {
                for (step, until, _) in spans(&entry.life, None) {
                    dwells.ended(side, step.state, until.since(step.at.latest()), 1);
                }
            }
            if let Some(mut row) = entry.lingering(at, self.settings.exact_timewaits) {
                dwells.open(side, row.state, row.age.at_least, 1);
                if self.is_worth_a_row(&row) {
                    self.name(&mut row);
                    self.time(&mut row, entry, at);
                    lingering.push(row);
                }
            }
        }
        lingering.sort_by_key(|row| (std::cmp::Reverse(row.age.at_least), row.cookie));
        let with_session = lingering.iter().filter(|row| row.naming.without.is_none());
        let with_session = with_session.filter(|row| row.naming.session.is_some()).count() as u64;
        let mut reasons: BTreeMap<Without, u64> = BTreeMap::new();
        for why in lingering.iter().filter_map(|row| row.naming.without) {
            *reasons.entry(why).or_default() += 1;
        }
        let mut without_session: Vec<_> = reasons.into_iter().collect();
        without_session.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut dwell = dwells.rows();
        self.mark_spikes(&dwells, &mut dwell);
        let mut notices = self.gaps.notices(&self.counts);
        if !lingering.is_empty() {
            notices.extend(self.doubts());
        }
        let findings = self.findings(at, &lingering, self.settings.by);
        Snapshot {
            at,
            findings,
            watched: at.since(self.start),
            totals: Totals {
                with_session,
                ..self.totals()
            },
            asking: self.names.asking.values().cloned().collect(),
            configured: self
                .configured
                .iter()
                .map(|(pid, configuration)| (*pid, configuration.clone()))
                .collect(),
            without_session,
            sessions: self.session_rows(at),
            services: self.service_rows(),
            dwell,
            times: dwells,
            lingering,
            notices,
            ended_processes: self.ended_processes.clone(),
        }
    }

    /// What has ended by `at`, apart from lives that go on: what they have left is counted at their end.
    #[must_use]
    pub fn ended_times(&self, at: Mono) -> Dwells {
        let mut dwells = self.dwells.clone();
        dwells.short(&self.counts.short);
        self.timewaits.add_to(&mut dwells, at);
        dwells
    }

    /// Why a configuration may not be what its process runs with.
    fn doubts(&self) -> Option<Notice> {
        let doubts: BTreeSet<String> = self
            .configured
            .values()
            .flat_map(|configuration| &configuration.doubts)
            .map(ToString::to_string)
            .collect();
        let texts: Vec<&str> = doubts.iter().map(String::as_str).collect();
        (!texts.is_empty()).then(|| Notice {
            code: "configuration-doubtful",
            count: texts.len() as u64,
            text: format!(
                "{}: names of timeouts, and the lines they stand on, are not certain",
                texts.join("; ")
            ),
        })
    }

    /// How many sockets linger at `at`: what a progress bar needs of a snapshot.
    #[must_use]
    pub fn lingering(&self, at: Mono) -> usize {
        self.entries
            .values()
            .filter(|entry| !entry.absent)
            .filter_map(Entry::current)
            .filter(|step| step.state.lingers() && at.since(step.at.latest()) >= self.settings.min)
            .count()
    }

    /// It has lasted for the minimum, or may have.
    fn is_worth_a_row(&self, row: &Lingering) -> bool {
        let min = self.settings.min;
        row.age.at_least >= min || row.age.at_most.is_some_and(|at_most| at_most >= min)
    }

    fn totals(&self) -> Totals {
        let counts = &self.counts;
        let mut lost_lives: BySide<u64> = BySide::default();
        for side in crate::sock::Side::ALL {
            lost_lives.set(side, counts.lost.get(side) + counts.table_full.get(side));
        }
        // A socket that was seen, found no room in the table and was then found by a sweep is one socket.
        let twice = self.late.min(counts.table_full.total());
        Totals {
            sockets: counts.seen.total() + (self.adopted + self.swept).saturating_sub(twice),
            adopted: self.adopted,
            transitions: counts.transitions,
            lost: lost_lives.total(),
            missed_runs: counts.missed_runs,
            counted: counts.counted,
            delivered: counts.delivered,
            seen: counts.seen,
            open: counts.open,
            lost_lives,
            evicted: self.gaps.evicted,
            with_session: 0,
        }
    }
}
