//! What is told as it happens: sockets that begin to linger, and those that leave a state in which they did.

use std::time::Duration;

use crate::engine::Engine;
use crate::event::{Event, Next};
use crate::ids::Cookie;
use crate::ledger::Entry;
use crate::life::{Life, Step};
use crate::tcp::TcpState;
use crate::time::{Mono, Since};

impl Engine {
    /// Tells of lingering states that a life has left, once each.
    pub(crate) fn tell_left(&mut self, cookie: Cookie, end: Option<(Mono, TcpState, Next)>) {
        let Some(entry) = self.entries.get_mut(&cookie) else {
            return;
        };
        let mut told = Vec::new();
        for (step, until, next) in spans(&entry.life, end) {
            if entry.left.has(step.state) || !step.state.lingers() {
                continue;
            }
            entry.left = entry.left.with(step.state);
            if until.since(step.at.latest()) >= self.settings.min {
                let row = Box::new(entry.row_left(step, Since::Exact(until)));
                told.push((until, row, next));
            }
        }
        for (at, mut row, next) in told {
            self.name(&mut row);
            self.tolls.left(&row, next);
            self.onsets.leaves(at, &row);
            self.events.push(Event::Left { at, row, next });
        }
    }

    /// A life that isn't followed any further has left its state at `end`: into the dwell times, and told if it lasted.
    pub(crate) fn end_state(&mut self, entry: &Entry, end: Since, next: Next) {
        let Some(step) = entry.current() else { return };
        let until = end.latest();
        let dwell = until.since(step.at.latest());
        self.dwells.ended(entry.life.side, step.state, dwell, 1);
        if dwell >= self.settings.min && step.state.lingers() {
            let mut row = Box::new(entry.row_left(step, end));
            self.name(&mut row);
            self.tolls.left(&row, next);
            self.onsets.leaves(until, &row);
            self.events.push(Event::Left { at: until, row, next });
        }
    }

    /// The same for one of which nothing is left.
    pub(crate) fn end_for_good(&mut self, entry: &Entry, end: Since, next: Next) {
        self.end_state(entry, end, next);
        self.remember_end(end.latest(), entry.life.cookie);
    }

    /// Tells of sockets that have begun to linger. One whose addresses no sweep has told yet waits a little for them, one whose name HAProxy
    /// will tell a little longer for that.
    pub(crate) fn announce(&mut self, at: Mono) {
        const PATIENCE: Duration = Duration::from_millis(2500);
        const NAME: Duration = Duration::from_secs(3);
        self.checked = at;
        let mut noticed = Vec::new();
        for entry in self.entries.values_mut() {
            let Some(step) = entry.current().filter(|step| step.state.lingers()) else {
                continue;
            };
            if entry.announced.has(step.state) {
                continue;
            }
            let age = at.since(step.at.latest());
            let min = self.settings.min;
            let addressed = entry.seen.is_some() || age >= min + PATIENCE;
            let named = !self.names.awaits(entry) || age >= min + NAME;
            if age >= min && addressed && named {
                entry.announced = entry.announced.with(step.state);
                noticed.push(Box::new(entry.row(step, at, self.settings.exact_timewaits)));
            }
        }
        for row in &mut noticed {
            self.name(row);
            if let Some(entry) = self.entries.get(&row.cookie) {
                self.time(row, entry, at);
            }
            self.onsets.begins(at, row);
        }
        // Many at once (those older than hatrace): in the order of the views.
        noticed.sort_by_key(|row| std::cmp::Reverse(row.age.at_least));
        self.events
            .extend(noticed.into_iter().map(|row| Event::Lingers { at, row }));
    }
}

/// The spans of a life that have ended: state, end, what came next. `end`: when and how the full socket ended.
pub(crate) fn spans(life: &Life, end: Option<(Mono, TcpState, Next)>) -> Vec<(Step, Mono, Next)> {
    let step = |state, at: Option<Mono>| {
        at.map(|at| Step {
            state,
            at: Since::Exact(at),
        })
    };
    let steps: Vec<Step> = [
        step(TcpState::SynSent, life.connecting_at),
        step(TcpState::Established, life.established_at),
        life.closing,
        life.second,
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut spans: Vec<(Step, Mono, Next)> = steps
        .windows(2)
        .filter_map(|pair| match pair {
            [one, next] => Some((*one, next.at.latest(), Next::State(next.state))),
            _ => None,
        })
        .collect();
    if let (Some(last), Some((at, _, next))) = (steps.last(), end) {
        spans.push((*last, at, next));
    }
    spans
}
