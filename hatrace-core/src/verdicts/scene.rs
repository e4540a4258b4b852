//! What the rules judge by: every socket that lingers, what is known around it, and what others did meanwhile.

mod around;
mod configured;

pub use configured::Limited;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Configuration;
use crate::ids::{Cookie, Netns, Pid};
use crate::input::Counts;
use crate::names::Names;
use crate::onsets::Onsets;
use crate::snapshot::Lingering;
use crate::sock::{Endpoints, Holder, Side, Timer};
use crate::stream::EndState;
use crate::survey::Surveys;
use crate::tcp::TcpState;
use crate::time::Mono;
use crate::tolls::{Awaited, Party, Toll, Tolls};

/// Below this age nobody is accused of anything: networks and programs take their time.
pub const YOUNG: Duration = Duration::from_secs(5);
/// From this silence on a socket speaks for itself.
pub const SURE: Duration = Duration::from_secs(10);
/// HAProxy is connected to itself no more often than this.
const LONGEST_CHAIN: usize = 16;
/// So many make a habit.
pub const HABIT: usize = 3;

/// The evidence.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The moment.
    pub now: Mono,
    /// Lingering sockets, oldest first.
    pub rows: &'a [Lingering],
    /// The other sockets of their sessions that are too young to be among them.
    pub(crate) pairs: BTreeMap<Cookie, Lingering>,
    pub(crate) index: BTreeMap<Cookie, usize>,
    pub(crate) ends: BTreeMap<(Netns, Endpoints), Cookie>,
    pub(crate) configured: &'a BTreeMap<Pid, Arc<Configuration>>,
    pub(crate) tolls: &'a Tolls,
    pub(crate) counts: &'a Counts,
    /// How many held FIN_WAIT2s each party has, and each side: open ones and those HAProxy had to end.
    pub(crate) unclosed: BTreeMap<Party, u64>,
    pub(crate) unclosed_by_side: BTreeMap<Side, u64>,
    /// Parties with a held FIN_WAIT2 that has been silent for long.
    pub(crate) silent: BTreeSet<Party>,
    pub(crate) surveys: &'a Surveys,
    pub(crate) onsets: &'a Onsets,
    pub(crate) names: &'a Names,
}

impl<'a> Scene<'a> {
    /// The socket of that cookie, if it lingers.
    #[must_use]
    pub fn row(&self, cookie: Cookie) -> Option<&Lingering> {
        match self.index.get(&cookie) {
            Some(index) => self.rows.get(*index),
            None => self.pairs.get(&cookie),
        }
    }

    /// The other socket of a session, if that lingers too.
    #[must_use]
    pub fn pair(&self, row: &Lingering) -> Option<&Lingering> {
        self.row(row.naming.pair?.cookie)
    }

    /// The socket whose waiting explains this one's: a CLOSE_WAIT that HAProxy keeps because the session's other side waits for its peer
    /// is explained by that one; and where HAProxy is connected to itself, what waits for HAProxy is explained by what that waits for.
    #[must_use]
    pub fn subject<'b>(&'b self, row: &'b Lingering) -> &'b Lingering {
        let mut at = row;
        for _ in 0..LONGEST_CHAIN {
            let next = if at.state == TcpState::CloseWait && at.holder == Holder::Held {
                self.pair(at).filter(|pair| Awaited::of(pair).is_some())
            } else {
                self.mirror(at)
                    .filter(|mirror| Awaited::of(at).is_some() && mirror.state == TcpState::CloseWait)
            };
            match next {
                Some(next) if next.cookie != row.cookie => at = next,
                _ => break,
            }
        }
        at
    }

    /// For how long nothing has come from the peer while the socket was in its state: a half-closed connection on which the peer goes on
    /// sending is at work.
    #[must_use]
    pub fn silence(&self, row: &Lingering) -> Duration {
        let heard = row.look.and_then(|look| {
            let quiet = look.quiet?;
            Some(quiet.data_received.saturating_add(self.now.since(look.at)))
        });
        heard.map_or(row.age.at_least, |heard| heard.min(row.age.at_least))
    }

    /// For how long the peer has acknowledged nothing.
    #[must_use]
    pub fn unacknowledged(&self, row: &Lingering) -> Duration {
        let heard = row.look.and_then(|look| {
            let quiet = look.quiet?;
            Some(quiet.ack_received.saturating_add(self.now.since(look.at)))
        });
        heard.map_or(row.age.at_least, |heard| heard.min(row.age.at_least))
    }

