//! When sockets began to linger, by peer: whether what a peer leaves open rises, and whether it comes in waves.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::snapshot::Lingering;
use crate::sock::Side;
use crate::time::{AgeBound, Mono};
use crate::tolls::Awaited;

/// Peers that are kept apart at most, and onsets of each.
const PEERS: usize = 2000;
const ONSETS: usize = 1000;

/// Every peer's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Onsets {
    by: BTreeMap<(Side, IpAddr), Course>,
}

/// How one peer's lingering sockets have come and gone.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// How many linger now, as far as was told.
    pub open: u64,
    /// When each began, where that is known to the moment.
    begun: VecDeque<Mono>,
    /// How many there were at these moments: one each second at most.
    steps: VecDeque<(Mono, u64)>,
    came: u64,
    gone: u64,
}

/// What has been added over a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rise {
    /// How many more there are.
    pub more: u64,
    /// Over how long.
    pub over: Duration,
    /// How many began in all.
    pub begun: u64,
    /// How many ended.
    pub gone: u64,
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

    pub(crate) fn begins(&mut self, at: Mono, row: &Lingering) {
        let Some(key) = Self::counts(row) else { return };
        if self.by.len() >= PEERS && !self.by.contains_key(&key) {
            return;
        }
        let course = self.by.entry(key).or_default();
        course.open += 1;
        course.came += 1;
        if row.age.bound == AgeBound::Exact {
            if course.begun.len() >= ONSETS {
                course.begun.pop_front();
            }
            course.begun.push_back(at.back(row.age.at_least));
        }
        course.step(at);
    }

    pub(crate) fn leaves(&mut self, at: Mono, row: &Lingering) {
        let Some(key) = Self::counts(row) else { return };
        if let Some(course) = self.by.get_mut(&key) {
            course.open = course.open.saturating_sub(1);
            course.gone += 1;
            course.step(at);
        }
    }

    pub(crate) fn courses(&self) -> impl Iterator<Item = (&(Side, IpAddr), &Course)> {
        self.by.iter()
    }
}

impl Course {
    fn step(&mut self, at: Mono) {
        match self.steps.back_mut() {
            Some((last, open)) if at.since(*last) < Duration::from_secs(1) => *open = self.open,
            _ => {
                if self.steps.len() >= ONSETS {
                    self.steps.pop_front();
                }
                self.steps.push_back((at, self.open));
            }
        }
    }

    /// What has been added since it was first told of: a step at the beginning (all those older than hatrace) is no rise.
    #[must_use]
    pub fn rise(&self, now: Mono) -> Option<Rise> {
        let (first, at_first) = *self.steps.front()?;
        let over = now.since(first);
        let more = self.open.saturating_sub(at_first);
        // Steady: half way through about half of it was there.
        let middle = first.plus(over / 2);
        let half = self
            .steps
            .iter()
            .take_while(|(at, _)| *at <= middle)
            .last()
            .map_or(0, |(_, open)| open.saturating_sub(at_first));
        let steady = half * 4 >= more && half * 4 <= more * 3;
        steady.then_some(Rise {
            more,
            over,
            begun: self.came,
            gone: self.gone,
        })
    }

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
        let mut course = Course::default();
        for ms in onsets {
            let at = Mono::from_ns(1_000_000_000_000 + ms * 1_000_000);
            course.begun.push_back(at);
            course.open += 1;
            course.came += 1;
            course.step(at);
        }
        course
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

    #[test]
    fn a_rise_is_steady_and_a_step_is_none() {
        let now = Mono::from_ns(1_000_000_000_000 + 30_000_000_000);
        let trickle: Vec<u64> = (0..60).map(|nth| nth * 500).collect();
        let rise = course(&trickle).rise(now).unwrap();
        assert!((50..=60).contains(&rise.more), "{rise:?}");
        let step: Vec<u64> = std::iter::once(0).chain((0..40).map(|nth| 2000 + nth)).collect();
        assert_eq!(course(&step).rise(now), None);
    }
}
