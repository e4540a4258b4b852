//! Whether a count rises steadily, and how fast: what neither noise nor a wave does.

use std::time::Duration;

use crate::time::Mono;

/// Samples that are kept at most. Beyond it every second one is dropped: what is long ago needs fewer.
const SAMPLES: usize = 512;
/// A rise is more than this many, over no less than this.
const MORE: u64 = 8;
const LONG: Duration = Duration::from_secs(10);
/// A stretch of time is judged by so many equal parts of it.
const PARTS: u32 = 8;

/// How many there were at a moment, and how many had come and gone by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sample {
    at: Mono,
    open: u64,
    came: u64,
    gone: u64,
}

/// A count over time.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    /// How many there are.
    pub open: u64,
    came: u64,
    gone: u64,
    /// How long those that went had been there, together.
    stayed: Duration,
    samples: Vec<Sample>,
    apart: Duration,
}

/// A steady rise that goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rise {
    /// How many more there are.
    pub more: u64,
    /// Over how long.
    pub over: Duration,
    /// How many came in that time.
    pub came: u64,
    /// How many of these, or of others, went.
    pub gone: u64,
    /// More each second.
    pub rate: f64,
}

impl Rise {
    /// The rate's bounds: arrivals by chance differ from their rate by two of their standard deviations, in 19 cases of 20.
    #[must_use]
    pub fn bounds(&self) -> (f64, f64) {
        #[expect(clippy::cast_precision_loss, reason = "a count of sockets")]
        let share = 2.0 / (self.came.max(1) as f64).sqrt();
        (self.rate * (1.0 - share).max(0.0), self.rate * (1.0 + share))
    }
}

impl Trend {
    /// One more.
    pub fn comes(&mut self, at: Mono) {
        self.open += 1;
        self.came += 1;
        self.sample(at);
    }

    /// One less; it had been there for so long.
    pub fn goes(&mut self, at: Mono, stay: Duration) {
        self.open = self.open.saturating_sub(1);
        self.gone += 1;
        self.stayed = self.stayed.saturating_add(stay);
        self.sample(at);
    }

    fn sample(&mut self, at: Mono) {
        let now = Sample {
            at,
            open: self.open,
            came: self.came,
            gone: self.gone,
        };
        let apart = self.apart.max(Duration::from_secs(1));
        match self.samples.last_mut() {
            // It keeps its moment: a second begins with what happens first in it.
            Some(last) if at.since(last.at) < apart => *last = Sample { at: last.at, ..now },
            _ => self.samples.push(now),
        }
        if self.samples.len() > SAMPLES {
            let mut nth = 0;
            self.samples.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.apart = apart * 2;
        }
    }

    /// The longest stretch up to now over which it has risen steadily. What was there from the beginning is no rise.
    #[must_use]
    pub fn rise(&self, now: Mono) -> Option<Rise> {
        let first = self.samples.first()?.at;
        let mut over = now.since(first);
        // Within the time that they stay anyway even those that go look as if they stayed.
        let least = LONG.max(self.stay() * 3);
        while over >= least {
            let rise = self.risen(now, over);
            if rise.is_some() {
                return rise;
            }
            over /= 2;
        }
        None
    }

    /// For how long those that went had been there, on average; a few say nothing.
    fn stay(&self) -> Duration {
        const FEW: u64 = 3;
        let gone = u32::try_from(self.gone).unwrap_or(u32::MAX);
        if self.gone < FEW {
            Duration::ZERO
        } else {
            self.stayed / gone
        }
    }

