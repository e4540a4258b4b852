//! The table of lives: by socket pointer, in two arrays of the agent's choosing in size.
//!
//! Why not a hash map: its insert and delete cost 50 ns each, its look-ups 12; this costs a cache line (docs/ARCHITECTURE.md has
//! the figures). A bucket is eight pointers, one cache line; a full one spills into its neighbour (`bucket ^ 1`), so
//! that a socket has sixteen places. Claims race on other CPUs only: a slot is taken by compare-and-exchange. All
//! transitions of one socket run under its lock, so a record has one writer.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use aya_ebpf::Global;
use hatrace_common::wire::Life;

use crate::maps::{KEYS, RECORDS};

/// 32 - log2(number of buckets).
#[unsafe(no_mangle)]
static BUCKET_SHIFT: Global<u32> = Global::new(19);

/// A slot of the table.
#[derive(Clone, Copy)]
pub struct Slot(u32);

/// The low half of a pointer, as a number. The verifier forbids arithmetic on a pointer, also on its low half in place; a 32-bit move
/// to another register makes a number of it, and only assembly says "move" for certain.
#[inline(always)]
fn low_half(sk: u64) -> u32 {
    let number: u32;
    // SAFETY: a register move.
    unsafe {
        core::arch::asm!("{to} = {from}", to = out(wreg) number, from = in(wreg) sk as u32,
            options(pure, nomem, nostack, preserves_flags));
    }
    number
}

/// The bucket a socket belongs to: socket objects are at least 64 bytes apart.
#[inline(always)]
fn home(sk: u64) -> u32 {
    (low_half(sk) >> 6).wrapping_mul(0x9E37_79B1) >> BUCKET_SHIFT.load()
}

/// Which of the eight places holds `sk`; 8: none.
#[inline(always)]
fn place(bucket: *const u64, sk: u64) -> u32 {
    let mut at = 8;
    // Unrolled by the compiler; the verifier sees eight loads at constant offsets.
    let mut i = 0;
    while i < 8 {
        // SAFETY: `bucket` points to eight keys of a map value.
        if unsafe { *bucket.add(i) } == sk {
            at = i as u32;
            break;
        }
        i += 1;
    }
    at
}

#[inline(always)]
fn place_in(bucket: u32, sk: u64) -> Option<Slot> {
    let keys = KEYS.get_ptr(bucket)?.cast::<u64>();
    let at = place(keys, sk);
    (at < 8).then_some(Slot(bucket << 3 | at))
}

/// The slot of `sk`, if the table has it.
#[inline(always)]
pub fn find(sk: u64) -> Option<Slot> {
    let bucket = home(sk);
    place_in(bucket, sk).or_else(|| place_in(bucket ^ 1, sk))
}

/// What claiming a slot came to.
pub enum Claim {
    /// A free one.
    Free(Slot),
    /// One that a record under the same pointer still had: its socket is gone, its end was missed.
    Left(Slot),
}

/// A slot in a bucket for `sk`, in one pass: what is left of a former socket there, or the first free place.
#[inline(always)]
fn claim_in(bucket: u32, sk: u64) -> Option<Claim> {
    let keys = KEYS.get_ptr_mut(bucket)?.cast::<u64>();
    let left = place(keys, sk);
    if left < 8 {
        return Some(Claim::Left(Slot(bucket << 3 | left)));
    }
    let mut i = 0;
    while i < 8 {
        // SAFETY: eight keys of a map value; the exchange is atomic against other CPUs.
        unsafe {
            let key = keys.add(i);
            if *key == 0
                && atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(key, 0, sk).1
            {
                return Some(Claim::Free(Slot(bucket << 3 | i as u32)));
            }
        }
        i += 1;
    }
    None
}

/// A slot for a socket whose life begins. `None`: both buckets are full. What is left of a former socket in the neighbour while there
/// is room at home is found by nobody any more: the agent's sweeps clear it away.
#[inline(always)]
pub fn claim(sk: u64) -> Option<Claim> {
    let bucket = home(sk);
    claim_in(bucket, sk).or_else(|| claim_in(bucket ^ 1, sk))
}

impl Slot {
    /// The slot's record.
    #[inline(always)]
    pub fn record(self) -> Option<&'static mut Life> {
        // SAFETY: a map value lives as long as the program; one writer, see above.
        RECORDS.get_ptr_mut(self.0).map(|record| unsafe { &mut *record })
    }

    /// Gives the slot back.
    #[inline(always)]
    pub fn free(self) {
        if let Some(keys) = KEYS.get_ptr_mut(self.0 >> 3) {
            // SAFETY: an index below eight into eight keys.
            unsafe { *keys.cast::<u64>().add((self.0 & 7) as usize) = 0 }
        }
    }
}
