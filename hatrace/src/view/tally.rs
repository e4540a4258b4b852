//! Lingering sockets counted: by kind, and by peer and what they wait for. What TCP itself says, no more: why it doesn't come is another question.

use std::collections::{BTreeMap, BTreeSet};

use hatrace_core::snapshot::Lingering;
use hatrace_core::sock::{Holder, Side};
use hatrace_core::tcp::TcpState;
use hatrace_core::time::Age;

use super::names;

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

/// What a lingering socket waits for, by its state alone; those for which a peer is awaited, and nothing else ends it, first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaited {
    /// FIN_WAIT2 that HAProxy holds: the peer's FIN.
    PeerFin,
    /// FIN_WAIT1, LAST_ACK, CLOSING: the peer's ACK of HAProxy's FIN.
    PeerAck,
    /// SYN_SENT: an answer.
    Answer,
    /// FIN_WAIT2 that HAProxy has left to the kernel: the peer's FIN, or tcp_fin_timeout.
    PeerFinOrTimeout,
    /// CLOSE_WAIT: HAProxy's close; the peer has done its part.
    HaproxyClose,
    /// CLOSE_WAIT in the accept queue: HAProxy's accept().
    HaproxyAccept,
}

impl Awaited {
    /// What `row` waits for.
    #[must_use]
    pub const fn of(row: &Lingering) -> Self {
        match (row.state, row.holder) {
            (TcpState::FinWait2, Holder::Held) => Self::PeerFin,
            (TcpState::FinWait2, _) => Self::PeerFinOrTimeout,
            (TcpState::SynSent, _) => Self::Answer,
            (TcpState::CloseWait, Holder::Unaccepted) => Self::HaproxyAccept,
            (TcpState::CloseWait, _) => Self::HaproxyClose,
            _ => Self::PeerAck,
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::PeerFin => "the peer's FIN",
            Self::PeerAck => "the peer's ACK",
            Self::Answer => "the server's answer",
            Self::PeerFinOrTimeout => "the peer's FIN or tcp_fin_timeout",
            Self::HaproxyClose => "HAProxy's close",
            Self::HaproxyAccept => "HAProxy's accept",
        }
    }
}

/// Lingering sockets of one peer that wait for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What they wait for.
    pub awaited: Awaited,
    /// Side.
    pub side: Side,
    /// Its address; a server's with its port, which says which server it is.
    pub name: String,
    /// What HAProxy calls it: the frontend, or backend and server; `several`, or `-` where that isn't known.
    pub place: String,
    /// How many.
    pub open: u64,
    /// The oldest.
    pub oldest: Age,
    /// Its states, most frequent first.
    pub states: Vec<(TcpState, u64)>,
}

/// The peers with lingering sockets: in the order of [`Awaited`], then those with the most. Sockets whose addresses are not known are left out.
#[must_use]
pub fn peers(rows: &[&Lingering]) -> Vec<Peer> {
    struct Heap {
        open: u64,
        places: BTreeSet<String>,
        oldest: Age,
        states: BTreeMap<TcpState, u64>,
    }
    let mut heaps: BTreeMap<(Awaited, Side, String), Heap> = BTreeMap::new();
    for row in rows {
        let Some(ends) = row.endpoints else { continue };
        let name = match row.side {
            Side::Server => ends.peer.to_string(),
            _ => ends.peer.ip().to_string(),
        };
        let heap = heaps.entry((Awaited::of(row), row.side, name)).or_insert(Heap {
            open: 0,
            places: BTreeSet::new(),
            oldest: row.age,
            states: BTreeMap::new(),
        });
        heap.open += 1;
        heap.places.extend(place(row));
        if row.age.at_least > heap.oldest.at_least {
            heap.oldest = row.age;
        }
        *heap.states.entry(row.state).or_default() += 1;
    }
    let mut peers: Vec<Peer> = heaps
        .into_iter()
        .map(|((awaited, side, name), heap)| {
            let mut states: Vec<_> = heap.states.into_iter().collect();
            states.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            Peer {
                awaited,
                side,
                name,
                place: match (heap.places.len(), heap.places.into_iter().next()) {
                    (1, Some(place)) => place,
                    (0, _) => "-".to_owned(),
                    _ => "several".to_owned(),
                },
                open: heap.open,
                oldest: heap.oldest,
                states,
            }
        })
        .collect();
    peers.sort_by_key(|peer| (peer.awaited, std::cmp::Reverse((peer.open, peer.oldest.at_least))));
    peers
}

/// The frontend of a client's socket, backend and server of a server's.
fn place(row: &Lingering) -> Option<String> {
    let naming = &row.naming;
    naming.proxy.as_ref()?;
    Some(match row.side {
        Side::Server => names::place(row.side, naming),
        _ => names::proxy(naming),
    })
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
        assert_eq!(names, [("10.0.0.7", 2), ("10.0.0.8", 1), ("127.0.0.2:29001", 1)]);
        let places: Vec<_> = peers.iter().map(|peer| peer.place.as_str()).collect();
        assert_eq!(places, ["fe_http", "-", "-"]);
    }
}
