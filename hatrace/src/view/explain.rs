//! What verdicts, states, holders and timeouts mean, in plain words, with who must act. Offline: it is all in here.

pub mod endings;
pub mod seen;
mod states;
mod timeouts;
mod verdicts;

use std::io::{self, Write};

use hatrace_core::snapshot::Snapshot;
use serde_json::json;

use crate::port::Context;

/// What kind of word it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A verdict of hatrace's.
    Verdict,
    /// A TCP state.
    State,
    /// Who keeps a socket.
    Holder,
    /// A timeout of HAProxy's.
    Timeout,
    /// A clock of the kernel's.
    Kernel,
}

impl Kind {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::State => "TCP state",
            Self::Holder => "who keeps a socket",
            Self::Timeout => "timeout of HAProxy's",
            Self::Kernel => "clock of the kernel's",
        }
    }
}

/// One word explained.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The word.
    pub name: &'static str,
    /// What kind of word.
    pub kind: Kind,
    /// What it means.
    pub means: &'static str,
    /// Who must act, and how.
    pub who: &'static str,
    /// What ends such a socket.
    pub ends: &'static str,
    /// What to do.
    pub act: &'static [&'static str],
}

/// Every word, by kind.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    verdicts::ENTRIES
        .iter()
        .chain(&states::ENTRIES)
        .chain(&timeouts::ENTRIES)
}

/// Without what people write differently: case, hyphens, blanks, the word `timeout`.
fn plain(word: &str) -> String {
    let lower = word.trim().to_ascii_lowercase();
    let bare = lower.strip_prefix("timeout ").unwrap_or(&lower);
    bare.strip_prefix("net.ipv4.")
        .unwrap_or(bare)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect()
}

/// The entry of a word, however it is written: `FIN_WAIT2`, `fin-wait-2`, `timeout client-fin`, `client-fin`.
#[must_use]
pub fn find(word: &str) -> Option<&'static Entry> {
    let wanted = match plain(word).as_str() {
        "estab" => "established".to_owned(),
        other => other.to_owned(),
    };
    // `timewait` is who keeps a socket, `TIME_WAIT` and `time-wait` are the state.
    all()
        .find(|entry| entry.name.eq_ignore_ascii_case(word.trim()))
        .or_else(|| all().find(|entry| plain(entry.name) == wanted))
}

/// Words that are like one that there isn't.
#[must_use]
pub fn like(word: &str) -> Vec<&'static str> {
    let wanted = plain(word);
    let part = wanted.get(..wanted.len().min(4)).unwrap_or(&wanted);
    all()
        .filter(|entry| {
            let own = plain(entry.name);
            part.len() >= 3 && (own.contains(part) || wanted.contains(own.as_str()))
        })
        .map(|entry| entry.name)
        .take(3)
        .collect()
}

/// One entry.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, entry: &Entry) -> io::Result<()> {
    writeln!(out, "{} ({})", entry.name, entry.kind.name())?;
    for (head, text) in [("what", entry.means), ("who", entry.who), ("ends", entry.ends)] {
        if !text.is_empty() {
            writeln!(out, "  {head:<5}{text}")?;
        }
    }
    for act in entry.act {
        writeln!(out, "  {:<5}{act}", "do")?;
    }
    Ok(())
}

/// The same as one object; `seen`: with what of it there is in recordings.
///
/// # Errors
/// The writer's.
pub fn write_json(out: &mut dyn Write, entry: &Entry, seen: Option<(&Snapshot, &Context)>) -> io::Result<()> {
    let mut object = json!({
        "schema": super::json::SCHEMA, "view": "explain", "word": entry.name, "kind": entry.kind.name(),
        "means": entry.means, "who": entry.who, "ends": entry.ends, "do": entry.act,
    });
    if let Some((snapshot, context)) = seen {
        object["seen"] = seen::value(entry, snapshot, context);
    }
    writeln!(out, "{object}")
}

/// Every word there is, by kind.
///
/// # Errors
/// The writer's.
pub fn list(out: &mut dyn Write) -> io::Result<()> {
    let mut last = None;
    for entry in all() {
        if last != Some(entry.kind) {
            writeln!(out, "{}:", entry.kind.name())?;
            last = Some(entry.kind);
        }
        writeln!(out, "  {}", entry.name)?;
    }
    writeln!(out, "hatrace explain WORD")
}

/// The same as one object.
///
/// # Errors
/// The writer's.
pub fn list_json(out: &mut dyn Write, seen: Option<(&Snapshot, &Context)>) -> io::Result<()> {
    let words: Vec<_> = all()
        .map(|entry| {
            let mut word = json!({ "word": entry.name, "kind": entry.kind.name() });
            if let Some((snapshot, context)) = seen {
                word["seen"] = seen::value(entry, snapshot, context);
            }
            word
        })
        .collect();
    let object = json!({ "schema": super::json::SCHEMA, "view": "explain", "words": words });
    writeln!(out, "{object}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hatrace_core::config::TimeoutKind;
    use hatrace_core::sock::Holder;
    use hatrace_core::tcp::TcpState;
    use hatrace_core::verdicts::Verdict;

    use super::*;

    #[test]
    fn every_word_that_views_print_is_explained() {
        let states = TcpState::ALL
            .into_iter()
            .filter(|state| *state != TcpState::NewSynRecv);
        let words = Verdict::ALL
            .into_iter()
            .map(Verdict::code)
            .chain(states.map(TcpState::name))
            .chain(TimeoutKind::ALL.into_iter().map(TimeoutKind::name))
            .chain(
                [
                    Holder::Held,
                    Holder::Orphaned,
                    Holder::Timewait,
                    Holder::Unaccepted,
                ]
                .map(Holder::name),
            )
            .chain([
                "tcp_fin_timeout",
                "tcp_orphan_retries",
                "tcp_retries2",
                "tcp_syn_retries",
                "keepalive",
            ])
            .chain(["TCP_USER_TIMEOUT", "window probes", "none", "hard-stop-after"]);
        for word in words {
            let entry = find(word).unwrap_or_else(|| panic!("{word} is not explained"));
            assert!(!entry.means.is_empty() && !entry.who.is_empty(), "{word}");
        }
    }

    #[test]
    fn a_word_is_found_however_it_is_written() {
        for (word, name) in [
            ("fin-wait-2", "FIN_WAIT2"),
            ("client-fin", "timeout client-fin"),
            ("timeout client-fin", "timeout client-fin"),
            ("PEER_NEVER_CLOSES", "peer-never-closes"),
            ("estab", "ESTABLISHED"),
            ("net.ipv4.tcp_fin_timeout", "tcp_fin_timeout"),
        ] {
            assert_eq!(find(word).map(|entry| entry.name), Some(name), "{word}");
        }
        assert!(find("nothing of the kind").is_none());
        assert!(like("fin-wait").contains(&"FIN_WAIT1"));
        assert_eq!(find("time-wait").map(|entry| entry.kind), Some(Kind::State));
        assert_eq!(find("timewait").map(|entry| entry.kind), Some(Kind::Holder));
        let names: Vec<_> = all().map(|entry| entry.name.to_lowercase()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
