//! Writing to the ring: never with a wake-up (a wake-up costs a hundred times the record), a full ring only counts.

use hatrace_common::wire::{Evidence, count, kind};

use crate::clock::now;
use crate::counters::Counters;
use crate::maps::RING;

const NO_WAKEUP: u64 = 1;

/// Writes a record; false: the ring is full.
#[inline(always)]
pub fn put<T: 'static>(record: &T) -> bool {
    RING.output::<T>(record, NO_WAKEUP).is_ok()
}

/// Writes a record whose loss concerns no life's account.
#[inline(always)]
pub fn put_other<T: 'static>(record: &T) {
    if !put(record)
        && let Some(counters) = Counters::here()
    {
        counters.add(count::LOST_OTHER, 1);
    }
}

/// Writes a piece of evidence.
#[inline(always)]
pub fn put_evidence(what: u32, cookie: u64) {
    put_other(&Evidence {
        kind: kind::EVIDENCE,
        what,
        at: now(),
        cookie,
    });
}
