//! The most frequent networks, in bounded memory (Misra and Gries, 1982): whoever has more than one of so many is among them, however late
//! it came. What is counted is never too much.

use std::collections::BTreeMap;

use crate::verdicts::Prefix;

/// Networks that are kept apart at most.
const NETWORKS: usize = 4000;

/// Counts by network.
#[derive(Clone, Debug, Default)]
pub(super) struct Heavy {
    counts: BTreeMap<Prefix, u64>,
    total: u64,
}

impl Heavy {
    pub(super) fn add(&mut self, network: Prefix) {
        self.total += 1;
        let room = self.counts.len() < NETWORKS;
        match self.counts.get_mut(&network) {
            Some(count) => *count += 1,
            None if room => drop(self.counts.insert(network, 1)),
            None => self.take_away(1),
        }
    }

    /// Makes room: those that have least go.
    fn take_away(&mut self, least: u64) {
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(least);
            *count > 0
        });
    }

    /// Takes another one's in.
    pub(super) fn merge(&mut self, other: Self) {
        self.total += other.total;
        for (network, count) in other.counts {
            *self.counts.entry(network).or_default() += count;
        }
        if self.counts.len() > NETWORKS {
            let mut counts: Vec<u64> = self.counts.values().copied().collect();
            counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
            self.take_away(counts.get(NETWORKS).copied().unwrap_or(0));
        }
    }

    /// The most frequent first; how many there are at least.
    pub(super) fn sorted(&self) -> Vec<(Prefix, u64)> {
        let mut all: Vec<(Prefix, u64)> = self.counts.iter().map(|(of, count)| (*of, *count)).collect();
        all.sort_by_key(|(network, count)| (std::cmp::Reverse(*count), *network));
        all
    }

    /// Those that aren't told apart.
    pub(super) fn elsewhere(&self) -> u64 {
        self.total.saturating_sub(self.counts.values().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u32) -> Prefix {
        Prefix::of(std::net::Ipv4Addr::from_bits(number << 8).into())
    }

    #[test]
    fn who_comes_late_and_often_is_found_and_nobody_is_counted_too_high() {
        let mut heavy = Heavy::default();
        (0..20_000).for_each(|number| heavy.add(network(number)));
        for number in 0..9000 {
            heavy.add(network(70_000));
            heavy.add(network(number % 3000));
        }
        let (first, count) = heavy.sorted()[0];
        assert_eq!(first, network(70_000));
        assert!((8900..=9000).contains(&count), "{count}");
        assert!(heavy.counts.len() <= NETWORKS);
        let told: u64 = heavy.counts.values().sum();
        assert_eq!(told + heavy.elsewhere(), 38_000);

        let mut other = Heavy::default();
        (100_000..105_000).for_each(|number| other.add(network(number)));
        (0..50).for_each(|_| other.add(network(70_000)));
        heavy.merge(other);
        assert!(heavy.counts.len() <= NETWORKS);
        assert!(heavy.sorted()[0].0 == network(70_000) && heavy.sorted()[0].1 <= 9050);
    }

    #[test]
    fn few_are_counted_to_the_last() {
        let mut heavy = Heavy::default();
        (0..30_000).for_each(|number| heavy.add(network(number % 300)));
        assert!(heavy.sorted().iter().all(|(_, count)| *count == 100));
        assert_eq!(heavy.elsewhere(), 0);
    }
}
