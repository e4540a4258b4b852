//! An HdrHistogram interval log, read as its plotters read it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

/// What it has.
#[derive(Debug, Default)]
pub struct Counts {
    /// Values by tag.
    pub by_tag: BTreeMap<String, u64>,
    /// Different intervals.
    pub intervals: usize,
}

/// Counts what is in a log.
///
/// # Panics
/// When it isn't one.
#[must_use]
pub fn counts(log: &str) -> Counts {
    let mut counts = Counts::default();
    let mut starts = BTreeSet::new();
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        let LogEntry::Interval(told) = entry.expect("a line of a log") else {
            continue;
        };
        let bytes = STANDARD.decode(told.encoded_histogram()).expect("base64");
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut &bytes[..])
            .expect("a histogram");
        let tag = told.tag().expect("a tag").as_str().to_owned();
        *counts.by_tag.entry(tag).or_default() += histogram.len();
        starts.insert(told.start_timestamp());
    }
    counts.intervals = starts.len();
    counts
}
