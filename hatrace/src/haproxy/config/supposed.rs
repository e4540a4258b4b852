//! A line that is supposed to be in the configuration: `timeout client-fin 30s`, or `frontend fe: timeout client-fin 30s`.

use hatrace_core::config::{ProxyKind, TimeoutKind};
use hatrace_core::what_if::Line;

use super::values::limit;
use super::words::{Environment, words};

/// Understands one.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn supposed(text: &str) -> Result<Line, String> {
    let words = words(text, &Environment::default()).map_err(str::to_owned)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (section, rest) = match words.as_slice() {
        [keyword, name, rest @ ..] if name.len() > 1 && name.ends_with(':') => {
            let kind = section(keyword).ok_or_else(|| format!("no section `{keyword}`: {WANT}"))?;
            (Some((kind, name.trim_end_matches(':').into())), rest)
        }
        rest => (None, rest),
    };
    let ["timeout", which, value] = rest else {
        return Err(WANT.to_owned());
    };
    let kind = TimeoutKind::parse(which)
        .filter(|kind| Line::KINDS.contains(kind))
        .ok_or_else(|| {
            let known: Vec<&str> = Line::KINDS.into_iter().map(TimeoutKind::name).collect();
            format!(
                "what `timeout {which}` would change can't be told from sockets: {}",
                known.join(", ")
            )
        })?;
    if let Some((section, _)) = &section {
        let stands = section.accepts() && kind.of_frontend() || section.connects() && kind.of_backend();
        if !stands {
            return Err(format!(
                "`{}` has no effect in a {}",
                kind.name(),
                section.keyword()
            ));
        }
    }
    let length = limit(value)
        .ok_or_else(|| format!("`{value}` is no time: 30s, 5m, 1h; a bare number is milliseconds"))?
        .duration()
        .ok_or("0 means never: it would free nothing")?;
    Ok(Line {
        text: text.trim().to_owned(),
        section,
        kind,
        length,
    })
}

const WANT: &str = "want a line of the configuration: \"timeout client-fin 30s\", or \"frontend fe: timeout client-fin 30s\"";

fn section(keyword: &str) -> Option<ProxyKind> {
    [ProxyKind::Frontend, ProxyKind::Backend, ProxyKind::Listen]
        .into_iter()
        .find(|kind| kind.keyword() == keyword)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_that_can_be_supposed() {
        for (text, section, kind, seconds) in [
            ("timeout client-fin 30s", None, TimeoutKind::ClientFin, 30),
            (
                "  timeout   tunnel 3600000 # an hour",
                None,
                TimeoutKind::Tunnel,
                3600,
            ),
            (
                "frontend fe: timeout client-fin 1m",
                Some((ProxyKind::Frontend, "fe")),
                TimeoutKind::ClientFin,
                60,
            ),
            (
                "backend be:1: timeout server 1m",
                Some((ProxyKind::Backend, "be:1")),
                TimeoutKind::Server,
                60,
            ),
        ] {
            let line = supposed(text).unwrap();
            assert_eq!(
                (line.kind, line.length),
                (kind, Duration::from_secs(seconds)),
                "{text}"
            );
            let expected = section.map(|(kind, name)| (kind, name.into()));
            assert_eq!(line.section, expected, "{text}");
        }
    }

    #[test]
    fn lines_that_can_not() {
        for (text, word) in [
            ("", "want a line"),
            ("client-fin 30s", "want a line"),
            ("timeout client-fin", "want a line"),
            ("timeout check 3s", "can't be told"),
            ("timeout nonsense 3s", "can't be told"),
            ("timeout client-fin soon", "is no time"),
            ("timeout client-fin 0", "never"),
            ("backend be: timeout client-fin 3s", "no effect in a backend"),
            ("defaults x: timeout client-fin 3s", "no section"),
        ] {
            let why = supposed(text).unwrap_err();
            assert!(why.contains(word), "{text}: {why}");
        }
    }
}
