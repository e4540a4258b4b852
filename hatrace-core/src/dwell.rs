//! Dwell histograms: what ended, what goes on, and both together.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::input::ShortDwell;
use crate::snapshot::{Bucket, Dwell, Percentiles};
use crate::sock::Side;
use crate::tcp::TcpState;

/// The bounds of the bars that reports draw, in microseconds.
const BOUNDS: [u64; 12] = [
    1_000,
    10_000,
    100_000,
    1_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
    3_600_000_000,
    21_600_000_000,
];

/// The order in which a close passes the states: the order of the views.
const ORDER: [TcpState; 8] = [
    TcpState::SynSent,
    TcpState::Established,
    TcpState::FinWait1,
    TcpState::FinWait2,
    TcpState::CloseWait,
    TcpState::Closing,
    TcpState::LastAck,
    TcpState::TimeWait,
];

/// Dwell times of one side and state.
#[derive(Clone, Debug)]
struct Population {
    ended: Counted,
    open: Counted,
    between_sweeps: u64,
}

/// A histogram and, to the microsecond, its longest span: the bucket's upper end would be a dwell that nobody had.
#[derive(Clone, Debug)]
struct Counted {
    spans: Histogram<u64>,
    longest: u64,
}

impl Counted {
    fn record(&mut self, span: Duration, count: u64) {
        let span = micros(span);
        let _ = self.spans.record_n(span, count);
        self.longest = self.longest.max(span);
    }

    fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        let _ = both.spans.add(&other.spans);
        both.longest = both.longest.max(other.longest);
        both
    }

    /// What was added since `before`, of which this is a later state.
    fn since(&self, before: &Self) -> Self {
        let mut grown = self.clone();
        let _ = grown.spans.subtract(&before.spans);
        grown
    }

    fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| Duration::from_micros(self.spans.value_at_quantile(quantile).min(self.longest));
        (!self.spans.is_empty()).then(|| Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: Duration::from_micros(self.longest),
        })
    }
}

impl Population {
    fn new() -> Option<Self> {
        // Three digits: a thousandth; microseconds, as far up as need be.
        let none = Counted {
            spans: Histogram::new(3).ok()?,
            longest: 0,
        };
        Some(Self {
            ended: none.clone(),
            open: none,
            between_sweeps: 0,
        })
    }
}

/// The dwell times of one side and state, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    /// Side.
    pub side: Side,
    /// State.
    pub state: TcpState,
    /// How long, to a thousandth, and how often; ascending.
    pub counts: Vec<(Duration, u64)>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Dwells {
    populations: BTreeMap<(Side, TcpState), Population>,
}

fn micros(span: Duration) -> u64 {
    // Four hundred days: longer than any HAProxy runs, and a bound on the histogram's memory.
    u64::try_from(span.as_micros())
        .unwrap_or(u64::MAX)
        .min(400 * 86_400 * 1_000_000)
}

