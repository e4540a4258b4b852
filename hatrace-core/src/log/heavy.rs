//! The most frequent networks, in bounded memory (Misra and Gries, 1982): whoever has more than one of so many is among them, however late
//! it came. What is counted is never too much.

use std::collections::BTreeMap;

use crate::verdicts::Prefix;

/// Networks that are kept apart at most.
const NETWORKS: usize = 4000;

/// Counts by network, and what else is kept of each.
#[derive(Clone, Debug)]
pub(super) struct Heavy<T = ()> {
    counts: BTreeMap<Prefix, (u64, T)>,
    total: u64,
}

impl<T> Default for Heavy<T> {
    fn default() -> Self {
        Self {
            counts: BTreeMap::new(),
            total: 0,
        }
    }
}

impl<T: Default> Heavy<T> {
    /// Counts one; what else is kept of that network, if it is kept apart.
    pub(super) fn add(&mut self, network: Prefix) -> Option<&mut T> {
        self.total += 1;
        if self.counts.len() >= NETWORKS && !self.counts.contains_key(&network) {
            self.take_away(1);
            return None;
        }
        let (count, kept) = self.counts.entry(network).or_default();
        *count += 1;
        Some(kept)
    }

    /// Makes room: those that have least go.
    fn take_away(&mut self, least: u64) {
        self.counts.retain(|_, (count, _)| {
            *count = count.saturating_sub(least);
            *count > 0
        });
    }

    /// Takes another one's in.
    pub(super) fn merge(&mut self, other: Self, mut merge: impl FnMut(&mut T, T)) {
        self.total += other.total;
        for (network, (count, kept)) in other.counts {
            let (own, own_kept) = self.counts.entry(network).or_default();
            *own += count;
            merge(own_kept, kept);
        }
        if self.counts.len() > NETWORKS {
            let mut counts: Vec<u64> = self.counts.values().map(|(count, _)| *count).collect();
            counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
            self.take_away(counts.get(NETWORKS).copied().unwrap_or(0));
        }
    }

    /// What else is kept of each.
    pub(super) fn kept(&mut self) -> impl Iterator<Item = &mut T> {
        self.counts.values_mut().map(|(_, kept)| kept)
    }

    /// The most frequent first; how many there are at least, and what else is kept.
    pub(super) fn sorted(&self) -> Vec<(Prefix, u64, &T)> {
        let mut all: Vec<(Prefix, u64, &T)> = self
            .counts
            .iter()
            .map(|(network, (count, kept))| (*network, *count, kept))
            .collect();
        all.sort_by_key(|(network, count, _)| (std::cmp::Reverse(*count), *network));
        all
    }

    /// Those that aren't told apart.
    pub(super) fn elsewhere(&self) -> u64 {
        let told: u64 = self.counts.values().map(|(count, _)| count).sum();
        self.total.saturating_sub(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u32) -> Prefix {
        Prefix::of(std::net::Ipv4Addr::from_bits(number << 8).into())
    }

    fn add(heavy: &mut Heavy, number: u32) {
        let _ = heavy.add(network(number));
    }

    #[test]
    fn who_comes_late_and_often_is_found_and_nobody_is_counted_too_high() {
        let mut heavy: Heavy = Heavy::default();
        (0..20_000).for_each(|number| add(&mut heavy, number));
        for number in 0..9000 {
            add(&mut heavy, 70_000);
            add(&mut heavy, number % 3000);
        }
        let (first, count, ()) = heavy.sorted()[0];
        assert_eq!(first, network(70_000));
        assert!((8900..=9000).contains(&count), "{count}");
        assert!(heavy.counts.len() <= NETWORKS);
        let told: u64 = heavy.counts.values().map(|(count, ())| count).sum();
        assert_eq!(told + heavy.elsewhere(), 38_000);

        let mut other: Heavy = Heavy::default();
        (100_000..105_000).for_each(|number| add(&mut other, number));
        (0..50).for_each(|_| add(&mut other, 70_000));
        heavy.merge(other, |(), ()| {});
        assert!(heavy.counts.len() <= NETWORKS);
        assert!(heavy.sorted()[0].0 == network(70_000) && heavy.sorted()[0].1 <= 9050);
    }

    #[test]
    fn few_are_counted_to_the_last() {
        let mut heavy: Heavy = Heavy::default();
        (0..30_000).for_each(|number| add(&mut heavy, number % 300));
        assert!(heavy.sorted().iter().all(|(_, count, ())| *count == 100));
        assert_eq!(heavy.elsewhere(), 0);
    }
}
