//! Before and after: what a change of the configuration, or of a peer, has changed.
//!
//! Two looks at the same thing never count the same. A difference is one only if it is larger than what such counts differ by themselves:
//! three standard deviations of their sum, and a quarter of the larger.

mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::snapshot::{Dwell, Snapshot};
use crate::sock::Side;
use crate::stream::Name;
use crate::tcp::TcpState;
use crate::verdicts::{Finding, Verdict, Whom};
pub use sessions::Sessions;
use sessions::sessions;

/// How one figure stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// There were some, and there is none.
    Gone,
    /// Fewer, or shorter.
    Less,
    /// No difference that means anything.
    Same,
    /// More, or longer.
    More,
    /// There was none.
    New,
}

impl Change {
    /// The word the views and the JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Less => "less",
            Self::Same => "same",
            Self::More => "more",
            Self::New => "new",
        }
    }

    /// Of counts.
    #[must_use]
    pub fn of(before: u64, after: u64) -> Self {
        let (low, high) = (before.min(after), before.max(after));
        let difference = high - low;
        // (high - low)² > 9 (high + low), in whole numbers.
        let beyond_chance = u128::from(difference).pow(2) > 9 * (u128::from(high) + u128::from(low))
            && u128::from(difference) * 4 > u128::from(high);
        match (beyond_chance, after < before) {
            (false, _) => Self::Same,
            (true, true) if after == 0 => Self::Gone,
            (true, true) => Self::Less,
            (true, false) if before == 0 => Self::New,
            (true, false) => Self::More,
        }
    }
}

/// Who waits for whom, in either of the two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// Whom.
    pub whom: Whom,
    /// On which side.
    pub side: Side,
    /// In which state.
    pub state: Option<TcpState>,
    /// Of which proxy.
    pub proxy: Option<Name>,
    /// And server.
    pub server: Option<Name>,
}

/// What there was of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sockets that wait.
    pub open: u64,
    /// Sockets that did.
    pub ended: u64,
    /// Their time, together.
    pub socket_seconds: Duration,
    /// The 99th percentile of their waits.
    pub p99: Option<Duration>,
    /// The longest that goes on.
    pub oldest: Option<Duration>,
}

/// One party before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// Who.
    pub party: Party,
    /// What it was found guilty of, where that was told last.
    pub verdict: Verdict,
    /// Before.
    pub before: Figures,
    /// After.
    pub after: Figures,
    /// How many wait.
    pub change: Change,
}

/// Dwell times before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// Side.
    pub side: Side,
    /// State.
    pub state: TcpState,
    /// Before; `None`: nothing was in it.
    pub before: Option<Dwell>,
    /// After.
    pub after: Option<Dwell>,
    /// How many are open.
    pub change: Change,
}

/// What became of it, all in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Who held the most does no more, and nobody else does instead.
    Worked,
    /// Fewer.
    Better,
    /// Nothing that means anything.
    Same,
    /// More, or others.
    Worse,
}

impl Outcome {
    /// The word the JSON uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worked => "worked",
            Self::Better => "better",
            Self::Same => "no-change",
            Self::Worse => "worse",
        }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Those that were, or are, waited for: those that changed most first.
    pub culprits: Vec<Culprit>,
    /// Dwell times by side and state.
    pub times: Vec<Times>,
    /// HAProxy's own counts: those that changed most first.
    pub sessions: Vec<Sessions>,
    /// Lingering sockets, before and after.
    pub lingering: (u64, u64),
    /// All in all.
    pub outcome: Outcome,
}

/// Holds one against the other.
#[must_use]
pub fn compare(before: &Snapshot, after: &Snapshot) -> Comparison {
    let culprits = culprits(before, after);
    let lingering = (before.lingering.len() as u64, after.lingering.len() as u64);
    Comparison {
        outcome: outcome(&culprits, lingering),
        times: times(before, after),
        sessions: sessions(before, after),
        lingering,
        culprits,
    }
}

fn culprits(before: &Snapshot, after: &Snapshot) -> Vec<Culprit> {
    let (then, now) = (parties(before), parties(after));
    let all: BTreeSet<&Party> = then.keys().chain(now.keys()).collect();
    let mut culprits: Vec<Culprit> = all
        .into_iter()
        .filter_map(|party| {
            let (then, now) = (then.get(party), now.get(party));
            let figures =
                |of: Option<&(Verdict, Figures)>| of.map(|(_, figures)| *figures).unwrap_or_default();
            let (before, after) = (figures(then), figures(now));
            Some(Culprit {
                party: party.clone(),
                verdict: now.or(then)?.0,
                before,
                after,
                change: Change::of(before.open, after.open),
            })
        })
        .collect();
    culprits.sort_by_key(|culprit| {
        let moved = culprit.before.open.abs_diff(culprit.after.open);
        (std::cmp::Reverse(moved), culprit.party.clone())
    });
    culprits
}

