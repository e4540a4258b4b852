//! Rows get their clocks: the kernel's, HAProxy's, or none.

use std::sync::Arc;

use crate::clock::{Clock, Proxies, haproxy_clock, kernel_clock};
use crate::config::Configuration;
use crate::engine::Engine;
use crate::ledger::Entry;
use crate::snapshot::Lingering;
use crate::sock::{Holder, Side};
use crate::tcp::TcpState;
use crate::time::{Mono, Since};

impl Engine {
    /// What the process of a row was configured with: its own, else that of the only one there is.
    pub(crate) fn configuration_of(&self, row: &Lingering) -> Option<&Arc<Configuration>> {
        match row.pid {
            Some(pid) => self.configured.get(&pid),
            None => {
                let mut all = self.configured.values();
                let only = all.next()?;
                all.next().is_none().then_some(only)
            }
        }
    }

    /// Gives a row that has its name its clock.
    pub(crate) fn time(&self, row: &mut Lingering, entry: &Entry, now: Mono) {
        let nothing = Configuration::default();
        let configuration = self.configuration_of(row).map_or(&nothing, Arc::as_ref);
        let proxies = Proxies::of(row, configuration);
        let limits = self.limits.get(&entry.life.netns).copied().unwrap_or_default();
        let user = proxies.user_timeout(row);
        let kernel = kernel_clock(entry, row.state, row.holder, &limits, user, now);
        let held = row.holder == Holder::Held && matches!(row.side, Side::Client | Side::Server);
        row.clock = if held {
            haproxy_clock(row, &proxies, &self.starts(row, entry), now).sooner(kernel)
        } else if row.holder == Holder::Unaccepted {
            Clock::never()
        } else {
            kernel
        };
    }

    /// When HAProxy may have started a timer anew: the moments at which the kernel saw this socket, or the other one of its session,
    /// begin to close. The row's own first.
    fn starts(&self, row: &Lingering, entry: &Entry) -> Vec<Mono> {
        let pair = row.naming.pair.and_then(|pair| self.entries.get(&pair.cookie));
        std::iter::once(entry)
            .chain(pair)
            .flat_map(|entry| {
                let life = &entry.life;
                let connecting = life.connecting_at.filter(|_| row.state == TcpState::SynSent);
                let steps = [life.closing, life.second].into_iter().flatten();
                connecting
                    .into_iter()
                    .chain(steps.filter_map(|step| match step.at {
                        Since::Exact(at) => Some(at),
                        _ => None,
                    }))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}
