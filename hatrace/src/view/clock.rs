//! The clock that will end a lingering socket, in words.

use hatrace_core::clock::{Clock, ClockName, ClockSource};

use super::units;

/// In one word, for a column: `client-fin:27.1s(haproxy.cfg:12)`, `tcp_fin_timeout:57.7s`, `tcp_orphan_retries:?`, `none`, `?`.
#[must_use]
pub fn cell(clock: &Clock) -> String {
    let Some(name) = clock.name.name() else {
        return "?".to_owned();
    };
    let mut cell = name.trim_start_matches("timeout ").replace(' ', "-");
    if clock.ends() {
        cell.push(':');
        cell.push_str(&clock.fires_in.map_or_else(|| "?".to_owned(), units::cell));
    }
    if let ClockSource::Line(place) = &clock.source {
        cell.push_str(&format!("({place})"));
    }
    cell
}

/// In a sentence: `timeout client-fin (haproxy.cfg:12) in 27.1 s`. `None` where nothing is known.
#[must_use]
pub fn words(clock: &Clock) -> Option<String> {
    let mut words = match clock.name.name()? {
        "none" => "no clock".to_owned(),
        name => name.to_owned(),
    };
    if let ClockSource::Line(place) = &clock.source {
        words.push_str(&format!(" ({place})"));
    }
    if let Some(left) = clock.fires_in {
        words.push_str(&format!(" in {}", units::words(left)));
    }
    if !clock.certain {
        words.push_str(" probably");
    }
    Some(words)
}

/// Clocks of one length: `timeout tunnel (haproxy.cfg:18) or timeout client (haproxy.cfg:9)`.
#[must_use]
pub fn names(clocks: &[(ClockName, ClockSource)]) -> String {
    let names: Vec<String> = clocks
        .iter()
        .map(|(name, source)| match source {
            ClockSource::Line(place) => format!("{} ({place})", name.name().unwrap_or("?")),
            _ => name.name().unwrap_or("?").to_owned(),
        })
        .collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hatrace_core::config::{Place, TimeoutKind};

    use super::*;

    #[test]
    fn clocks_in_words_and_in_one() {
        let fin = Clock {
            name: ClockName::Timeout(TimeoutKind::ClientFin),
            source: ClockSource::Line(Place {
                file: "haproxy.cfg".into(),
                line: 12,
            }),
            fires_in: Some(Duration::from_millis(27_100)),
            length: Some(Duration::from_secs(30)),
            certain: true,
        };
        assert_eq!(cell(&fin), "client-fin:27.1s(haproxy.cfg:12)");
        assert_eq!(
            words(&fin).as_deref(),
            Some("timeout client-fin (haproxy.cfg:12) in 27.1s")
        );
        let kernel = Clock::kernel(ClockName::OrphanRetries, None);
        assert_eq!(cell(&kernel), "tcp_orphan_retries:?");
        assert_eq!(cell(&Clock::never()), "none");
        assert_eq!(cell(&Clock::default()), "?");
        assert_eq!(words(&Clock::default()), None);
    }
}