/// What is said of each; several findings of one party are one.
fn parties(snapshot: &Snapshot) -> BTreeMap<Party, (Verdict, Figures)> {
    let mut parties: BTreeMap<Party, (Verdict, Figures)> = BTreeMap::new();
    for finding in snapshot.findings.iter().filter(|finding| finding.accuses()) {
        let own = figures(finding);
        let entry = parties
            .entry(Party {
                whom: finding.whom.clone(),
                side: finding.side,
                state: finding.state,
                proxy: finding.proxy.clone(),
                server: finding.server.clone(),
            })
            .or_insert((finding.verdict, Figures::default()));
        entry.1 = Figures {
            open: entry.1.open.saturating_add(own.open),
            ended: entry.1.ended.saturating_add(own.ended),
            socket_seconds: entry.1.socket_seconds.saturating_add(own.socket_seconds),
            p99: entry.1.p99.max(own.p99),
            oldest: entry.1.oldest.max(own.oldest),
        };
    }
    parties
}

const fn figures(finding: &Finding) -> Figures {
    Figures {
        open: finding.open,
        ended: finding.ended,
        socket_seconds: finding.socket_seconds,
        p99: finding.p99,
        oldest: finding.oldest,
    }
}

fn times(before: &Snapshot, after: &Snapshot) -> Vec<Times> {
    let find = |snapshot: &Snapshot, key: (Side, TcpState)| {
        let mut rows = snapshot.dwell.iter();
        rows.find(|dwell| (dwell.side, dwell.state) == key).cloned()
    };
    let mut keys: Vec<(Side, TcpState)> = Vec::new();
    for dwell in before.dwell.iter().chain(&after.dwell) {
        if !keys.contains(&(dwell.side, dwell.state)) {
            keys.push((dwell.side, dwell.state));
        }
    }
    keys.into_iter()
        .map(|key| {
            let (before, after) = (find(before, key), find(after, key));
            let open = |of: &Option<Dwell>| of.as_ref().map_or(0, |dwell| dwell.open);
            Times {
                side: key.0,
                state: key.1,
                change: Change::of(open(&before), open(&after)),
                before,
                after,
            }
        })
        .collect()
}

fn outcome(culprits: &[Culprit], lingering: (u64, u64)) -> Outcome {
    let worse = |culprit: &Culprit| matches!(culprit.change, Change::More | Change::New);
    let less = |culprit: &Culprit| matches!(culprit.change, Change::Gone | Change::Less);
    let all = Change::of(lingering.0, lingering.1);
    match all {
        Change::More | Change::New => return Outcome::Worse,
        Change::Same if culprits.iter().any(worse) => return Outcome::Worse,
        _ => {}
    }
    let worst = culprits.iter().max_by_key(|culprit| culprit.before.open);
    match worst.filter(|worst| less(worst)) {
        // A tenth of what it was, or less.
        Some(worst) if worst.after.open * 10 <= worst.before.open && !culprits.iter().any(worse) => {
            Outcome::Worked
        }
        Some(_) => Outcome::Better,
        None if culprits.iter().any(less) || matches!(all, Change::Less | Change::Gone) => Outcome::Better,
        None => Outcome::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_more_than_chance() {
        for (before, after, change) in [
            (412, 3, Change::Less),
            (412, 0, Change::Gone),
            (412, 405, Change::Same),
            (412, 380, Change::Same),
            (3, 1, Change::Same),
            (0, 5, Change::Same),
            (0, 40, Change::New),
            (40, 120, Change::More),
            (10_000, 9_000, Change::Same),
            (0, 0, Change::Same),
            (u64::MAX, 0, Change::Gone),
        ] {
            assert_eq!(Change::of(before, after), change, "{before} {after}");
        }
    }

    fn culprit(before: u64, after: u64) -> Culprit {
        let figures = |open| Figures {
            open,
            ..Figures::default()
        };
        Culprit {
            party: Party {
                whom: Whom::Many(1),
                side: Side::Client,
                state: None,
                proxy: None,
                server: None,
            },
            verdict: Verdict::PeerNeverCloses,
            before: figures(before),
            after: figures(after),
            change: Change::of(before, after),
        }
    }

    #[test]
    fn all_in_all() {
        for (culprits, lingering, expected) in [
            (vec![culprit(412, 3)], (412, 3), Outcome::Worked),
            (vec![culprit(412, 200)], (412, 200), Outcome::Better),
            (vec![culprit(412, 405)], (412, 405), Outcome::Same),
            (vec![culprit(412, 3), culprit(0, 400)], (412, 403), Outcome::Worse),
            (vec![culprit(10, 100)], (10, 100), Outcome::Worse),
            (vec![], (0, 0), Outcome::Same),
        ] {
            assert_eq!(outcome(&culprits, lingering), expected, "{lingering:?}");
        }
    }
}
