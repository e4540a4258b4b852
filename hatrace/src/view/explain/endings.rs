//! Termination codes of HAProxy's logs: `sD--`, `sD`, or the cookie's two letters, `NI`.

use std::io::{self, Write};

use hatrace_core::ending::{Code, Event, Letter, Pair, Position, cookie, events, letter, pair};
use serde_json::{Value, json};

/// A code, taken apart.
#[derive(Clone, Debug)]
pub struct Ending {
    /// As it was given.
    pub name: String,
    /// What the first two letters mean together; `None`: they aren't given, or nobody has said what.
    pub pair: Option<&'static Pair>,
    /// What the last two do.
    pub cookie: Option<&'static Pair>,
    /// How much it matters.
    pub severity: &'static str,
    /// Each letter.
    pub letters: Vec<&'static Letter>,
}

/// What a word is.
#[derive(Clone, Debug)]
pub enum Found {
    /// `term_events`: what was seen, in order.
    Events(String, Vec<Event>),
    /// A code.
    Ending(Ending),
    /// It looks like one, and isn't: which letter is unknown, and where.
    Unknown(String),
}

/// The code of that name; `None`: it has not the shape of one. Case matters: `cD` is not `CD`.
#[must_use]
pub fn find(word: &str) -> Option<Found> {
    if let Some(all) = events(word.as_bytes()) {
        return Some(Found::Events(word.to_owned(), all));
    }
    let code = Code::parse(word.as_bytes())?;
    let places = match word.len() {
        4 => vec![
            Position::Cause,
            Position::Phase,
            Position::CookieIn,
            Position::CookieOut,
        ],
        // Two letters may be the last two alone.
        _ if is(word, [Position::Cause, Position::Phase]) => vec![Position::Cause, Position::Phase],
        _ if is(word, [Position::CookieIn, Position::CookieOut]) => {
            vec![Position::CookieIn, Position::CookieOut]
        }
        _ => vec![Position::Cause, Position::Phase],
    };
    let mut letters = Vec::new();
    for (at, byte) in places.iter().zip(word.bytes()) {
        match letter(*at, byte) {
            Some(letter) => letters.push(letter),
            None => {
                return Some(Found::Unknown(format!(
                    "`{}` is none of HAProxy's letters for {}",
                    char::from(byte),
                    place(*at)
                )));
            }
        }
    }
    let cookies_alone = places.first() == Some(&Position::CookieIn);
    let two = |from: usize| -> Option<[u8; 2]> { word.as_bytes().get(from..from + 2)?.try_into().ok() };
    let cookie_pair = match (word.len(), cookies_alone) {
        (4, _) => two(2),
        (_, true) => two(0),
        _ => None,
    };
    Some(Found::Ending(Ending {
        name: word.to_owned(),
        pair: (!cookies_alone).then(|| pair(code.ending())).flatten(),
        cookie: cookie_pair.and_then(cookie),
        severity: match (cookies_alone, cookie_pair.and_then(cookie)) {
            (true, Some(cookie)) => cookie.severity.name(),
            (true, None) => "normal",
            (false, _) => code.severity().name(),
        },
        letters,
    }))
}

fn is(word: &str, places: [Position; 2]) -> bool {
    places
        .into_iter()
        .zip(word.bytes())
        .all(|(at, byte)| letter(at, byte).is_some())
}

const fn place(at: Position) -> &'static str {
    match at {
        Position::Cause => "what ended a session (the first letter)",
        Position::Phase => "what HAProxy was waiting for (the second letter)",
        Position::CookieIn => "the client's cookie (the third letter)",
        Position::CookieOut => "the response's cookie (the fourth letter)",
    }
}

/// One code.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, ending: &Ending) -> io::Result<()> {
    writeln!(
        out,
        "{} (how a session ended, in HAProxy's logs; {})",
        ending.name, ending.severity
    )?;
    let pairs = [ending.pair, ending.cookie].into_iter().flatten();
    for pair in pairs.filter(|pair| ending.letters.len() == 2 || pair.code != *b"--" || ending.name == "----")
    {
        writeln!(out, "  what {}", pair.means)?;
        if !pair.cause.is_empty() {
            writeln!(out, "  why  {}", pair.cause)?;
        }
        for act in pair.act {
            writeln!(out, "  do   {act}")?;
        }
    }
    for letter in &ending.letters {
        writeln!(out, "  {}    {}", char::from(letter.letter), letter.means)?;
    }
    Ok(())
}

/// What was seen, line by line.
///
/// # Errors
/// The writer's.
pub fn write_events(out: &mut dyn Write, name: &str, all: &[Event]) -> io::Result<()> {
    writeln!(out, "{name} (term_events of HAProxy 3.2 and later)")?;
    all.iter().try_for_each(|event| writeln!(out, "  {event}"))
}

/// The same as one object.
///
/// # Errors
/// The writer's.
pub fn events_json(out: &mut dyn Write, name: &str, all: &[Event]) -> io::Result<()> {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    let object = json!({
        "schema": crate::view::json::SCHEMA, "view": "explain", "word": name, "kind": "term_events", "events": all,
    });
    writeln!(out, "{object}")
}

/// The same as one object.
///
/// # Errors
/// The writer's.
pub fn write_json(out: &mut dyn Write, ending: &Ending) -> io::Result<()> {
    let pair = |pair: Option<&Pair>| {
        pair.map(
            |pair| json!({"code": pair.name(), "means": pair.means, "cause": pair.cause, "do": pair.act}),
        )
    };
    let letters: Vec<Value> = ending
        .letters
        .iter()
        .map(|letter| json!({"letter": char::from(letter.letter).to_string(), "means": letter.means}))
        .collect();
    let object = json!({
        "schema": crate::view::json::SCHEMA, "view": "explain", "word": ending.name, "kind": "termination code",
        "severity": ending.severity, "ending": pair(ending.pair), "cookie": pair(ending.cookie), "letters": letters,
    });
    writeln!(out, "{object}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(word: &str) -> Ending {
        match find(word) {
            Some(Found::Ending(ending)) => ending,
            other => panic!("{word}: {other:?}"),
        }
    }

    #[test]
    fn codes_whole_and_in_halves() {
        assert!(ending("sD").pair.unwrap().means.contains("timeout server"));
        assert!(ending("sD--").pair.unwrap().means.contains("timeout server"));
        assert!(ending("--NI").cookie.unwrap().means.contains("got one"));
        for (word, cookies) in [
            ("NI", true),
            ("II", true),
            ("VN", true),
            ("DI", true),
            ("CD", false),
            ("--", false),
        ] {
            let ending = ending(word);
            let alone = ending.letters.first().unwrap().at == Position::CookieIn;
            assert_eq!(alone, cookies, "{word}");
        }
        // Not documented as a pair, known letter by letter.
        assert!(ending("KH").pair.is_none() && ending("KH").letters.len() == 2);
        assert!(matches!(find("{f1,m1,e1,S1s1,,,F7}"), Some(Found::Events(_, all)) if all.len() == 6));
        for word in ["xD", "Cx", "sDQQ", "sDNX"] {
            assert!(matches!(find(word), Some(Found::Unknown(_))), "{word}");
        }
        for word in ["", "s", "sD-", "FIN_WAIT2", "s1"] {
            assert!(find(word).is_none(), "{word}");
        }
    }
}
