//! When sockets began to linger, by peer and by frontend: whether what is left open rises, and whether it comes in waves.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::snapshot::Lingering;
use crate::sock::{Holder, Side};
use crate::stream::Name;
use crate::time::{AgeBound, Mono};
use crate::tolls::Awaited;
use crate::trend::Trend;

/// Peers that are kept apart at most, and onsets of each.
const PEERS: usize = 2000;
const ONSETS: usize = 1000;

/// Every peer's, every frontend's, and all clients' together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Onsets {
    by: BTreeMap<(Side, IpAddr), Course>,
    frontends: BTreeMap<Name, Trend>,
    clients: Trend,
}

/// How one peer's lingering sockets have come and gone.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// How many linger, as far as was told, over time.
    pub trend: Trend,
    /// When each began, where that is known to the moment.
    begun: VecDeque<Mono>,
}

/// Onsets that come in waves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waves {
    /// How many.
    pub count: usize,
    /// Onsets in each, about.
    pub size: usize,
    /// From one to the next.
    pub period: Duration,
    /// The largest deviation from that.
    pub jitter: Duration,
    /// When the last one began.
    pub last: Mono,
}

impl Onsets {
    /// What waits for its peer piles up at the peer's account. A CLOSE_WAIT waits for somebody else.
    fn counts(row: &Lingering) -> Option<(Side, IpAddr)> {
        let waits = matches!(Awaited::of(row), Some(Awaited::Fin | Awaited::Ack));
        Some((row.side, row.endpoints.filter(|_| waits)?.peer.ip()))
    }

    /// What takes one of the connections that `maxconn` allows.
    fn takes_a_slot(row: &Lingering) -> bool {
        row.side == Side::Client && (row.holder == Holder::Held || row.held_for.is_some())
    }

    pub(crate) fn begins(&mut self, at: Mono, row: &Lingering) {
        if Self::takes_a_slot(row) {
            self.clients.comes(at);
            if let Some(name) = &row.naming.proxy {
                self.frontends.entry(name.clone()).or_default().comes(at);
            }
        }
        let Some(key) = Self::counts(row) else { return };
        if self.by.len() >= PEERS && !self.by.contains_key(&key) {
            return;
        }
        let course = self.by.entry(key).or_default();
        if row.age.bound == AgeBound::Exact {
            if course.begun.len() >= ONSETS {
                course.begun.pop_front();
            }
            course.begun.push_back(at.back(row.age.at_least));
        }
        course.trend.comes(at);
    }

    pub(crate) fn leaves(&mut self, at: Mono, row: &Lingering) {
        let stay = row.age.at_least;
        if Self::takes_a_slot(row) {
            self.clients.goes(at, stay);
            let own = row
                .naming
                .proxy
                .as_ref()
                .and_then(|name| self.frontends.get_mut(name));
            own.into_iter().for_each(|trend| trend.goes(at, stay));
        }
        let Some(key) = Self::counts(row) else { return };
        if let Some(course) = self.by.get_mut(&key) {
            course.trend.goes(at, stay);
        }
    }

    pub(crate) fn courses(&self) -> impl Iterator<Item = (&(Side, IpAddr), &Course)> {
        self.by.iter()
    }

    /// Clients' connections that linger, by frontend.
    pub(crate) fn frontends(&self) -> impl Iterator<Item = (&Name, &Trend)> {
        self.frontends.iter()
    }

    /// Clients' connections that linger: of one frontend, or of all.
    pub(crate) fn clients_of(&self, frontend: Option<&str>) -> Option<&Trend> {
        match frontend {
            Some(name) => self.frontends.get(name),
            None => Some(&self.clients),
        }
    }
}

impl Course {
    /// Onsets close together are one wave; waves must be alike in distance, and at least four.
    #[must_use]
    pub fn waves(&self) -> Option<Waves> {
        const LEAST: usize = 4;
        const APART: Duration = Duration::from_secs(2);
        let mut begun: Vec<Mono> = self.begun.iter().copied().collect();
        begun.sort_unstable();
        let mut waves: Vec<(Mono, Mono, usize)> = Vec::new();
        for at in begun {
            match waves.last_mut() {
                Some((_, end, size)) if at.since(*end) < APART => {
                    *end = at;
                    *size += 1;
                }
                _ => waves.push((at, at, 1)),
            }
        }
        // A single socket now and then is no wave.
        waves.retain(|(_, _, size)| *size >= 2);
        if waves.len() < LEAST {
            return None;
        }
        let gaps: Vec<Duration> = waves
            .windows(2)
            .filter_map(|pair| match pair {
                [one, next] => Some(next.0.since(one.0)),
                _ => None,
            })
            .collect();
        let count = u32::try_from(gaps.len()).ok()?;
        let period = gaps.iter().sum::<Duration>() / count;
        let jitter = gaps.iter().map(|gap| gap.abs_diff(period)).max()?;
        let widest = waves.iter().map(|(start, end, _)| end.since(*start)).max()?;
        let steady = jitter * 5 <= period && widest * 3 <= period;
        let size = waves.iter().map(|(_, _, size)| size).sum::<usize>() / waves.len();
        let last = waves.last()?.0;
        steady.then_some(Waves {
            count: waves.len(),
            size,
            period,
            jitter,
            last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(onsets: &[u64]) -> Course {
        let begun = onsets
            .iter()
            .map(|ms| Mono::from_ns(1_000_000_000_000 + ms * 1_000_000));
        Course {
            begun: begun.collect(),
            ..Course::default()
        }
    }

    #[test]
    fn waves_are_found_with_their_period() {
        let onsets: Vec<u64> = (0..5)
            .flat_map(|wave| (0..6).map(move |nth| wave * 10_000 + wave % 2 * 150 + nth * 40))
            .collect();
        let waves = course(&onsets).waves().unwrap();
        assert_eq!((waves.count, waves.size), (5, 6));
        assert_eq!(waves.period, Duration::from_secs(10));
        assert!(waves.jitter <= Duration::from_millis(150));
    }

    #[test]
    fn neither_a_steady_trickle_nor_chance_is_a_wave() {
        let trickle: Vec<u64> = (0..60).map(|nth| nth * 500).collect();
        assert_eq!(course(&trickle).waves(), None);
        let chance = [
            0, 100, 7_000, 7_100, 9_900, 10_000, 31_000, 31_100, 50_000, 50_100,
        ];
        assert_eq!(course(&chance).waves(), None);
    }
}
