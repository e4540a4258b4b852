//! Durations and ages as people read them.
//!
//! Values are cut, never rounded up: "12m 04s" is a promise that twelve minutes and four seconds have passed.

use std::time::Duration;

use crate::time::{Age, AgeBound};

/// `46.4ms`, `5.96s`, `20m 53s`, `3h 02m`, `2d 04h`: about three figures.
#[must_use]
pub fn words(time: Duration) -> String {
    let micros = time.as_micros();
    let secs = time.as_secs();
    match secs {
        0 if time.is_zero() => "0s".to_owned(),
        0 if micros < 10 => "<0.01ms".to_owned(),
        0 if micros < 10_000 => format!("{}.{:02}ms", micros / 1000, micros / 10 % 100),
        0 if micros < 100_000 => format!("{}.{}ms", micros / 1000, micros / 100 % 10),
        0 => format!("{}ms", micros / 1000),
        1..10 => format!("{secs}.{:02}s", time.subsec_millis() / 10),
        10..60 => format!("{secs}.{}s", time.subsec_millis() / 100),
        60..3600 => format!("{}m {:02}s", secs / 60, secs % 60),
        3600..86_400 => format!("{}h {:02}m", secs / 3600, secs / 60 % 60),
        _ => format!("{}d {:02}h", secs / 86_400, secs / 3600 % 24),
    }
}

/// The same in one word, for a column: `20m53s`.
#[must_use]
pub fn cell(time: Duration) -> String {
    words(time).replace(' ', "")
}

/// A round figure as it would be typed: `34s`, `1s`, `500ms`, `5m`, `1h30m`. For limits and windows.
#[must_use]
pub fn round(time: Duration) -> String {
    let secs = time.as_secs();
    if secs == 0 {
        return if time.is_zero() {
            "0s".to_owned()
        } else {
            cell_of_millis(time)
        };
    }
    if secs < 10 && time.subsec_millis() != 0 {
        return cell(time);
    }
    let parts = [
        (secs / 86_400, 'd'),
        (secs / 3600 % 24, 'h'),
        (secs / 60 % 60, 'm'),
        (secs % 60, 's'),
    ];
    parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .take(2)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect()
}

fn cell_of_millis(time: Duration) -> String {
    if time.subsec_micros().is_multiple_of(1000) {
        format!("{}ms", time.as_millis())
    } else {
        cell(time)
    }
}

/// An age in a sentence: `5.96s`, `≥ 3h 02m`, `2m 04s..5m 10s`, `~4.20s`.
#[must_use]
pub fn age_words(age: Age) -> String {
    let low = words(age.at_least);
    match (age.bound, age.at_most) {
        (AgeBound::Exact, _) => low,
        (AgeBound::Polled, _) => format!("~{low}"),
        (AgeBound::AtLeast, _) | (AgeBound::Between, None) => format!("≥ {low}"),
        (AgeBound::Between, Some(at_most)) => {
            let high = words(at_most);
            if high == low {
                low
            } else {
                format!("{low}..{high}")
            }
        }
    }
}

/// The same in one word, for a column: `≥3h02m`, `2m04s..5m10s`.
#[must_use]
pub fn age_cell(age: Age) -> String {
    age_words(age).replace(' ', "")
}

/// Seconds for JSON, to the microsecond.
#[must_use]
pub fn seconds(time: Duration) -> f64 {
    // Exact up to 2^53 µs: 285 years.
    #[expect(clippy::cast_precision_loss, reason = "exact for any dwell there can be")]
    let micros = time.as_micros() as f64;
    micros / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn durations_have_about_three_figures() {
        for (micros, expected) in [
            (0, "0s"),
            (9, "<0.01ms"),
            (20, "0.02ms"),
            (500, "0.50ms"),
            (9_999, "9.99ms"),
            (46_410, "46.4ms"),
            (999_999, "999ms"),
            (5_960_000, "5.96s"),
            (9_999_999, "9.99s"),
            (34_200_000, "34.2s"),
            (59_999_999, "59.9s"),
            (60_000_000, "1m 00s"),
            (1_253_000_000, "20m 53s"),
            (10_920_000_000, "3h 02m"),
            (187_200_000_000, "2d 04h"),
        ] {
            assert_eq!(words(us(micros)), expected);
        }
        assert_eq!(cell(us(1_253_000_000)), "20m53s");
    }

    #[test]
    fn limits_read_as_they_are_typed() {
        for (millis, expected) in [
            (0, "0s"),
            (500, "500ms"),
            (1_000, "1s"),
            (2_500, "2.50s"),
            (34_200, "34s"),
            (300_000, "5m"),
            (5_400_000, "1h30m"),
            (90_061_000, "1d1h"),
        ] {
            assert_eq!(round(Duration::from_millis(millis)), expected);
        }
        assert_eq!(round(us(1500)), "1.50ms");
    }

    #[test]
    fn ages_say_what_they_rest_on() {
        let age = |bound, low: u64, high: Option<u64>| Age {
            at_least: Duration::from_secs(low),
            at_most: high.map(Duration::from_secs),
            bound,
        };
        for (given, expected) in [
            (age(AgeBound::Exact, 724, Some(724)), "12m 04s"),
            (age(AgeBound::AtLeast, 10_800, None), "≥ 3h 00m"),
            (age(AgeBound::Between, 124, Some(310)), "2m 04s..5m 10s"),
            (age(AgeBound::Between, 7200, Some(7201)), "2h 00m"),
            (age(AgeBound::Between, 124, None), "≥ 2m 04s"),
            (age(AgeBound::Polled, 4, Some(5)), "~4.00s"),
        ] {
            assert_eq!(age_words(given), expected);
        }
        assert_eq!(age_cell(age(AgeBound::Between, 124, Some(310))), "2m04s..5m10s");
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the very figure that JSON prints")]
    fn seconds_keep_the_microsecond() {
        assert_eq!(seconds(us(5_960_001)), 5.960_001);
        assert_eq!(seconds(Duration::from_nanos(1_999)), 0.000_001);
    }
}
