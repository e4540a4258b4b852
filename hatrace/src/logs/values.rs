//! Values as HAProxy writes them into its logs.

use std::net::IpAddr;

use hatrace_core::log::Written;

/// `10.0.0.7`, `2001:db8::1`; v4-mapped folded.
pub fn ip(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    match text.parse().ok()? {
        IpAddr::V6(v6) => Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)),
        v4 => Some(v4),
    }
}

/// Decimal digits, and nothing else.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + u64::from(byte - b'0'))
    })
}

/// A timer: digits, `-1`, or `+` and digits. Whether it had the plus.
pub fn timer(text: &[u8]) -> Option<(i64, bool)> {
    match text {
        [b'-', rest @ ..] => Some((-i64::try_from(number(rest)?).ok()?, false)),
        [b'+', rest @ ..] => Some((i64::try_from(number(rest)?).ok()?, true)),
        all => Some((i64::try_from(number(all)?).ok()?, false)),
    }
}

/// `20/Nov/2026:09:49:15.083`, with or without milliseconds, zone and brackets.
pub fn date(text: &[u8]) -> Option<Written> {
    let text = text.strip_prefix(b"[").unwrap_or(text);
    let digits = |range: std::ops::Range<usize>| {
        number(text.get(range)?).and_then(|number| i64::try_from(number).ok())
    };
    let month = match text.get(3..6)? {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    let shape = text.get(2) == Some(&b'/') && text.get(6) == Some(&b'/') && text.get(11) == Some(&b':');
    let (day, year) = (digits(0..2)?, digits(7..11)?);
    let (hour, minute, second) = (digits(12..14)?, digits(15..17)?, digits(18..20)?);
    if !shape || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let millis = match text.get(20) {
        Some(b'.') => digits(21..24)?,
        _ => 0,
    };
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin with March, so that a leap day is their last (H. Hinnant's `days_from_civil`).
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(number(b"007"), Some(7));
        for text in ["", "-1", "1x", "99999999999999999999"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
        assert_eq!(timer(b"-1"), Some((-1, false)));
        assert_eq!(timer(b"+120"), Some((120, true)));
        assert_eq!(timer(b"5"), Some((5, false)));
        assert_eq!(timer(b"--"), None);
        assert_eq!(ip(b"::ffff:10.0.0.7"), Some("10.0.0.7".parse().unwrap()));
        assert_eq!(ip(b"unix"), None);
    }

    #[test]
    fn dates() {
        assert_eq!(date(b"01/Jan/1970:00:00:00.000"), Some(0));
        assert_eq!(date(b"20/Nov/2026:09:49:15.083"), Some(1_795_168_155_083));
        assert_eq!(date(b"29/Feb/2024:23:59:59 +0000"), Some(1_709_251_199_000));
        for text in [
            "",
            "20/Xyz/2026:09:49:15.083",
            "20-Nov-2026:09:49:15",
            "20/Nov/2026:25:00:00",
            "20/Nov/2026",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
    }
}
