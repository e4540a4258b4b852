//! Counters and dwell histograms: per CPU, so that counting costs no bus lock.

use hatrace_common::wire::{count, dwell};

use crate::maps::{COUNTS, DWELL};

/// This CPU's counters: looked up once a run, because the look-up costs more than the counting.
pub struct Counters(*mut [u64; count::SIZE]);

impl Counters {
    /// This CPU's. There always are: the map has an entry for every CPU there may be.
    #[inline(always)]
    pub fn here() -> Option<Self> {
        COUNTS.get_ptr_mut(0).map(Self)
    }

    /// Adds to one; gives this CPU's new figure.
    #[inline(always)]
    pub fn add(&self, index: usize, by: u64) -> u64 {
        // SAFETY: masked into the block; a per-CPU value.
        unsafe {
            let cell = &mut (*self.0)[index & (count::SIZE - 1)];
            *cell += by;
            *cell
        }
    }

    /// Adds one to a counter that is kept by side; gives this CPU's new figure.
    #[inline(always)]
    pub fn one(&self, counter: usize, side: u8) -> u64 {
        self.add(counter + (side & 3) as usize, 1)
    }
}

#[inline(always)]
fn log2(mut v: u32) -> u32 {
    let mut r = 0;
    if v >= 1 << 16 {
        v >>= 16;
        r |= 16;
    }
    if v >= 1 << 8 {
        v >>= 8;
        r |= 8;
    }
    if v >= 1 << 4 {
        v >>= 4;
        r |= 4;
    }
    if v >= 1 << 2 {
        v >>= 2;
        r |= 2;
    }
    if v >= 2 {
        r |= 1;
    }
    r
}

/// Log-linear: four buckets to an octave of microseconds (`wire::dwell::bounds` is the inverse).
#[inline(always)]
fn bucket_of(ns: u64) -> u32 {
    let us = ns / 1000;
    let us = if us > u32::MAX as u64 { u32::MAX } else { us as u32 };
    if us < 4 {
        return us;
    }
    let octave = log2(us) & 31;
    // An octave is at least 2 here; the mask tells the verifier that the shift is in range.
    octave * 4 + (us >> (octave.wrapping_sub(2) & 31) & 3)
}

/// Counts a span of `ns` nanoseconds in a state.
#[inline(never)]
pub fn span(side: u8, state: u8, ns: u64) {
    let index = ((side & 3) as u32 * dwell::STATES + dwell::index_of(state)) * dwell::BUCKETS + bucket_of(ns);
    if let Some(cell) = DWELL.get_ptr_mut(index & (dwell::SIZE - 1)) {
        // SAFETY: a per-CPU value.
        unsafe { *cell += 1 }
    }
}
