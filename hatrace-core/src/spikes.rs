//! Dwell times that pile up at a configured timeout: a spike there says which clock ended them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{ClockName, ClockSource};
use crate::config::TimeoutKind;
use crate::dwell::Dwells;
use crate::engine::Engine;
use crate::snapshot::{Dwell, Spike};
use crate::sock::Side;
use crate::tcp::TcpState;

/// So many make a spike, and so large a part (one in ...) of the spans that lasted at all.
const LEAST: u64 = 3;
const PART: u64 = 4;
/// What lasted less is no wait.
const LASTING: Duration = Duration::from_secs(1);

impl Engine {
    /// The spikes of each row.
    pub(crate) fn mark_spikes(&self, dwells: &Dwells, rows: &mut [Dwell]) {
        let clocks = self.clocks();
        for row in rows {
            let lasted = dwells.ended_between(row.side, row.state, LASTING, Duration::MAX);
            row.spikes = clocks
                .iter()
                .filter(|(_, names)| names.iter().any(|(name, _)| applies(*name, row.side, row.state)))
                .filter_map(|(length, names)| {
                    let (low, high) = around(*length);
                    let count = dwells.ended_between(row.side, row.state, low, high);
                    let names = names
                        .iter()
                        .filter(|(name, _)| applies(*name, row.side, row.state));
                    (count >= LEAST && count * PART >= lasted).then(|| Spike {
                        at: *length,
                        count,
                        clocks: names.cloned().collect(),
                    })
                })
                .collect();
        }
    }

    /// Every clock of which the length is known, by its length.
    fn clocks(&self) -> BTreeMap<Duration, Vec<(ClockName, ClockSource)>> {
        let mut clocks: BTreeMap<Duration, Vec<(ClockName, ClockSource)>> = BTreeMap::new();
        let mut add = |length: Duration, clock: (ClockName, ClockSource)| {
            let there = clocks.entry(length).or_default();
            if length >= LASTING && !there.contains(&clock) {
                there.push(clock);
            }
        };
        for proxy in self
            .configured
            .values()
            .flat_map(|configuration| &configuration.proxies)
        {
            for (kind, set) in &proxy.timeouts {
                if let Some(length) = set.value.duration() {
                    let source = ClockSource::Line(set.place.clone());
                    add(length, (ClockName::Timeout(*kind), source));
                }
            }
        }
        for limits in self.limits.values() {
            if let Some(length) = limits.fin_timeout {
                add(length, (ClockName::FinTimeout, ClockSource::Kernel));
            }
        }
        clocks
    }
}

/// HAProxy's timer begins with its FIN, the state with the acknowledgement; and both round.
fn around(length: Duration) -> (Duration, Duration) {
    let slack = (length / 64).max(Duration::from_millis(100));
    (length.saturating_sub(slack), length.saturating_add(slack))
}

/// Whether a clock can have ended a state on a side: its own side's, or, of a socket that waits for the session's other side, that one's.
fn applies(name: ClockName, side: Side, state: TcpState) -> bool {
    use TimeoutKind::{Client, ClientFin, Connect, Queue, Server, ServerFin, Tunnel};
    let served = matches!(side, Side::Client | Side::Server);
    match (name, state) {
        (ClockName::FinTimeout, TcpState::FinWait2) => true,
        (ClockName::Timeout(Connect), TcpState::SynSent) => true,
        (ClockName::Timeout(kind), TcpState::FinWait2) => match side {
            Side::Client => matches!(kind, Client | ClientFin | Tunnel),
            Side::Server => matches!(kind, Server | ServerFin | Tunnel),
            Side::Control | Side::Unknown => false,
        },
        (ClockName::Timeout(kind), TcpState::CloseWait) => {
            served
                && matches!(
                    kind,
                    Client | ClientFin | Server | ServerFin | Tunnel | Queue | Connect
                )
        }
        _ => false,
    }
}
