//! `.if` and its kin: which lines of a file are in force (configuration manual, section 2.4; HAProxy's `src/cfgcond.c`).
//!
//! Three values: what depends on how HAProxy was built or started, and can't be seen from outside, is neither true nor false. Nothing
//! is ever executed to find out.

use std::cmp::Ordering;

use super::words::Environment;

/// What a condition comes to; `None`: only HAProxy itself can tell.
pub type Truth = Option<bool>;

/// What conditions are held against.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Variables.
    pub environment: &'a Environment,
    /// HAProxy's version, where it is known: `2.6.12-1+deb12u4`.
    pub version: Option<&'a str>,
}

/// Decides a condition: the words behind `.if`, put together again.
///
/// `!`, `&&`, `||` and parentheses; `&&` binds tighter.
#[must_use]
pub fn decide(text: &str, facts: &Facts<'_>) -> Truth {
    let mut parser = Parser {
        rest: text.trim(),
        facts,
        depth: 0,
    };
    if parser.rest.is_empty() {
        // An empty condition is false by the manual: `.if "$DEBUG"` with nothing in it.
        return Some(false);
    }
    let truth = parser.any();
    if parser.rest.trim().is_empty() {
        truth
    } else {
        None
    }
}

struct Parser<'a> {
    rest: &'a str,
    facts: &'a Facts<'a>,
    depth: u32,
}

/// More parentheses than anybody writes.
const DEEPEST: u32 = 64;

fn or(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn and(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

impl<'a> Parser<'a> {
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn any(&mut self) -> Truth {
        let mut truth = self.all();
        while self.take("||") {
            truth = or(truth, self.all());
        }
        truth
    }

    fn all(&mut self) -> Truth {
        let mut truth = self.one();
        while self.take("&&") {
            truth = and(truth, self.one());
        }
        truth
    }

    fn one(&mut self) -> Truth {
        let mut negated = false;
        while self.take("!") {
            negated = !negated;
        }
        let truth = if self.take("(") {
            self.depth += 1;
            if self.depth > DEEPEST {
                self.rest = "";
                return None;
            }
            let truth = self.any();
            let closed = self.take(")");
            self.depth -= 1;
            if closed { truth } else { None }
        } else {
            self.term()
        };
        truth.map(|truth| truth != negated)
    }

    /// A number, or a predicate with its arguments.
    fn term(&mut self) -> Truth {
        let rest = self.rest.trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        self.rest = after;
        if let Ok(number) = name.parse::<i64>() {
            return Some(number != 0);
        }
        if !self.take("(") {
            return None;
        }
        let close = self.rest.find(')')?;
        let (inside, after) = self.rest.split_at(close);
        self.rest = after.strip_prefix(')').unwrap_or(after);
        let arguments: Vec<&str> = inside.split(',').collect();
        self.predicate(name, &arguments)
    }

    fn predicate(&self, name: &str, arguments: &[&'a str]) -> Truth {
        let version = |text: &str| Some(compare(self.facts.version?, text));
        match (name, arguments) {
            ("defined", [name]) => Some(self.facts.environment.contains_key(name.trim())),
            ("streq", [one, other]) => Some(one == other),
            ("strneq", [one, other]) => Some(one != other),
            ("strstr", [text, part]) => Some(text.contains(part)),
            ("version_atleast", [text]) => version(text).map(Ordering::is_ge),
            ("version_before", [text]) => version(text).map(Ordering::is_lt),
            // feature(), enabled(), openssl_version_*(), awslc_*(): how it was built and started.
            _ => None,
        }
    }
}

/// Compares versions number by number; a development version is before its release: `2.6-dev3` < `2.6.0`.
fn compare(one: &str, other: &str) -> Ordering {
    numbers(one).cmp(&numbers(other))
}

fn numbers(version: &str) -> [u64; 4] {
    let version = version.trim().trim_start_matches('v');
    let digits = |text: &str| -> u64 {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end).and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let (release, dev) = match version.split_once("-dev") {
        Some((release, dev)) => (release, digits(dev)),
        None => (version, u64::MAX),
    };
    let mut parts = release.split('.').map(digits);
    let mut next = || parts.next().unwrap_or(0);
    let (major, minor, patch) = (next(), next(), next());
    [major, minor, if dev == u64::MAX { patch + 1 } else { 0 }, dev]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(text: &str) -> Truth {
        let environment = [("WEB".to_owned(), "1".to_owned())].into();
        decide(
            text,
            &Facts {
                environment: &environment,
                version: Some("2.6.12-1+deb12u4"),
            },
        )
    }

    #[test]
    fn predicates_and_operators() {
        for (text, expected) in [
            ("", Some(false)),
            ("1", Some(true)),
            ("0", Some(false)),
            ("defined(WEB)", Some(true)),
            ("!defined(WEB)", Some(false)),
            ("! defined(NONE) && 1", Some(true)),
            ("streq(a,a)", Some(true)),
            ("strneq(a,a)", Some(false)),
            ("strstr(haystack,hay)", Some(true)),
            ("version_atleast(2.4)", Some(true)),
            ("version_atleast(2.6.12)", Some(true)),
            ("version_atleast(2.7-dev1)", Some(false)),
            ("version_before(2.7-dev0)", Some(true)),
            ("0 || 1 && 1", Some(true)),
            ("(0 || 1) && 0", Some(false)),
            ("feature(OPENSSL)", None),
            ("feature(OPENSSL) || 1", Some(true)),
            ("feature(OPENSSL) && 0", Some(false)),
            ("enabled(EPOLL)", None),
            ("nonsense", None),
            ("streq(a", None),
            ("(1", None),
            ("1 1", None),
        ] {
            assert_eq!(decided(text), expected, "{text}");
        }
    }

    #[test]
    fn a_thousand_parentheses_are_no_stack() {
        assert_eq!(decided(&"(".repeat(100_000)), None);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(compare("2.10.0", "2.9.4"), Ordering::Greater);
        assert_eq!(compare("3.5-dev5", "3.5-dev4"), Ordering::Greater);
        assert_eq!(compare("3.5-dev5", "3.5.0"), Ordering::Less);
    }
}
