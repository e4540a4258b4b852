//! What has waited and waits no more, by whom it waited for: a leak that ends by a timeout is one all the same.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::event::Next;
use crate::life::Ending;
use crate::snapshot::Lingering;
use crate::sock::{Holder, Side};
use crate::stream::Name;
use crate::tcp::TcpState;

/// What a socket waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Awaited {
    /// The peer's FIN, HAProxy holding the descriptor.
    Fin,
    /// The peer's acknowledgement of HAProxy's FIN.
    Ack,
    /// A server's answer to a connection.
    Connection,
}

impl Awaited {
    /// What a row waits for, where that is its peer's business.
    #[must_use]
    pub fn of(row: &Lingering) -> Option<Self> {
        match (row.state, row.holder) {
            (TcpState::FinWait2, Holder::Held) => Some(Self::Fin),
            (TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck, _) => Some(Self::Ack),
            (TcpState::SynSent, _) => Some(Self::Connection),
            _ => None,
        }
    }
}

/// Whom a socket waits for: a client by its address and its frontend, a server by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party {
    /// The side.
    pub side: Side,
    /// The address.
    pub address: IpAddr,
    /// Its port, of a server.
    pub port: Option<u16>,
    /// The frontend, or the backend.
    pub proxy: Option<Name>,
    /// The server.
    pub server: Option<Name>,
}

impl Party {
    /// Of a row; `None` without addresses.
    #[must_use]
    pub fn of(row: &Lingering) -> Option<Self> {
        let peer = row.endpoints?.peer;
        let server = row.side == Side::Server;
        Some(Self {
            side: row.side,
            address: peer.ip(),
            port: server.then_some(peer.port()),
            proxy: row.naming.proxy.clone(),
            server: row.naming.server.clone().filter(|_| server),
        })
    }
}

impl Party {
    /// Whether another one is the same, or was before HAProxy told its names.
    #[must_use]
    pub fn is_or_was(&self, other: &Self) -> bool {
        let unnamed = other.proxy.is_none() && other.server.is_none();
        (self.side, self.address, self.port) == (other.side, other.address, other.port)
            && (unnamed || (&self.proxy, &self.server) == (&other.proxy, &other.server))
    }
}

/// What one party has cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Toll {
    /// Waits that are over.
    pub ended: u64,
    /// Of those, the ones the peer itself ended.
    pub by_peer: u64,
    /// How long they were, together.
    pub seconds: Duration,
    /// The longest.
    pub longest: Duration,
    /// How many by length: eight steps to each doubling.
    lengths: BTreeMap<u16, u64>,
}

impl Toll {
    fn add(&mut self, wait: Duration, by_peer: bool) {
        self.ended += 1;
        self.by_peer += u64::from(by_peer);
        self.seconds = self.seconds.saturating_add(wait);
        self.longest = self.longest.max(wait);
        *self.lengths.entry(step(wait)).or_default() += 1;
    }

    /// How many were longer than this, within a tenth.
    #[must_use]
    pub fn longer_than(&self, wait: Duration) -> u64 {
        self.lengths.range(step(wait)..).map(|(_, count)| count).sum()
    }

    /// Takes another one's in.
    pub fn merge(&mut self, other: &Self) {
        self.ended += other.ended;
        self.by_peer += other.by_peer;
        self.seconds = self.seconds.saturating_add(other.seconds);
        self.longest = self.longest.max(other.longest);
        for (step, count) in &other.lengths {
            *self.lengths.entry(*step).or_default() += count;
        }
    }

    /// The 99th percentile of these and of waits that go on; within a tenth.
    #[must_use]
    pub fn p99(&self, open: &[Duration]) -> Option<Duration> {
        let mut all = self.lengths.clone();
        for wait in open {
            *all.entry(step(*wait)).or_default() += 1;
        }
        let total: u64 = all.values().sum();
        let rank = (total * 99).div_ceil(100);
        let longest = open.iter().copied().fold(self.longest, Duration::max);
        let mut below = 0;
        for (step, count) in all {
            below += count;
            if below >= rank && total > 0 {
                return Some(length(step).min(longest));
            }
        }
        None
    }
}

fn step(wait: Duration) -> u16 {
    let ms = wait.as_secs_f64() * 1000.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a logarithm of a duration, never negative"
    )]
    let step = (ms.max(1.0).log2() * 8.0).round() as u16;
    step
}

fn length(step: u16) -> Duration {
    Duration::from_secs_f64((f64::from(step) / 8.0).exp2() / 1000.0)
}

/// Everybody's.
#[derive(Clone, Debug, Default)]
pub struct Tolls {
    by: BTreeMap<(Awaited, Party), Toll>,
    /// Waits of parties beyond the number that is kept.
    pub elsewhere: u64,
}

/// How many parties are kept apart. Those that cost much come early and often.
const PARTIES: usize = 20_000;

impl Tolls {
    /// A wait is over: the state of `row` was left.
    pub fn left(&mut self, row: &Lingering, next: Next) {
        // What HAProxy held for a while and then closed: the rest was the kernel's.
        if let Some(held_for) = row.held_for {
            self.wait(Awaited::Fin, row, held_for, false);
            return;
        }
        let Some(awaited) = Awaited::of(row) else { return };
        let by_peer = match next {
            Next::State(TcpState::TimeWait | TcpState::FinWait2 | TcpState::Established) => true,
            Next::Ended(ending) => matches!(
                ending,
                Ending::HandedTimeWait | Ending::ResetByPeer | Ending::Closed
            ),
            _ => false,
        };
        self.wait(awaited, row, row.age.at_least, by_peer);
    }

    fn wait(&mut self, awaited: Awaited, row: &Lingering, wait: Duration, by_peer: bool) {
        let Some(party) = Party::of(row) else { return };
        let key = (awaited, party);
        if self.by.len() >= PARTIES && !self.by.contains_key(&key) {
            self.elsewhere += 1;
            return;
        }
        self.by.entry(key).or_default().add(wait, by_peer);
    }

    /// Those who were waited for in one way.
    pub fn of(&self, awaited: Awaited) -> impl Iterator<Item = (&Party, &Toll)> {
        self.by
            .iter()
            .filter(move |((own, _), _)| *own == awaited)
            .map(|((_, party), toll)| (party, toll))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_tenth() {
        let mut toll = Toll::default();
        for seconds in 1..=100 {
            toll.add(Duration::from_secs(seconds), false);
        }
        let p99 = toll.p99(&[]).unwrap().as_secs_f64();
        assert!((90.0..=100.0).contains(&p99), "{p99}");
        let far = Duration::from_secs(10_000);
        assert_eq!(toll.p99(&[far; 50]), Some(far.min(length(step(far)))));
        assert_eq!(Toll::default().p99(&[]), None);
    }
}