impl Dwells {
    fn of(&mut self, side: Side, state: TcpState) -> Option<&mut Population> {
        match self.populations.entry((side, state)) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(new) => Population::new().map(|population| new.insert(population)),
        }
    }

    /// `count` spans that ended after `span`.
    pub fn ended(&mut self, side: Side, state: TcpState, span: Duration, count: u64) {
        if count > 0
            && let Some(population) = self.of(side, state)
        {
            population.ended.record(span, count);
        }
    }

    /// `count` spans that go on and are `age` old.
    pub fn open(&mut self, side: Side, state: TcpState, age: Duration, count: u64) {
        if count > 0
            && let Some(population) = self.of(side, state)
        {
            population.open.record(age, count);
        }
    }

    /// A timewait FIN_WAIT2 of which only an upper bound is known.
    pub fn between_sweeps(&mut self, side: Side) {
        if let Some(population) = self.of(side, TcpState::FinWait2) {
            population.between_sweeps += 1;
        }
    }

    /// What the kernel half counted without records.
    pub fn short(&mut self, cells: &[ShortDwell]) {
        for cell in cells {
            let middle = (micros(cell.low) as f64 * micros(cell.high) as f64).sqrt();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between two u64, positive"
            )]
            let span = Duration::from_micros(middle.round() as u64);
            self.ended(cell.side, cell.state, span, cell.count);
        }
    }

    /// Both together. Of those that go on only `other`'s are added where `open` says so.
    pub fn add(&mut self, other: &Self, open: bool) {
        for ((side, state), theirs) in &other.populations {
            if let Some(own) = self.of(*side, *state) {
                own.ended = own.ended.with(&theirs.ended);
                own.between_sweeps += theirs.between_sweeps;
                if open {
                    own.open = own.open.with(&theirs.open);
                }
            }
        }
    }

    /// What ended since `before`, of which this is a later state: none of them empty.
    #[must_use]
    pub fn ended_since(&self, before: &Self) -> Vec<Spans> {
        self.listed(|key, now| match before.populations.get(key) {
            Some(then) => now.ended.since(&then.ended),
            None => now.ended.clone(),
        })
    }

    /// The ages of what goes on: none of them empty.
    #[must_use]
    pub fn open_now(&self) -> Vec<Spans> {
        self.listed(|_, now| now.open.clone())
    }

    fn listed(&self, of: impl Fn(&(Side, TcpState), &Population) -> Counted) -> Vec<Spans> {
        let keys = Side::ALL
            .into_iter()
            .flat_map(|side| ORDER.map(|state| (side, state)));
        keys.filter_map(|key| Some((key, self.populations.get(&key)?)))
            .map(|(key, now)| (key, of(&key, now)))
            .filter(|(_, counted)| !counted.spans.is_empty())
            .map(|((side, state), counted)| Spans {
                side,
                state,
                counts: counted
                    .spans
                    .iter_recorded()
                    .map(|value| {
                        (
                            Duration::from_micros(value.value_iterated_to()),
                            value.count_at_value(),
                        )
                    })
                    .collect(),
            })
            .collect()
    }

    /// How many spans that ended were this long.
    #[must_use]
    pub fn ended_between(&self, side: Side, state: TcpState, low: Duration, high: Duration) -> u64 {
        self.populations.get(&(side, state)).map_or(0, |population| {
            population.ended.spans.count_between(micros(low), micros(high))
        })
    }

    /// As rows.
    #[must_use]
    pub fn rows(&self) -> Vec<Dwell> {
        let mut rows = Vec::new();
        for side in Side::ALL {
            for state in ORDER {
                if let Some(population) = self.populations.get(&(side, state)) {
                    rows.push(row(side, state, population));
                }
            }
        }
        rows
    }
}

fn row(side: Side, state: TcpState, population: &Population) -> Dwell {
    let none = Percentiles {
        p50: Duration::ZERO,
        p90: Duration::ZERO,
        p99: Duration::ZERO,
        max: Duration::ZERO,
    };
    let together = population
        .ended
        .with(&population.open)
        .percentiles()
        .unwrap_or(none);
    Dwell {
        side,
        state,
        ended: population.ended.spans.len(),
        open: population.open.spans.len(),
        between_sweeps: population.between_sweeps,
        p50: together.p50,
        p90: together.p90,
        p99: together.p99,
        max: together.max,
        buckets: buckets(population),
        ended_only: population.ended.percentiles(),
        open_only: population.open.percentiles(),
        spikes: Vec::new(),
    }
}

fn buckets(population: &Population) -> Vec<Bucket> {
    let lows = std::iter::once(0).chain(BOUNDS);
    let highs = BOUNDS.into_iter().map(Some).chain([None]);
    let count = |histogram: &Histogram<u64>, low: u64, high: Option<u64>| {
        histogram
            .iter_recorded()
            .filter(|value| {
                value.value_iterated_to() >= low && high.is_none_or(|high| value.value_iterated_to() < high)
            })
            .map(|value| value.count_at_value())
            .sum()
    };
    let all: Vec<Bucket> = lows
        .zip(highs)
        .map(|(low, high)| Bucket {
            low: Duration::from_micros(low),
            high: high.map(Duration::from_micros),
            ended: count(&population.ended.spans, low, high),
            open: count(&population.open.spans, low, high),
        })
        .collect();
    let used = |bucket: &Bucket| bucket.ended + bucket.open > 0;
    let first = all.iter().position(used).unwrap_or(0);
    let last = all.iter().rposition(used).map_or(0, |last| last + 1);
    all.get(first..last).map(<[Bucket]>::to_vec).unwrap_or_default()
}
