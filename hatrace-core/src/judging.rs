//! The engine judges: it puts the evidence together and asks the rules.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Engine;
use crate::ids::Cookie;
use crate::snapshot::Lingering;
use crate::sock::Side;
use crate::time::Mono;
use crate::tolls::{Awaited, Party};
use crate::verdicts::{By, Finding, SURE, Scene, judge};

impl Engine {
    /// What is wrong at `at`, those that cost most first; `rows`: what lingers then.
    pub(crate) fn findings(&self, at: Mono, rows: &[Lingering], by: By) -> Vec<Finding> {
        let index: BTreeMap<Cookie, usize> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| (row.cookie, index))
            .collect();
        let pairs = rows
            .iter()
            .filter_map(|row| row.naming.pair)
            .filter(|pair| !index.contains_key(&pair.cookie))
            .filter_map(|pair| Some((pair.cookie, self.young(at, pair.cookie)?)))
            .collect();
        let ends = rows
            .iter()
            .filter_map(|row| Some(((row.netns?, row.endpoints?), row.cookie)))
            .collect();
        let (unclosed, unclosed_by_side) = self.unclosed(rows);
        let mut scene = Scene {
            silent: BTreeSet::new(),
            now: at,
            rows,
            pairs,
            index,
            ends,
            configured: &self.configured,
            tolls: &self.tolls,
            counts: &self.counts,
            unclosed,
            unclosed_by_side,
            surveys: &self.surveys,
            onsets: &self.onsets,
            names: &self.names,
        };
        let silent = rows
            .iter()
            .filter(|row| Awaited::of(row) == Some(Awaited::Fin) && scene.silence(row) >= SURE)
            .filter_map(Party::of);
        let known = self.tolls.of(Awaited::Fin);
        let known = known.filter(|(_, toll)| toll.by_peer == 0 && scene.is_telling(toll));
        scene.silent = silent.chain(known.map(|(party, _)| party.clone())).collect();
        judge(&scene, by)
    }

    /// A socket that lingers for less than the minimum.
    fn young(&self, at: Mono, cookie: Cookie) -> Option<Lingering> {
        let entry = self.entries.get(&cookie).filter(|entry| !entry.absent)?;
        let mut row = entry.lingering(at, self.settings.exact_timewaits)?;
        self.name(&mut row);
        self.time(&mut row, entry, at);
        Some(row)
    }

    /// Connections whose peers have not closed them: those that wait still, and those that HAProxy had to end.
    fn unclosed(&self, rows: &[Lingering]) -> (BTreeMap<Party, u64>, BTreeMap<Side, u64>) {
        let mut by_party: BTreeMap<Party, u64> = BTreeMap::new();
        let mut by_side: BTreeMap<Side, u64> = BTreeMap::new();
        let open = rows
            .iter()
            .filter(|row| Awaited::of(row) == Some(Awaited::Fin))
            .filter_map(|row| Some((Party::of(row)?, 1)));
        let ended = self
            .tolls
            .of(Awaited::Fin)
            .map(|(party, toll)| (party.clone(), toll.ended - toll.by_peer));
        for (party, count) in open.chain(ended) {
            *by_side.entry(party.side).or_default() += count;
            *by_party.entry(party).or_default() += count;
        }
        (by_party, by_side)
    }
}
