//! The table of lives, by socket cookie, in arrays of the agent's choosing in size.
//!
//! Nearly everything that it costs are cache lines: those that another CPU wrote last, and pages that the TLB has forgotten. So a life has
//! one line, its record, and the record's cookie is its key. Where that is follows from the cookie: cookies are given out in order, so
//! 64 lives that begin one after the other are neighbours in one page; which page is hashed, so that crowds that began together don't
//! stand in the way of those that come after as many cookies as there are places. Whose place is taken has its record in the *overflow*,
//! a quarter as large: buckets of eight cookies, one cache line each, the neighbour (`bucket ^ 1`) when one is full
//! (docs/ARCHITECTURE.md has what this costs beside a hash map, and beside a table by pointer).
//!
//! Places are claimed by compare-and-exchange. All transitions of one socket run under its lock, so a record has one writer. The agent
//! reads while we write: a record's state is set last, and cleared first.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};
use core::ptr::write_volatile;

use aya_ebpf::Global;
use hatrace_common::wire::{Life, table};

use crate::maps::{OVERFLOW, RECORDS};

/// Home places, less one: a power of two.
#[unsafe(no_mangle)]
static HOME_MASK: Global<u32> = Global::new(63);

/// 32 - log2(number of buckets of the overflow).
#[unsafe(no_mangle)]
static OVERFLOW_SHIFT: Global<u32> = Global::new(31);

/// A place of the table, by the index of its record: those at home first, then the overflow's.
#[derive(Clone, Copy)]
pub struct Slot(u32);

#[inline(always)]
fn home(cookie: u64) -> u32 {
    let run = (cookie >> table::RUN_BITS) as u32;
    let page = run.wrapping_mul(0x9E37_79B1) >> 12;
    (page << table::RUN_BITS | cookie as u32 & ((1 << table::RUN_BITS) - 1)) & HOME_MASK.load()
}

#[inline(always)]
fn bucket(cookie: u64) -> u32 {
    (cookie as u32).wrapping_mul(0x85EB_CA6B) >> OVERFLOW_SHIFT.load()
}

/// Exchanges 0 for the cookie.
#[inline(always)]
fn claim_word(word: *mut u64, cookie: u64) -> bool {
    // SAFETY: a word of a map value.
    unsafe {
        *word == 0
            && atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(word, 0, cookie).1
    }
}

/// The first of a bucket's eight words that `wanted` likes.
#[inline(always)]
fn in_bucket(bucket: u32, wanted: impl Fn(*mut u64) -> bool) -> Option<Slot> {
    let words = OVERFLOW.get_ptr_mut(bucket)?.cast::<u64>();
    let mut i = 0;
    // Unrolled by the compiler; the verifier sees constant offsets.
    while i < 8 {
        // SAFETY: eight words of a map value.
        if wanted(unsafe { words.add(i) }) {
            return Some(Slot(HOME_MASK.load() + 1 + (bucket << 3 | i as u32)));
        }
        i += 1;
    }
    None
}

#[inline(never)]
fn displaced(cookie: u64) -> u32 {
    // SAFETY: a word of a map value.
    let wanted = |word: *mut u64| unsafe { *word == cookie };
    let bucket = bucket(cookie);
    match in_bucket(bucket, wanted).or_else(|| in_bucket(bucket ^ 1, wanted)) {
        Some(slot) => slot.0,
        None => table::NOWHERE,
    }
}

#[inline(never)]
fn claim_displaced(cookie: u64) -> u32 {
    let wanted = |word: *mut u64| claim_word(word, cookie);
    let bucket = bucket(cookie);
    match in_bucket(bucket, wanted).or_else(|| in_bucket(bucket ^ 1, wanted)) {
        Some(slot) => slot.0,
        None => table::NOWHERE,
    }
}

#[inline(always)]
fn record_at(index: u32) -> Option<&'static mut Life> {
    // SAFETY: a map value lives as long as the program; one writer, see above.
    RECORDS.get_ptr_mut(index).map(|record| unsafe { &mut *record })
}

/// The record of this cookie, if the table has one.
#[inline(always)]
pub fn find(cookie: u64) -> Option<(Slot, &'static mut Life)> {
    let home = home(cookie);
    let life = record_at(home)?;
    if life.cookie == cookie {
        return Some((Slot(home), life));
    }
    let index = displaced(cookie);
    Some((Slot(index), record_at(index)?))
}

/// A place for this cookie, which the table doesn't have. Its fields are a former life's, but for the cookie and the state, which is 0.
/// `None`: no room.
#[inline(always)]
pub fn claim(cookie: u64) -> Option<&'static mut Life> {
    let home = home(cookie);
    let life = record_at(home)?;
    if claim_word(&raw mut life.cookie, cookie) {
        return Some(life);
    }
    let life = record_at(claim_displaced(cookie))?;
    life.cookie = cookie;
    Some(life)
}

impl Slot {
    /// Gives the place back.
    #[inline(always)]
    pub fn free(self, life: &mut Life) {
        // SAFETY: a live reference. Volatile: in this order for a reader on another CPU.
        unsafe {
            write_volatile(&raw mut life.state, 0);
            write_volatile(&raw mut life.cookie, 0);
        }
        let homes = HOME_MASK.load() + 1;
        if self.0 >= homes {
            self.free_displaced(homes);
        }
    }

    #[inline(always)]
    fn free_displaced(self, homes: u32) {
        let index = self.0 - homes;
        if let Some(words) = OVERFLOW.get_ptr_mut(index >> 3) {
            // SAFETY: an index below eight into eight words.
            unsafe { *words.cast::<u64>().add((index & 7) as usize) = 0 }
        }
    }
}
