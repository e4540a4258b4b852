//! Counters and dwell histograms: per CPU, so that counting costs no bus lock.

use core::arch::asm;

use hatrace_common::wire::{Tally, count, dwell};

use crate::maps::TALLY;

/// An index that the verifier sees to be below a power of two. In assembly, because the compiler knows as much and leaves a mask out.
#[inline(always)]
fn below<const LIMIT: usize>(mut index: usize) -> usize {
    // SAFETY: a register's bits.
    unsafe {
        asm!("{index} &= {mask}", index = inout(reg) index, mask = const LIMIT - 1,
            options(pure, nomem, nostack, preserves_flags));
    }
    index
}

/// This CPU's counters: looked up once a run, because the look-up costs more than the counting.
pub struct Counters(*mut Tally);

impl Counters {
    /// This CPU's. There always are: the map has an entry for every CPU there may be.
    #[inline(always)]
    pub fn here() -> Option<Self> {
        TALLY.get_ptr_mut(0).map(Self)
    }

    /// Adds to one; gives this CPU's new figure.
    #[inline(always)]
    pub fn add(&self, index: usize, by: u64) -> u64 {
        // SAFETY: masked into the block; a per-CPU value.
        unsafe {
            let cell = (*self.0).counts.as_mut_ptr().add(below::<{ count::SIZE }>(index));
            *cell += by;
            *cell
        }
    }

    /// Adds one to a counter that is kept by side; gives this CPU's new figure.
    #[inline(always)]
    pub fn one(&self, counter: usize, side: u8) -> u64 {
        self.add(counter + (side & 3) as usize, 1)
    }

    /// Counts a span of `ns` nanoseconds in a state.
    #[inline(always)]
    pub fn span(&self, side: u8, state: u8, ns: u64) {
        let cell =
            ((side & 3) as u32 * dwell::STATES + dwell::index_of(state)) * dwell::BUCKETS + bucket_of(ns);
        // SAFETY: masked into the block; a per-CPU value.
        unsafe {
            let cell = (*self.0)
                .dwell
                .as_mut_ptr()
                .add(below::<{ dwell::SIZE }>(cell as usize));
            *cell = (*cell).wrapping_add(1);
        }
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

/// Whole microseconds, as many as 32 bits hold.
#[inline(always)]
fn microseconds(ns: u64) -> u32 {
    if ns <= u32::MAX as u64 {
        // Nearly every span is below four seconds; this multiplication is exact for those, and costs a tenth of a division.
        return (ns * 0x1062_4DD3 >> 38) as u32;
    }
    let us = ns / 1000;
    if us > u32::MAX as u64 { u32::MAX } else { us as u32 }
}

/// Log-linear: four buckets to an octave of microseconds (`wire::dwell::bounds` is the inverse).
///
/// A global function: the verifier looks at it once, and not again on each of the many ways that lead here.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn bucket_of(ns: u64) -> u32 {
    let us = microseconds(ns);
    if us < 4 {
        return us;
    }
    let octave = log2(us) & 31;
    // An octave is at least 2 here; the mask tells the verifier that the shift is in range.
    octave * 4 + (us >> (octave.wrapping_sub(2) & 31) & 3)
}
