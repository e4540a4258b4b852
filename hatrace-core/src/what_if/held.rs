//! How many were held at the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Mono;

/// Arrivals and departures by tenths of a second: what a recording of days comes to stays small.
const STEP: u64 = 100_000_000;

/// A count over time.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(BTreeMap<u64, i64>);

impl Held {
    /// One from then on; to an end, if it has one.
    pub(super) fn add(&mut self, from: Mono, to: Option<Mono>) {
        if to.is_some_and(|to| to.since(from) < Duration::from_nanos(STEP)) {
            return;
        }
        *self.0.entry(from.ns() / STEP).or_default() += 1;
        if let Some(to) = to {
            *self.0.entry(to.ns() / STEP).or_default() -= 1;
        }
    }

    /// The most there were at once.
    pub(super) fn most(&self) -> u64 {
        let mut now = 0i64;
        let most = self.0.values().map(|change| {
            now = now.saturating_add(*change);
            now
        });
        u64::try_from(most.max().unwrap_or(0)).unwrap_or(0)
    }

    /// How many are left at the end.
    pub(super) fn last(&self) -> u64 {
        let left = self
            .0
            .values()
            .fold(0i64, |sum, change| sum.saturating_add(*change));
        u64::try_from(left).unwrap_or(0)
    }
}
