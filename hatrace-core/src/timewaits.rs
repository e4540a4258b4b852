//! TIME_WAITs: too many to follow one by one, and of a length that is known. They are counted when they begin.

use std::collections::VecDeque;
use std::time::Duration;

use crate::adopt::TIME_WAIT;
use crate::dwell::Dwells;
use crate::input::Counts;
use crate::sock::{BySide, Side};
use crate::tcp::TcpState;
use crate::time::Mono;

/// TIME_WAITs by when they began.
#[derive(Clone, Debug, Default)]
pub struct Timewaits {
    begun: VecDeque<(Mono, Side, u64)>,
    expired: BySide<u64>,
    told: BySide<u64>,
}

impl Timewaits {
    /// `count` began at `at`.
    pub fn begin(&mut self, at: Mono, side: Side, count: u64) {
        if count == 0 {
            return;
        }
        self.expire(at);
        match self.begun.back_mut() {
            // A quarter of a second is finer than any view of a minute.
            Some((last, last_side, total))
                if *last_side == side && at.since(*last) < Duration::from_millis(250) =>
            {
                *total += count;
            }
            _ => self.begun.push_back((at, side, count)),
        }
    }

    /// The kernel half's totals at `at`: what has been added since the last time began since then.
    pub fn counted(&mut self, at: Mono, counts: &Counts) {
        for side in Side::ALL {
            let total = counts.timewait_begun.get(side);
            let more = total.saturating_sub(self.told.get(side));
            self.told.set(side, total);
            self.begin(at, side, more);
        }
    }

    fn expire(&mut self, now: Mono) {
        while let Some(&(at, side, count)) = self.begun.front() {
            if now.since(at) < TIME_WAIT {
                break;
            }
            self.expired.set(side, self.expired.get(side) + count);
            self.begun.pop_front();
        }
    }

    /// Adds them to the dwell times as they stand at `now`.
    pub fn add_to(&self, dwells: &mut Dwells, now: Mono) {
        for side in Side::ALL {
            dwells.ended(side, TcpState::TimeWait, TIME_WAIT, self.expired.get(side));
        }
        for &(at, side, count) in &self.begun {
            let age = now.since(at);
            if age < TIME_WAIT {
                dwells.open(side, TcpState::TimeWait, age, count);
            } else {
                dwells.ended(side, TcpState::TimeWait, TIME_WAIT, count);
            }
        }
    }
}
