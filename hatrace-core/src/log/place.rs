//! How sessions ended at one place: a frontend, or a server.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::change::rise;
use super::entry::Entry;
use super::heavy::Heavy;
use super::series::{Series, Steps};
use super::summary::{Counted, Rate, Waits};
use crate::ending::{Code, Severity};
use crate::verdicts::Prefix;

/// A frontend, or a server.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) sessions: u64,
    pub(super) series: Series,
    ways: BTreeMap<Code, Way>,
}

/// One way to end, there.
#[derive(Debug)]
struct Way {
    severity: Severity,
    count: u64,
    series: Series,
    networks: Heavy,
    /// `Tw` in milliseconds, where that is what matters.
    queue: Option<Histogram<u64>>,
}

impl Way {
    fn new(code: Code) -> Self {
        let waits = matches!(code.ending()[1], b'T' | b'Q');
        Self {
            severity: code.severity(),
            count: 0,
            series: Series::default(),
            networks: Heavy::default(),
            queue: waits
                .then(|| Histogram::new_with_bounds(1, 86_400_000, 2).ok())
                .flatten(),
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.series.merge(other.series);
        self.networks.merge(other.networks, |(), ()| {});
        if let (Some(own), Some(theirs)) = (&mut self.queue, other.queue) {
            // Both were made alike.
            let _ = own.add(theirs);
        }
    }

    fn session(&mut self, entry: &Entry<'_>, step: Option<i64>) {
        self.count += 1;
        step.into_iter().for_each(|step| self.series.add(step));
        if let (Some(queue), Some(wait)) = (&mut self.queue, entry.queue) {
            queue.saturating_record(u64::try_from(wait).unwrap_or(0).max(1));
        }
    }
}

impl Place {
    /// A session whose ending isn't told.
    pub(super) fn uncoded(&mut self, step: Option<i64>) {
        self.sessions += 1;
        step.into_iter().for_each(|step| self.series.add(step));
    }

    /// One that ended so, and how much that matters. `network`: of its client, where that is to be counted.
    pub(super) fn session(
        &mut self,
        entry: &Entry<'_>,
        code: Code,
        step: Option<i64>,
        network: Option<Prefix>,
    ) -> Severity {
        self.uncoded(step);
        let way = self.ways.entry(code).or_insert_with(|| Way::new(code));
        way.session(entry, step);
        // Whose normal ends they are nobody asks.
        if let Some(network) = network.filter(|_| way.severity != Severity::Normal) {
            let _ = way.networks.add(network);
        }
        way.severity
    }

    /// Takes another one's in.
    pub(super) fn merge(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.series.merge(other.series);
        for (code, way) in other.ways {
            self.ways.entry(code).or_insert_with(|| Way::new(code)).merge(way);
        }
    }

    pub(super) fn double(&mut self, times: u32) {
        self.series.double(times);
        self.ways.values_mut().for_each(|way| way.series.double(times));
    }

    pub(super) fn settle(&mut self) {
        self.series.settle();
        self.ways.values_mut().for_each(|way| way.series.settle());
    }

    /// What each way to end comes to. `span`: the first step and the last of all places.
    pub(super) fn counted<'a>(
        &'a self,
        name: &'a str,
        steps: &'a Steps,
        span: Option<(i64, i64)>,
    ) -> impl Iterator<Item = Counted> + 'a {
        const PARTS: usize = 24;
        self.ways.iter().map(move |(code, way)| {
            let rise = (way.severity >= Severity::Anomaly)
                .then(|| rise(&way.series, &self.series, 1))
                .flatten();
            Counted {
                place: name.to_owned(),
                code: *code,
                severity: way.severity,
                count: way.count,
                of: self.sessions,
                rate: span.map(|span| Rate::of(way.count, &way.series, steps, span)),
                over_time: span.map(|span| way.series.parts(span, PARTS)).unwrap_or_default(),
                rise,
                rose_at: rise.map(|rise| (rise.step.saturating_mul(steps.width), steps.width)),
                networks: way
                    .networks
                    .sorted()
                    .iter()
                    .map(|(of, count, ())| (*of, *count))
                    .collect(),
                elsewhere: way.networks.elsewhere(),
                queue: way
                    .queue
                    .as_ref()
                    .filter(|queue| !queue.is_empty())
                    .map(|queue| Waits {
                        p50: queue.value_at_quantile(0.5),
                        p90: queue.value_at_quantile(0.9),
                        max: queue.max(),
                    }),
            }
        })
    }
}
