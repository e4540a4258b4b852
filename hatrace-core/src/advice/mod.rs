//! Advice: the configuration held against what operators learn the hard way, and against what is stuck. Each finding is a line.
//!
//! A rule a file, or a few that belong together. They are functions from what is configured to findings; nothing is guessed: a line that may
//! not be in force (`.if`) accuses nobody, and what a version does by itself isn't asked for.

mod access;
mod limits;
mod missing;
mod modes;
mod sticky;
mod text;
mod timeouts;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Configuration, Place};
use crate::snapshot::Snapshot;
use crate::stream::Name;
use crate::verdicts::Fix;
pub use text::{Section, Statement, Text};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is wrong: something will go wrong, or does.
    Fix,
    /// It is unusual, and guides advise against it.
    Consider,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word the views and the JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fix => "fix",
            Self::Consider => "consider",
            Self::Note => "note",
        }
    }
}

/// One finding about the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// A stable word for it: `client-fin-missing`.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The offending line; where something is missing, the section's header. `None`: it isn't of the configuration (a sysctl).
    pub place: Option<Place>,
    /// The section: `frontend fe`.
    pub section: String,
    /// Why, in a sentence or two.
    pub why: String,
    /// The line to write, where there is one.
    pub write: Option<String>,
    /// How many sockets that are stuck now it explains; `None`: nobody looked.
    pub evidence: Option<u64>,
}

/// The host's settings that belong to the configuration (`net.ipv4.*`); `None`: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `tcp_keepalive_time`.
    pub keepalive: Option<Duration>,
    /// `tcp_fin_timeout`.
    pub fin_timeout: Option<Duration>,
    /// `tcp_max_orphans`.
    pub max_orphans: Option<u64>,
    /// `tcp_max_tw_buckets`.
    pub max_timewaits: Option<u64>,
    /// `ip_local_port_range`: how many ports it has.
    pub ports: Option<u64>,
    /// The descriptors that the process may have (`RLIMIT_NOFILE`).
    pub files: Option<u64>,
}

/// What advice is given on.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What is configured.
    pub configuration: &'a Configuration,
    /// The lines themselves, where they are there.
    pub text: &'a Text,
    /// HAProxy's version, major and minor, where known.
    pub version: Option<(u32, u32)>,
    /// The host's settings.
    pub host: Host,
}

/// Everything there is to say; what explains sockets that are stuck now first, then by how much it matters, then by place.
#[must_use]
pub fn advise(subject: &Subject<'_>, seen: Option<&Snapshot>) -> Vec<Advice> {
    const RULES: [fn(&Subject<'_>) -> Vec<Advice>; 6] = [
        timeouts::all,
        missing::all,
        modes::all,
        limits::all,
        sticky::all,
        access::all,
    ];
    let mut all: Vec<Advice> = RULES.iter().flat_map(|rule| rule(subject)).collect();
    if let Some(snapshot) = seen {
        hold_against(&mut all, snapshot);
        all.extend(limits::used(subject, snapshot));
    }
    all.sort_by(|one, other| {
        let key = |advice: &Advice| {
            (
                std::cmp::Reverse(advice.evidence.unwrap_or(0)),
                advice.severity,
                advice.place.clone(),
                advice.rule,
            )
        };
        key(one).cmp(&key(other))
    });
    all
}

/// What would free sockets that are stuck now is advice as well; what says the same line is that advice, with its evidence.
fn hold_against(all: &mut Vec<Advice>, snapshot: &Snapshot) {
    all.iter_mut().for_each(|advice| advice.evidence = Some(0));
    for finding in &snapshot.findings {
        let stuck = finding.open + finding.pinned;
        for fix in &finding.fix {
            let Fix::Write { line, section, place } = fix else {
                continue;
            };
            let keyword = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            let same = |advice: &&mut Advice| {
                let write = advice.write.as_deref().map(keyword);
                advice.section == *section && write == Some(keyword(line))
            };
            match all.iter_mut().find(same) {
                Some(advice) => advice.evidence = Some(advice.evidence.unwrap_or(0) + stuck),
                None => all.push(Advice {
                    rule: finding.verdict.code(),
                    severity: if stuck > 0 {
                        Severity::Fix
                    } else {
                        Severity::Consider
                    },
                    place: Some(place.clone()),
                    section: section.clone(),
                    why: finding.because.first().cloned().unwrap_or_default(),
                    write: Some(line.clone()),
                    evidence: Some(stuck),
                }),
            }
        }
    }
}

/// Where and what; the rest is filled in by each rule.
fn advice(
    rule: &'static str,
    severity: Severity,
    place: &Place,
    section: impl Into<String>,
    why: impl Into<String>,
    write: Option<&str>,
) -> Advice {
    Advice {
        rule,
        severity,
        place: Some(place.clone()),
        section: section.into(),
        why: why.into(),
        write: write.map(str::to_owned),
        evidence: None,
    }
}

/// A name in a sentence.
fn quoted(name: &Name) -> String {
    format!("`{name}`")
}
