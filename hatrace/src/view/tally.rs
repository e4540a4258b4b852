//! Lingering sockets counted: by kind and by peer. Counts only: who is to blame is another question.

use std::collections::BTreeMap;

use hatrace_core::snapshot::Lingering;
use hatrace_core::sock::{Holder, Side};
use hatrace_core::tcp::TcpState;
use hatrace_core::time::Age;

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

/// Lingering sockets of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Side.
    pub side: Side,
    /// Its address; a server's with its port, which says which server it is.
    pub name: String,
    /// How many.
    pub open: u64,
    /// The oldest.
    pub oldest: Age,
    /// Its states, most frequent first.
    pub states: Vec<(TcpState, u64)>,
}

/// The peers with lingering sockets, those with the most first. Sockets whose addresses are not known are left out.
#[must_use]
pub fn peers(rows: &[&Lingering]) -> Vec<Peer> {
    struct Heap {
        open: u64,
        oldest: Age,
        states: BTreeMap<TcpState, u64>,
    }
    let mut heaps: BTreeMap<(Side, String), Heap> = BTreeMap::new();
    for row in rows {
        let Some(ends) = row.endpoints else { continue };
        let name = match row.side {
            Side::Server => ends.peer.to_string(),
            _ => ends.peer.ip().to_string(),
        };
        let heap = heaps.entry((row.side, name)).or_insert(Heap {
            open: 0,
            oldest: row.age,
            states: BTreeMap::new(),
        });
        heap.open += 1;
        if row.age.at_least > heap.oldest.at_least {
            heap.oldest = row.age;
        }
        *heap.states.entry(row.state).or_default() += 1;
    }
    let mut peers: Vec<Peer> = heaps
        .into_iter()
        .map(|((side, name), heap)| {
            let mut states: Vec<_> = heap.states.into_iter().collect();
            states.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            Peer {
                side,
                name,
                open: heap.open,
                oldest: heap.oldest,
                states,
            }
        })
        .collect();
    peers.sort_by_key(|peer| std::cmp::Reverse((peer.open, peer.oldest.at_least)));
    peers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn kinds_and_peers_are_ranked_by_count() {
        let snapshot = sample::snapshot();
        let rows: Vec<&Lingering> = snapshot.lingering.iter().collect();
        assert_eq!(
            kinds_words(&kinds(&rows)),
            "2 FIN_WAIT2 held client, 1 FIN_WAIT2 timewait client, 1 CLOSE_WAIT held server, \
             1 CLOSE_WAIT unaccepted unknown"
        );
        let peers = peers(&rows);
        let names: Vec<_> = peers.iter().map(|peer| (peer.name.as_str(), peer.open)).collect();
        assert_eq!(names, [("10.0.0.7", 2), ("127.0.0.2:29001", 1), ("10.0.0.8", 1)]);
    }
}