    /// The rise over a stretch, if it was steady: those that came stayed, and at no time it was far from the line.
    fn risen(&self, now: Mono, over: Duration) -> Option<Rise> {
        let start = now.back(over);
        let points: Vec<Sample> = (0..=PARTS)
            .map(|part| self.at(start.plus(over / PARTS * part)))
            .collect();
        let (first, last) = (points.first()?, points.last()?);
        let more = last.open.checked_sub(first.open).filter(|more| *more >= MORE)?;
        let (came, gone) = (last.came - first.came, last.gone - first.gone);
        if gone * 10 > came {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of sockets")]
        let heights: Vec<f64> = points.iter().map(|point| point.open as f64).collect();
        let slope = slope(&heights);
        #[expect(clippy::cast_precision_loss, reason = "counts of sockets")]
        let slack = (more as f64).mul_add(0.1, (more as f64).sqrt());
        let base = median(
            heights
                .iter()
                .zip(0u32..)
                .map(|(height, part)| height - slope * f64::from(part)),
        );
        let steady = heights
            .iter()
            .zip(0u32..)
            .all(|(height, part)| (height - slope.mul_add(f64::from(part), base)).abs() <= slack);
        let rate = slope * f64::from(PARTS) / over.as_secs_f64();
        (steady && rate > 0.0).then_some(Rise {
            more,
            over,
            came,
            gone,
            rate,
        })
    }

    /// As it was at a moment.
    fn at(&self, at: Mono) -> Sample {
        let after = self.samples.partition_point(|sample| sample.at <= at);
        match after.checked_sub(1) {
            Some(before) => self.samples.get(before).copied().unwrap_or_default(),
            // Before the first there was what the first found.
            None => self.samples.first().copied().unwrap_or_default(),
        }
    }
}

/// The median of the slopes between any two points an equal step apart: one that is out of line doesn't bend it (Theil and Sen).
fn slope(heights: &[f64]) -> f64 {
    let pairs = heights.iter().zip(0u32..).flat_map(|(one, nth)| {
        let later = heights.iter().zip(0u32..).filter(move |(_, other)| *other > nth);
        later.map(move |(other, place)| (other - one) / f64::from(place - nth))
    });
    median(pairs)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(high), 0) => f64::midpoint(
            *high,
            values.get(middle.wrapping_sub(1)).copied().unwrap_or(*high),
        ),
        (Some(middle), _) => *middle,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_ns(1_000_000_000_000 + ms * 1_000_000)
    }

    /// What comes at these times and stays for so long (in seconds).
    fn trend(mut comes: Vec<f64>, stay: f64, until: f64) -> Trend {
        let goes = comes.iter().map(|at| (at + stay, false)).collect::<Vec<_>>();
        let mut all: Vec<(f64, bool)> = comes.drain(..).map(|at| (at, true)).chain(goes).collect();
        all.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut trend = Trend::default();
        for (when, comes) in all.into_iter().filter(|(when, _)| *when <= until) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "seconds of a test"
            )]
            let when = at((when * 1000.0) as u64);
            if comes {
                trend.comes(when);
            } else {
                trend.goes(when, Duration::from_secs_f64(stay));
            }
        }
        trend
    }

    /// Arrivals by chance, the same ones each time: `rate` a second, which may change over time.
    fn arrivals(until: f64, rate: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let (mut now, mut all, most) = (0.0, Vec::new(), 4.0);
        while now < until {
            now -= uniform().max(1e-12).ln() / most;
            if uniform() * most < rate(now) {
                all.push(now);
            }
        }
        all
    }

    const NEVER: f64 = 1e6;

    #[test]
    fn a_leak_of_a_known_rate_is_found_within_a_tenth() {
        for (rate, until) in [(0.5, 120.0), (1.0, 120.0), (2.0, 600.0), (0.2, 3600.0)] {
            let every = (0..)
                .map(|nth| f64::from(nth) / rate)
                .take_while(|at| *at < until)
                .collect();
            let rise = trend(every, NEVER, until)
                .rise(at((until * 1000.0) as u64))
                .unwrap();
            assert!((rise.rate / rate - 1.0).abs() < 0.05, "{rate}: {rise:?}");
        }
        // By chance: the bounds tell how well it is known.
        for rate in [1.0, 3.0] {
            let rise = trend(arrivals(300.0, |_| rate), NEVER, 300.0)
                .rise(at(300_000))
                .unwrap();
            let (low, high) = rise.bounds();
            assert!(low < rate && rate < high, "{rate}: {rise:?}");
        }
        // One that began a while ago.
        let late = (0..120).map(|nth| 600.0 + f64::from(nth)).chain([0.0]).collect();
        let rise = trend(late, NEVER, 720.0).rise(at(720_000)).unwrap();
        assert!((rise.rate - 1.0).abs() < 0.1, "{rise:?}");
    }

    #[test]
    fn neither_noise_nor_waves_nor_steps_are() {
        let day = 86_400.0;
        let wave = |period: f64| move |now: f64| 2.0 + 1.9 * (now / period * std::f64::consts::TAU).sin();
        for (until, trend) in [
            (600.0, trend(arrivals(600.0, |_| 2.0), 20.0, 600.0)),
            (600.0, trend(arrivals(600.0, wave(40.0)), 10.0, 600.0)),
            (120.0, trend(arrivals(120.0, wave(120.0)), 10.0, 120.0)),
        ] {
            // At whatever moment somebody looks, but for the first one: until the first have gone everything looks like a leak.
            for now in 40..=(until as u64) {
                let mut seen = trend.clone();
                seen.samples.retain(|sample| sample.at <= at(now * 1000));
                let last = seen.samples.last().copied().unwrap_or_default();
                (seen.open, seen.came, seen.gone) = (last.open, last.came, last.gone);
                seen.stayed = trend.stay() * u32::try_from(last.gone).unwrap();
                assert_eq!(seen.rise(at(now * 1000)), None, "{now} s of {until}");
            }
        }
        let daily = trend(arrivals(day / 2.0, |now| 0.2 * wave(day)(now)), 1800.0, day / 2.0);
        for hour in 2..=12 {
            assert_eq!(daily.rise(at(hour * 3_600_000)), None, "{hour} h");
        }
        let step = (0..40).map(|nth| 2.0 + f64::from(nth) / 1000.0).collect();
        assert_eq!(trend(step, NEVER, 30.0).rise(at(30_000)), None);
        assert!(daily.samples.len() <= SAMPLES + 1);
    }
}
