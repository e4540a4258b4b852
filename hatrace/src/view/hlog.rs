//! Dwell times as an HdrHistogram interval log (V2): what its plotters read (HistogramLogAnalyzer, plotFiles.html, hdr-plot).
//!
//! Values are nanoseconds, which those plotters divide by a million to show milliseconds. A tag for each side and state:
//! `client_FIN_WAIT2` for what ended in the interval, `client_FIN_WAIT2_open` in the last one for the ages of what goes on; of several
//! hosts `lb1:client_FIN_WAIT2`.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::port::{Context, Interval};

/// The whole log.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, intervals: &[Interval], context: &Context) -> io::Result<()> {
    let start = SystemTime::from(context.started_at);
    let mut serializer = V2DeflateSerializer::new();
    let mut out = out;
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(concat!(
            "[hatrace ",
            env!("CARGO_PKG_VERSION"),
            ": dwell times of TCP states, in nanoseconds; tags are SIDE_STATE, _open for those that go on]"
        ))
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut out, &mut serializer)?;
    for interval in intervals {
        let after = interval.start.duration_since(context.started_at);
        let after = Duration::try_from(after).unwrap_or_default();
        let tag = tag(interval);
        let counted = histogram(interval).map_err(io::Error::other)?;
        log.write_histogram(&counted, after, interval.length, Tag::new(&tag))
            .map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(())
}

fn tag(interval: &Interval) -> String {
    let mut tag = String::new();
    if let Some(host) = &interval.host {
        tag.extend(host.chars().map(|c| {
            if c.is_alphanumeric() || ".-_".contains(c) {
                c
            } else {
                '_'
            }
        }));
        tag.push(':');
    }
    tag.push_str(&format!("{}_{}", interval.spans.side, interval.spans.state));
    if interval.open {
        tag.push_str("_open");
    }
    tag
}

fn histogram(interval: &Interval) -> Result<Histogram<u64>, String> {
    let mut counted = Histogram::new(3).map_err(|error| error.to_string())?;
    for (span, count) in &interval.spans.counts {
        let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        counted.record_n(ns, *count).map_err(|error| error.to_string())?;
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hatrace_core::dwell::Spans;
    use hatrace_core::sock::Side;
    use hatrace_core::tcp::TcpState;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::view::sample::{self, text};

    fn interval(after: i64, open: bool, host: Option<&str>, counts: &[(u64, u64)]) -> Interval {
        Interval {
            start: sample::context().started_at + jiff::SignedDuration::from_secs(after),
            length: Duration::from_secs(5),
            host: host.map(Into::into),
            open,
            spans: Spans {
                side: Side::Client,
                state: TcpState::FinWait2,
                counts: counts
                    .iter()
                    .map(|(ms, count)| (Duration::from_millis(*ms), *count))
                    .collect(),
            },
        }
    }

    #[test]
    fn it_is_read_back_as_it_was() {
        let intervals = [
            interval(0, false, None, &[(10, 3), (6_000, 2)]),
            interval(5, true, Some("lb 1"), &[(3_600_000, 1)]),
        ];
        let log = text(|out| write(out, &intervals, &sample::context()));
        assert!(log.starts_with("#[Histogram log format version 1.3]\n"), "{log}");
        let mut seen = Vec::new();
        let mut starts = 0;
        for entry in IntervalLogIterator::new(log.as_bytes()) {
            match entry.unwrap() {
                LogEntry::StartTime(_) | LogEntry::BaseTime(_) => starts += 1,
                LogEntry::Interval(told) => {
                    let bytes = STANDARD.decode(told.encoded_histogram()).unwrap();
                    let counted: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                    seen.push((
                        told.tag().unwrap().as_str().to_owned(),
                        told.start_timestamp(),
                        told.duration(),
                        counted.len(),
                        counted.value_at_quantile(1.0),
                    ));
                    // In milliseconds, as its header says.
                    assert!((told.max() * 1e6 - counted.max() as f64).abs() <= counted.max() as f64 / 1000.0);
                }
            }
        }
        assert_eq!(starts, 2);
        let told: Vec<(&str, u64, u64, u64)> = seen
            .iter()
            .map(|(tag, start, length, count, _)| (tag.as_str(), start.as_secs(), length.as_secs(), *count))
            .collect();
        assert_eq!(
            told,
            [
                ("client_FIN_WAIT2", 0, 5, 5),
                ("lb_1:client_FIN_WAIT2_open", 5, 5, 1)
            ]
        );
        for ((.., longest), true_ns) in seen.iter().zip([6e9, 3.6e12]) {
            assert!((*longest as f64 - true_ns).abs() <= true_ns / 1000.0, "{longest}");
        }
    }
}
