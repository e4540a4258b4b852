//! One line of a story: `SECONDS VERB WORD... KEY=VALUE...`.

use std::collections::BTreeMap;
use std::time::Duration;

use hatrace_core::sock::Side;
use hatrace_core::tcp::TcpState;
use hatrace_core::time::Mono;

/// The moment that stories call 0: late enough for sockets to be older.
pub const ORIGIN: Mono = Mono::from_ns(1_000_000_000_000_000);

/// A line, taken apart.
pub struct Line {
    /// When.
    pub at: Mono,
    /// What.
    pub verb: String,
    /// Bare words.
    pub words: Vec<String>,
    /// `key=value` words.
    pub keys: BTreeMap<String, String>,
}

impl Line {
    /// `None` for blank lines and remarks.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let text = text.split('#').next().unwrap_or("").trim();
        let mut words = text.split_whitespace();
        let Some(at) = words.next() else { return Ok(None) };
        let mut line = Self {
            at: moment(at)?,
            verb: words.next().ok_or("no verb")?.to_owned(),
            words: Vec::new(),
            keys: BTreeMap::new(),
        };
        for word in words {
            match word.split_once('=') {
                Some((key, value)) => {
                    line.keys.insert(key.to_owned(), value.to_owned());
                }
                None => line.words.push(word.to_owned()),
            }
        }
        Ok(Some(line))
    }

    /// Whether a bare word is among them.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|there| there == word)
    }

    /// The number of a key, `absent` where there is none.
    pub fn number<T: std::str::FromStr>(&self, key: &str, absent: T) -> Result<T, String> {
        match self.keys.get(key) {
            Some(value) => value.parse().map_err(|_| format!("{key} wants a number")),
            None => Ok(absent),
        }
    }

    /// The span of a key.
    pub fn span(&self, key: &str) -> Result<Option<Duration>, String> {
        self.keys.get(key).map(|value| span(value)).transpose()
    }
}

fn moment(text: &str) -> Result<Mono, String> {
    Ok(match text.strip_prefix('-') {
        Some(before) => ORIGIN.back(span(before)?),
        None => ORIGIN.plus(span(text)?),
    })
}

/// Seconds, with or without the `s`.
pub fn span(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| format!("{text} is no number of seconds"))?;
    let span = Duration::try_from_secs_f64(seconds).map_err(|why| format!("{text}: {why}"))?;
    // Microseconds: stories are told in decimal fractions, and an f64's dust is no part of them.
    Ok(Duration::from_micros(
        (span.as_nanos() as f64 / 1000.0).round() as u64
    ))
}

/// A side, by its name.
pub fn side(name: &str) -> Result<Side, String> {
    Side::ALL
        .into_iter()
        .find(|side| side.name() == name)
        .ok_or_else(|| format!("no such side: {name}"))
}

/// A state, by its name.
pub fn state(name: &str) -> Result<TcpState, String> {
    TcpState::parse(name).ok_or_else(|| format!("no such state: {name}"))
}
