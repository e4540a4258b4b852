//! How a session ended, in HAProxy's own words: the termination code of its logs (configuration manual, section 8.5), taken apart.

mod cookies;
mod events;
mod letters;
mod pairs;

use std::fmt;

pub use cookies::{COOKIES, cookie};
pub use events::{Event, Layer, events};
pub use letters::{Letter, Position, letter, letters};
pub use pairs::{PAIRS, Pair, pair};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Normal,
    /// HAProxy did it, as it was told to: a redirect, a denial, an administrator.
    Meant,
    /// Somebody left, or waited for too long: worth counting.
    Anomaly,
    /// Something is broken or used up: one is too many.
    Alarm,
}

impl Severity {
    /// The word the views and the JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Meant => "meant",
            Self::Anomaly => "anomaly",
            Self::Alarm => "alarm",
        }
    }
}

/// A termination code: two characters of a TCP session, four of an HTTP request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    letters: [u8; 4],
    cookies: bool,
}

impl Code {
    /// From a log's field: `sD`, `sD--`, `--NI`. `None`: those are no letters of such a code.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (letters, cookies) = match *text {
            [one, two] => ([one, two, b'-', b'-'], false),
            [one, two, three, four] => ([one, two, three, four], true),
            _ => return None,
        };
        let fits = letters
            .iter()
            .all(|letter| letter.is_ascii_alphabetic() || *letter == b'-');
        fits.then_some(Self { letters, cookies })
    }

    /// The first two: what ended it, and when.
    #[must_use]
    pub const fn ending(&self) -> [u8; 2] {
        [self.letters[0], self.letters[1]]
    }

    /// The last two: the persistence cookie, as it came and as it went; `None` in TCP mode.
    #[must_use]
    pub fn cookie(&self) -> Option<[u8; 2]> {
        self.cookies.then_some([self.letters[2], self.letters[3]])
    }

    /// The same without the cookie's letters.
    #[must_use]
    pub const fn without_cookie(self) -> Self {
        Self {
            letters: [self.letters[0], self.letters[1], b'-', b'-'],
            cookies: false,
        }
    }

    /// How much it matters: by the pair where it is a documented one, else by what ended it.
    #[must_use]
    pub fn severity(&self) -> Severity {
        let [one, _] = self.ending();
        let by_letter = letter(Position::Cause, one).map(|letter| letter.severity);
        // These two are alarms by themselves, whenever they strike.
        if matches!(one, b'I' | b'R') {
            return Severity::Alarm;
        }
        pair(self.ending())
            .map(|pair| pair.severity)
            .or(by_letter)
            .unwrap_or(Severity::Anomaly)
    }

    /// What it says, in one line.
    #[must_use]
    pub fn meaning(&self) -> String {
        if let Some(pair) = pair(self.ending()) {
            return pair.means.to_owned();
        }
        let [one, two] = self.ending();
        match (letter(Position::Cause, one), letter(Position::Phase, two)) {
            (Some(cause), Some(phase)) => format!("{}; {}", cause.means, phase.means),
            (Some(cause), None) => format!(
                "{}; `{}` is no phase that the manual knows",
                cause.means,
                char::from(two)
            ),
            (None, _) => format!("`{}` is no cause that the manual knows", char::from(one)),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = if self.cookies { 4 } else { 2 };
        f.pad(std::str::from_utf8(&self.letters[..length]).unwrap_or("?"))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_taken_apart() {
        let code = Code::parse(b"sD--").unwrap();
        assert_eq!((code.ending(), code.cookie()), (*b"sD", Some(*b"--")));
        assert_eq!(code.to_string(), "sD--");
        assert_eq!(code.without_cookie().to_string(), "sD");
        assert_eq!(Code::parse(b"sD").unwrap().cookie(), None);
        for text in ["", "s", "sD-", "sD---", "s1", "0/"] {
            assert_eq!(Code::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_documented_pair_has_its_letters() {
        for pair in &PAIRS {
            let [one, two] = pair.code;
            assert!(letter(Position::Cause, one).is_some(), "{:?}", pair.name());
            assert!(letter(Position::Phase, two).is_some(), "{:?}", pair.name());
        }
        for pair in &COOKIES {
            let [one, two] = pair.code;
            assert!(letter(Position::CookieIn, one).is_some(), "{:?}", pair.name());
            assert!(letter(Position::CookieOut, two).is_some(), "{:?}", pair.name());
        }
    }

    #[test]
    fn alarms_are_alarms_whenever_they_strike() {
        for (text, severity) in [
            ("--", Severity::Normal),
            ("----", Severity::Normal),
            ("IH", Severity::Alarm),
            ("RC", Severity::Alarm),
            ("RD", Severity::Alarm),
            ("LR", Severity::Meant),
            ("PR", Severity::Meant),
            ("KD", Severity::Meant),
            ("PC", Severity::Alarm),
            ("sD", Severity::Anomaly),
            ("CD", Severity::Anomaly),
            ("xx", Severity::Anomaly),
        ] {
            assert_eq!(
                Code::parse(text.as_bytes()).unwrap().severity(),
                severity,
                "{text}"
            );
        }
        assert!(Code::parse(b"xD").unwrap().meaning().contains("no cause"));
        assert!(Code::parse(b"Cx").unwrap().meaning().contains("no phase"));
    }
}