    /// For how long its queues have been as they are.
    #[must_use]
    pub fn still(&self, row: &Lingering) -> Duration {
        row.look
            .map_or(Duration::ZERO, |look| self.now.since(look.still_since))
    }

    /// Whether the peer's window is shut: the kernel probes it.
    #[must_use]
    pub fn window_shut(&self, row: &Lingering) -> bool {
        matches!(row.look.map(|look| look.timer), Some(Timer::Probe(_)))
    }

    /// Whether the session waits for a server: in a queue, or while connecting.
    #[must_use]
    pub fn server_state(&self, row: &Lingering) -> Option<EndState> {
        Some(row.naming.session.as_ref()?.facts.back.state)
    }

    /// The other end of a connection that HAProxy has with itself.
    #[must_use]
    pub fn mirror(&self, row: &Lingering) -> Option<&Lingering> {
        let ends = row.endpoints?;
        let mirrored = Endpoints {
            local: ends.peer,
            peer: ends.local,
        };
        self.row(*self.ends.get(&(row.netns?, mirrored))?)
    }

    /// Connections of that side that have ended as they should: short lives that the kernel half only counted, and waits that peers ended.
    #[must_use]
    pub fn well_ended(&self, side: Side) -> u64 {
        let by_peers: u64 = self
            .tolls
            .of(Awaited::Fin)
            .filter(|(party, _)| party.side == side)
            .map(|(_, toll)| toll.by_peer)
            .sum();
        self.counts.counted.get(side) + by_peers
    }

    /// How many connections these addresses have left unclosed.
    #[must_use]
    pub fn unclosed_by(&self, side: Side, addresses: &BTreeSet<IpAddr>) -> u64 {
        self.unclosed
            .iter()
            .filter(|(party, _)| party.side == side && addresses.contains(&party.address))
            .map(|(_, count)| count)
            .sum()
    }

    /// Whether waits that are over say something by themselves: several long ones that the peer did not end, or a very long one.
    #[must_use]
    pub fn is_telling(&self, toll: &Toll) -> bool {
        let by_others = |long: Duration| toll.longer_than(long).saturating_sub(toll.by_peer);
        by_others(YOUNG) >= HABIT as u64 || by_others(SURE * 3) > 0
    }

    /// Whether a party has left a connection unclosed for so long that its younger ones need no more waiting for.
    #[must_use]
    pub fn is_known_for_silence(&self, party: &Party) -> bool {
        self.silent.contains(party)
    }

    /// Whether one party leaves far more than its share of its side's connections unclosed: a good part of them while others close theirs,
    /// or, where nobody does, twice as many as its equals.
    #[must_use]
    pub fn stands_out(&self, party: &Party) -> bool {
        let own = self.unclosed.get(party).copied().unwrap_or(0);
        let all = self.unclosed_by_side.get(&party.side).copied().unwrap_or(0);
        let equals = || {
            let same_side = self.unclosed.iter().filter(|(other, _)| other.side == party.side);
            same_side.filter(|(_, count)| **count > 0).count() as u64
        };
        let enough = own >= HABIT as u64 && own.saturating_mul(5) >= all;
        enough
            && (self.well_ended(party.side) >= own
                || equals() > 1 && own.saturating_mul(equals()) >= all.saturating_mul(2))
    }
}

/// Connections that HAProxy has with itself.
impl Scene<'_> {
    /// Whether a row's session, or one next to it, is connected to HAProxy itself.
    #[must_use]
    pub fn loops(&self, row: &Lingering) -> bool {
        let pair = self.pair(row);
        self.mirror(row).is_some() || pair.is_some_and(|pair| self.mirror(pair).is_some())
    }

    /// From an outer socket through HAProxy to the other end: session by session.
    #[must_use]
    pub fn chain<'b>(&'b self, outer: &'b Lingering) -> Vec<&'b Lingering> {
        let mut chain = vec![outer];
        let mut at = outer;
        for _ in 0..LONGEST_CHAIN {
            let Some(pair) = self.pair(at) else { break };
            chain.push(pair);
            let Some(next) = self.mirror(pair) else { break };
            chain.push(next);
            at = next;
        }
        chain
    }
}
