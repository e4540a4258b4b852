//! What a word on the command line stands for.

use std::time::Duration;

use hatrace_core::sock::Side;
use hatrace_core::tcp::TcpState;
use jiff::SignedDuration;

use super::options::Moment;

/// `500ms`, `2s`, `5m`, `1h30m`, `1.5s`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let spelled = if bare { format!("{text}s") } else { text.to_owned() };
    spelled
        .parse::<SignedDuration>()
        .ok()
        .and_then(|signed| Duration::try_from(signed).ok())
        .ok_or_else(|| "want a duration: 500ms, 2s, 5m, 1h30m; a bare number is seconds".to_owned())
}

/// A moment of a recording: by the wall clock with its zone, or so long after the beginning.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(wall) = text.trim().parse() {
        return Ok(Moment::Wall(wall));
    }
    let want = "want a time with its zone (2026-11-21T03:12:00Z, 2026-11-21T04:12:00+01:00), or how long after the beginning (90s)";
    duration(text).map(Moment::After).map_err(|_| want.to_owned())
}

/// Bytes: `500M`, `2GiB`, `1000000`. K, M and G are of 1024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let want = || "want a size: 500M, 2G".to_owned();
    let text = text.trim().to_ascii_uppercase();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err(want()),
    };
    let number: u64 = digits.parse().map_err(|_| want())?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(want)
}

/// How many files: one at least.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(count) if (1..=10_000).contains(&count) => Ok(count),
        _ => Err("want a number of files, 1 to 10000".to_owned()),
    }
}

/// A duration that isn't zero.
pub(super) fn some_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        some => Ok(some),
    }
}

/// The time between two sweeps. More often costs more than it shows; more rarely and short lives hide.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(60);
    let interval = duration(text)?;
    if (SHORTEST..=LONGEST).contains(&interval) {
        Ok(interval)
    } else {
        Err("must be from 100ms to 60s".to_owned())
    }
}

/// How many rows: a number, or `all`.
pub(super) fn rows(text: &str) -> Result<usize, String> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(usize::MAX);
    }
    text.parse()
        .map_err(|_| "want a number of sockets, or `all`".to_owned())
}

/// A state in which a socket can linger, in any spelling.
pub(super) fn state(text: &str) -> Result<TcpState, String> {
    let lingering = || {
        let names: Vec<&str> = TcpState::ALL
            .into_iter()
            .filter(|state| state.lingers())
            .map(TcpState::name)
            .collect();
        names.join(", ")
    };
    match TcpState::parse(text) {
        Some(state) if state.lingers() => Ok(state),
        Some(state) => Err(format!(
            "no socket gets stuck in {state}; those are {}",
            lingering()
        )),
        None => Err(format!("want one of {}", lingering())),
    }
}

/// A side.
pub(super) fn side(text: &str) -> Result<Side, String> {
    Side::ALL
        .into_iter()
        .find(|side| side.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            let names = Side::ALL.map(Side::name);
            format!("want one of {}", names.join(", "))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_every_spelling() {
        for (text, millis) in [
            ("500ms", 500),
            ("2s", 2_000),
            ("2", 2_000),
            ("0.5", 500),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("0", 0),
            (" 3 ", 3_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "-2s",
            "-1",
            "x",
            "5 apples",
            "1.2.3",
            ".",
            "99999999999999999999",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(some_duration("0").is_err());
    }

    #[test]
    fn an_interval_has_bounds() {
        assert_eq!(interval("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(interval("60"), Ok(Duration::from_secs(60)));
        assert!(interval("99ms").is_err());
        assert!(interval("61s").is_err());
    }

    #[test]
    fn states_as_the_kernel_or_ss_write_them() {
        for text in ["FIN_WAIT2", "fin-wait-2", "finwait2", "Fin_Wait_2"] {
            assert_eq!(state(text), Ok(TcpState::FinWait2), "{text}");
        }
        assert_eq!(
            state("TIME_WAIT"),
            Err("no socket gets stuck in TIME_WAIT; those are SYN_SENT, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING".to_owned())
        );
        assert!(state("FIN_WAIT3").is_err());
    }

    #[test]
    fn sides_and_rows() {
        assert_eq!(side("Client"), Ok(Side::Client));
        assert!(side("left").is_err());
        assert_eq!(rows("all"), Ok(usize::MAX));
        assert_eq!(rows("0"), Ok(0));
        assert!(rows("-1").is_err());
    }
}
