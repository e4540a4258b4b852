//! Lingering sockets counted by kind.

use std::collections::BTreeMap;

use hatrace_core::snapshot::Lingering;
use hatrace_core::sock::{Holder, Side};
use hatrace_core::tcp::TcpState;

/// Lingering sockets of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// State.
    pub state: TcpState,
    /// Who keeps them.
    pub holder: Holder,
    /// Side.
    pub side: Side,
    /// How many.
    pub open: u64,
}

/// The kinds there are, the most frequent first.
#[must_use]
pub fn kinds(rows: &[&Lingering]) -> Vec<Kind> {
    let mut counts: BTreeMap<(TcpState, Holder, Side), u64> = BTreeMap::new();
    for row in rows {
        *counts.entry((row.state, row.holder, row.side)).or_default() += 1;
    }
    let mut kinds: Vec<Kind> = counts
        .into_iter()
        .map(|((state, holder, side), open)| Kind {
            state,
            holder,
            side,
            open,
        })
        .collect();
    // Stable: equal counts stay in the order of their keys, so that the same snapshot gives the same text.
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.open));
    kinds
}

/// `31 FIN_WAIT2 held client, 7 CLOSE_WAIT held server`.
#[must_use]
pub fn kinds_words(kinds: &[Kind]) -> String {
    let parts: Vec<String> = kinds
        .iter()
        .map(|kind| format!("{} {} {} {}", kind.open, kind.state, kind.holder, kind.side))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn kinds_are_ranked_by_count() {
        let snapshot = sample::snapshot();
        let rows: Vec<&Lingering> = snapshot.lingering.iter().collect();
        assert_eq!(
            kinds_words(&kinds(&rows)),
            "2 FIN_WAIT2 held client, 1 FIN_WAIT2 timewait client, 1 CLOSE_WAIT held server, \
             1 CLOSE_WAIT unaccepted unknown"
        );
    }
}
