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

/// The processor time that this thread has used: what it cost, however long others kept it waiting meanwhile.
#[must_use]
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// The same moment on both clocks. This program may be held up between two readings: of several tries the closest one counts.
#[must_use]
pub fn both() -> (jiff::Timestamp, Mono) {
    const TRIES: usize = 5;
    let one = || {
        let before = now();
        let wall = jiff::Timestamp::now();
        let took = now().since(before);
        (took, wall, before.plus(took / 2))
    };
    let (_, wall, mono) = (1..TRIES).fold(one(), |best, _| {
        let next = one();
        if next.0 < best.0 { next } else { best }
    });
    (wall, mono)
}

/// The wall-clock time of what happened `after` the machine's start, suspended time included: what `/proc/PID/stat` tells.
#[must_use]
pub fn after_boot(after: Duration) -> Option<SystemTime> {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    SystemTime::now().checked_sub(Duration::new(seconds, nanos).saturating_sub(after))
}
