//! One connection's silence: since when nothing came, the pauses before that, and when a clock would have struck in them.

use std::time::Duration;

use crate::time::Mono;

/// HAProxy looks at its timers when it wakes up: what ends so shortly after its time was ended by the clock, not sooner for it.
const LATE: Duration = Duration::from_millis(500);

/// A pause after which the peer sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pause {
    from: Mono,
    /// The last look at which nothing had come.
    quiet_until: Mono,
    to: Mono,
}

/// A connection that waits.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    pub(super) since: Mono,
    last: Mono,
    /// The last look at it.
    pub(super) looked: Mono,
    pauses: Vec<Pause>,
}

/// A clock that would have struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) at: Mono,
    /// How long the pause was, if the peer sent something afterwards.
    pub(super) cut: Option<Duration>,
}

impl Wait {
    pub(super) const fn new(since: Mono) -> Self {
        Self {
            since,
            last: since,
            looked: since,
            pauses: Vec::new(),
        }
    }

    /// A look, and when something had come last by then. Pauses shorter than `shortest` are nobody's business.
    pub(super) fn look(&mut self, at: Mono, came: Mono, shortest: Duration) {
        // The kernel tells it in milliseconds: the same moment differs by that from look to look.
        const GRAIN: Duration = Duration::from_millis(10);
        if came.since(self.last) > GRAIN {
            if came.since(self.last) >= shortest {
                self.pauses.push(Pause {
                    from: self.last,
                    quiet_until: self.looked.max(self.last),
                    to: came,
                });
            }
            self.last = came;
        }
        self.looked = at;
    }

    /// Whether something came after the beginning.
    pub(super) fn moved(&self) -> bool {
        self.last > self.since
    }

    /// When a clock of that length would have struck, if that is before `end`.
    pub(super) fn strike(&self, length: Duration, end: Mono) -> Option<Strike> {
        let cut = self
            .pauses
            .iter()
            .find(|pause| pause.quiet_until.since(pause.from) >= length);
        match cut {
            Some(pause) => Some(Strike {
                at: pause.from.plus(length),
                cut: Some(pause.to.since(pause.from)),
            }),
            None => (end.since(self.last) > length + LATE).then(|| Strike {
                at: self.last.plus(length),
                cut: None,
            }),
        }
    }

    /// Whether it may have struck in a pause that no look shows to have been long enough.
    pub(super) fn may_be_cut(&self, length: Duration) -> bool {
        self.pauses
            .iter()
            .any(|pause| pause.to.since(pause.from) >= length)
    }

    /// Whether a clock of that length ended it.
    pub(super) fn ended_by(&self, length: Duration, end: Mono) -> bool {
        end.since(self.last) + LATE >= length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Mono {
        Mono::from_ns(1_000_000_000_000 + ms * 1_000_000)
    }

    fn strike(wait: &Wait, length: u64, end: u64) -> Option<(Mono, Option<Duration>)> {
        let strike = wait.strike(Duration::from_millis(length), at(end))?;
        Some((strike.at, strike.cut))
    }

    #[test]
    fn silence_is_struck_once_and_a_clock_that_ended_it_struck_nothing() {
        let mut wait = Wait::new(at(0));
        for second in 1..60 {
            wait.look(at(second * 1000), at(0), SHORTEST);
        }
        assert_eq!(strike(&wait, 30_000, 60_000), Some((at(30_000), None)));
        assert_eq!(strike(&wait, 60_000, 60_020), None);
        assert!(wait.ended_by(Duration::from_secs(60), at(60_020)) && !wait.moved());
    }

    #[test]
    fn what_comes_after_a_pause_was_cut_and_what_keeps_coming_was_not() {
        let mut wait = Wait::new(at(0));
        // Something each 700 ms for ten seconds, then a pause of 4.5 s, then once more.
        for look in 1..=14 {
            let came = (look * 1000 / 700 * 700).min(9800);
            wait.look(at(look * 1000), at(came), SHORTEST);
        }
        wait.look(at(15_000), at(14_300), SHORTEST);
        let cut = Some(Duration::from_millis(4500));
        assert_eq!(strike(&wait, 4000, 15_000), Some((at(13_800), cut)));
        assert_eq!(strike(&wait, 5000, 15_000), None);
        assert_eq!(strike(&wait, 5000, 20_000), Some((at(19_300), None)));
        // Between two looks: the pause may have been long enough, and no look shows it.
        assert_eq!(strike(&wait, 4400, 15_000), None);
        assert!(wait.may_be_cut(Duration::from_millis(4400)));
    }
}
