//! The kernel's own clocks: what ends a socket that HAProxy has left to it, or whose FIN nobody acknowledges.

use std::time::Duration;

use crate::clock::{Clock, ClockName};
use crate::input::Limits;
use crate::ledger::{Entry, Seen};
use crate::sock::{Holder, Timer};
use crate::tcp::TcpState;
use crate::time::Mono;

/// `TCP_RTO_MIN` and `TCP_RTO_MAX`.
const RTO_MIN: Duration = Duration::from_millis(200);
const RTO_MAX: Duration = Duration::from_secs(120);

/// Retransmissions of one segment that nobody acknowledges, as a look at the socket found them.
#[derive(Clone, Copy, Debug)]
pub struct Retransmissions {
    /// When the next one is due.
    pub next: Mono,
    /// The wait that ends then (`icsk_rto`).
    pub rto: Duration,
    /// How many there were (`icsk_retransmits`).
    pub done: u32,
}

impl Retransmissions {
    /// Of a look that saw the retransmission timer run.
    #[must_use]
    pub fn seen(seen: &Seen) -> Option<Self> {
        let Timer::Retransmit(left) = seen.timer else {
            return None;
        };
        Some(Self {
            next: seen.at.plus(left),
            rto: seen.rto?,
            done: u32::from(seen.retransmits),
        })
    }

    /// When the first one was made, or will be: waits double from one to the next.
    fn first(&self) -> Mono {
        let mut at = self.next;
        let mut rto = self.rto;
        for _ in 0..self.done {
            at = at.back(rto);
            rto /= 2;
        }
        at
    }

    /// When the kernel gives up after `retries` (`net/ipv4/tcp_timer.c: retransmits_timed_out()`): at the first retransmission due when as
    /// long has passed since the first one as `retries` would take at the smallest wait. So it takes at least that long, and up to twice.
    #[must_use]
    pub fn given_up(&self, retries: u32) -> Mono {
        self.due_after(modelled(retries))
    }

    /// When it gives up under a `TCP_USER_TIMEOUT` (`tcp_clamp_rto_to_user_timeout()` cuts the last wait short).
    #[must_use]
    pub fn given_up_by_user(&self, timeout: Duration) -> Mono {
        self.first().plus(timeout)
    }

    fn due_after(&self, allowed: Duration) -> Mono {
        /// More than fit into any limit: the wait is at its longest after ten.
        const MOST: u32 = 300;
        let first = self.first();
        let (mut at, mut rto) = (self.next, self.rto);
        for done in self.done..self.done + MOST {
            // The first one is always made: the limit counts from it.
            if done > 0 && at.since(first) >= allowed {
                break;
            }
            rto = (rto * 2).min(RTO_MAX);
            at = at.plus(rto);
        }
        at
    }
}

/// `tcp_model_timeout()`: how long `boundary` retransmissions take if the first wait is the shortest there is.
fn modelled(boundary: u32) -> Duration {
    // ilog2(RTO_MAX / RTO_MIN): from there on the wait doesn't grow.
    const THRESHOLD: u32 = 9;
    if boundary <= THRESHOLD {
        RTO_MIN * ((2 << boundary) - 1)
    } else {
        RTO_MIN * ((2 << THRESHOLD) - 1) + RTO_MAX * (boundary - THRESHOLD)
    }
}

/// The kernel's clock of a socket in `state`, if it has one that runs; `user`: its `TCP_USER_TIMEOUT`, where one is configured.
#[must_use]
pub fn clock(
    entry: &Entry,
    state: TcpState,
    holder: Holder,
    limits: &Limits,
    user: Option<Duration>,
    now: Mono,
) -> Clock {
    let seen = entry.seen.as_ref();
    let left = |seen: &Seen, left: Duration| left.saturating_sub(now.since(seen.at));
    let none = Clock::default();
    match (holder, state, seen.map(|seen| (seen, seen.timer))) {
        (Holder::Timewait, _, Some((seen, Timer::Timewait(at_look)))) => {
            fin_timeout(limits, Some(left(seen, at_look)))
        }
        (Holder::Orphaned, TcpState::FinWait2, Some((seen, Timer::Keepalive(at_look)))) => {
            fin_timeout(limits, Some(left(seen, at_look)))
        }
        (Holder::Timewait | Holder::Orphaned, TcpState::FinWait2, _) => fin_timeout(limits, None),
        (_, TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck, Some((_, Timer::Probe(_)))) => {
            Clock::kernel(ClockName::WindowProbes, None)
        }
        (_, TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck, _) => {
            unacknowledged(seen, holder, limits, user, now)
        }
        (Holder::Held, TcpState::SynSent, _) => Clock::kernel(ClockName::SynRetries, None),
        (Holder::Held, _, Some((_, Timer::Keepalive(_)))) => Clock::kernel(ClockName::Keepalive, None),
        _ => none,
    }
}

fn fin_timeout(limits: &Limits, fires_in: Option<Duration>) -> Clock {
    Clock {
        length: limits.fin_timeout,
        ..Clock::kernel(ClockName::FinTimeout, fires_in)
    }
}

/// A FIN that is retransmitted until the kernel gives up: sooner where HAProxy has closed the descriptor.
fn unacknowledged(
    seen: Option<&Seen>,
    holder: Holder,
    limits: &Limits,
    user: Option<Duration>,
    now: Mono,
) -> Clock {
    // `tcp_orphan_retries()`: 0 stands for 8.
    let (name, retries) = match holder {
        Holder::Orphaned => (
            ClockName::OrphanRetries,
            limits.orphan_retries.map(|set| if set == 0 { 8 } else { set }),
        ),
        _ => (ClockName::Retries2, limits.retries2),
    };
    let running = seen.and_then(Retransmissions::seen);
    let at = running
        .zip(retries)
        .map(|(running, retries)| running.given_up(retries));
    let by_retries = Clock {
        length: None,
        ..Clock::kernel(name, at.map(|at| at.since(now)))
    };
    let Some(timeout) = user else { return by_retries };
    let at = running.map(|running| running.given_up_by_user(timeout));
    by_retries.sooner(Clock {
        length: Some(timeout),
        ..Clock::kernel(ClockName::UserTimeout, at.map(|at| at.since(now)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_ns(1_000_000_000_000 + ms * 1_000_000)
    }

    /// A FIN sent at 0 with a wait of 204 ms, seen between the retransmissions `done` and `done + 1`.
    fn seen(done: u32) -> Retransmissions {
        let wait = |nth: u32| 204 * (1u64 << nth);
        let due: u64 = (0..=done).map(wait).sum();
        Retransmissions {
            next: at(due),
            rto: Duration::from_millis(wait(done)),
            done,
        }
    }

    #[test]
    fn the_end_is_the_same_from_wherever_it_is_reckoned() {
        // Retransmissions 204 ms x (1, 3, 7, 15, ...) after the FIN; 8 retries allow 102.2 s after the first.
        for done in 0..9 {
            assert_eq!(seen(done).given_up(8), at(204 * 511), "{done}");
        }
        for done in 0..5 {
            assert_eq!(seen(done).given_up(3), at(204 * 31), "{done}");
        }
    }

    #[test]
    fn the_kernel_s_model() {
        assert_eq!(modelled(8), Duration::from_millis(102_200));
        assert_eq!(modelled(15), Duration::from_millis(924_600));
    }
}
