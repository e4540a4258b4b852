//! The end of the play: rung once, heard by every thread of the stage, which then goes home.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Rung once. Threads rest on it in place of sleeping, so that `Ctrl-C` doesn't wait for a slow peer.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Ends the play.
    pub(super) fn ring(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    /// Waits this long. `false`: the bell was rung, go home.
    pub(super) fn rest(&self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        let mut rung = self.lock();
        while !*rung {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            rung = self
                .changed
                .wait_timeout(rung, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        false
    }

    /// A flag can't be left half written: a panic elsewhere doesn't spoil it.
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn rest_ends_by_itself_or_by_the_bell() {
        let bell = Arc::new(Bell::default());
        assert!(bell.rest(Duration::from_millis(1)));
        let other = Arc::clone(&bell);
        let began = Instant::now();
        let sleeper = std::thread::spawn(move || other.rest(Duration::from_secs(60)));
        bell.ring();
        assert!(!sleeper.join().unwrap());
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(!bell.rest(Duration::from_secs(60)), "it stays rung");
    }
}
