//! The only place of the agent that reads a clock.

use std::time::{Duration, SystemTime};

use hatrace_core::time::Mono;
use rustix::time::{ClockId, clock_gettime};

/// Now, on the clock that the kernel half stamps its records with.
#[must_use]
pub fn now() -> Mono {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Mono::from_ns(seconds * 1_000_000_000 + nanos)
}

/// The wall-clock time of what happened `after` the machine's start, suspended time included: what `/proc/PID/stat` tells.
#[must_use]
pub fn after_boot(after: Duration) -> Option<SystemTime> {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    SystemTime::now().checked_sub(Duration::new(seconds, nanos).saturating_sub(after))
}
