//! The table of lives, by socket cookie.
//!
//! Nearly everything that it costs are cache lines: those that another CPU wrote last, and pages that the TLB has forgotten. So a life has
//! one line, its record, and the record's cookie is its key. Where that is follows from the cookie: cookies are given out in order, so
//! 64 lives that begin one after the other are neighbours in one page; which page is hashed, so that crowds that began together don't
//! stand in the way of those that come after as many cookies as there are places. Whose place is taken has its record in the *overflow*:
//! levels of buckets with eight cookies in one cache line, two buckets to choose from in each level. A level is twice as large as
//! the one before, and made by the agent when it is needed, because an array can't grow (docs/ARCHITECTURE.md has what all this costs
//! beside a hash map, and beside a table by pointer).
//!
//! Places are claimed by compare-and-exchange. All transitions of one socket run under its lock, so a record has one writer. The agent
//! reads while we write: a record's state is set last, and cleared first.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};
use core::ptr::write_volatile;

use aya_ebpf::Global;
use hatrace_common::wire::{Bucket, Life, table};

use crate::maps::{LEVELS, RECORDS};

/// Home places, in pages of 64.
#[unsafe(no_mangle)]
static HOME_PAGES: Global<u32> = Global::new(1);

/// Of the number of a place: it is in the overflow.
const DISPLACED: u32 = 1 << 31;
const LEVEL_SHIFT: u32 = 28;
const LEVEL_MASK: u32 = table::LEVELS - 1;
const BUCKET_MASK: u32 = (1 << (LEVEL_SHIFT - 3)) - 1;

/// A place of the table: the index of a record at home, or level, bucket and place of one in the overflow.
#[derive(Clone, Copy)]
pub struct Slot(u32);

/// A hash as a number below `limit`.
#[inline(always)]
fn scaled(hash: u32, limit: u32) -> u32 {
    ((hash as u64 * limit as u64) >> 32) as u32
}

#[inline(always)]
fn home(cookie: u64) -> u32 {
    let run = (cookie >> table::RUN_BITS) as u32;
    let page = scaled(run.wrapping_mul(0x9E37_79B1), HOME_PAGES.load());
    page << table::RUN_BITS | cookie as u32 & ((1 << table::RUN_BITS) - 1)
}

/// The first of the two buckets that a cookie may be in; the other is its neighbour.
#[inline(always)]
fn bucket_in(level: u32, cookie: u64) -> u32 {
    let pairs = table::pairs(HOME_PAGES.load(), level);
    scaled((cookie as u32).wrapping_mul(0x85EB_CA6B), pairs) << 1
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

/// The first of a bucket's places whose word `wanted` likes. `None`: there is no such level.
#[inline(always)]
fn in_bucket(level: u32, bucket: u32, wanted: impl Fn(*mut u64) -> bool) -> Option<u32> {
    let found = LEVELS.get_value_ptr_mut(level, &bucket)?;
    // Unrolled by the compiler; the verifier sees constant offsets.
    let mut i = 0;
    while i < 8 {
        // SAFETY: eight words of a map value.
        if wanted(unsafe { found.cast::<u64>().add(i) }) {
            return Some(DISPLACED | level << LEVEL_SHIFT | bucket << 3 | i as u32);
        }
        i += 1;
    }
    Some(table::NOWHERE)
}

#[inline(always)]
fn in_level(level: u32, cookie: u64, wanted: &impl Fn(*mut u64) -> bool) -> u32 {
    let bucket = bucket_in(level, cookie);
    match in_bucket(level, bucket, wanted) {
        None => table::NOWHERE,
        Some(table::NOWHERE) => in_bucket(level, bucket | 1, wanted).unwrap_or(table::NOWHERE),
        Some(slot) => slot,
    }
}

/// The largest level first: it has the most room, and the most lives. Written out: where the compiler makes a loop of it, Linux 6.1
/// may refuse the jump back.
#[inline(always)]
fn in_levels(cookie: u64, wanted: impl Fn(*mut u64) -> bool) -> u32 {
    macro_rules! first_of {
        ($($level:literal)+) => {
            $(let slot = in_level($level, cookie, &wanted);
            if slot != table::NOWHERE {
                return slot;
            })+
        };
    }
    const _: () = assert!(table::LEVELS == 8);
    first_of!(7 6 5 4 3 2 1 0);
    table::NOWHERE
}

// These are global functions: the verifier looks at them once, and not again on each of the many ways that lead here.

#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn displaced(cookie: u64) -> u32 {
    // SAFETY: a word of a map value.
    in_levels(cookie, |word| unsafe { *word == cookie })
}

#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn claim_displaced(cookie: u64) -> u32 {
    in_levels(cookie, |word| claim_word(word, cookie))
}

#[inline(always)]
fn record_at(index: u32) -> Option<&'static mut Life> {
    // SAFETY: a map value lives as long as the program; one writer, see above.
    RECORDS.get_ptr_mut(index).map(|record| unsafe { &mut *record })
}

/// The bucket of a place in the overflow.
#[inline(always)]
fn bucket_at(slot: u32) -> Option<*mut Bucket> {
    if slot == table::NOWHERE {
        return None;
    }
    LEVELS.get_value_ptr_mut(slot >> LEVEL_SHIFT & LEVEL_MASK, &(slot >> 3 & BUCKET_MASK))
}

#[inline(always)]
fn displaced_record(slot: u32) -> Option<&'static mut Life> {
    let bucket = bucket_at(slot)?;
    // SAFETY: as for records at home; an index below eight.
    unsafe {
        let lives = (&raw mut (*bucket).lives).cast::<Life>();
        Some(&mut *lives.add((slot & 7) as usize))
    }
}

/// The record of this cookie, if the table has one.
#[inline(always)]
pub fn find(cookie: u64) -> Option<(Slot, &'static mut Life)> {
    let home = home(cookie);
    let life = record_at(home)?;
    if life.cookie == cookie {
        return Some((Slot(home), life));
    }
    let slot = displaced(cookie);
    Some((Slot(slot), displaced_record(slot)?))
}

/// A place for this cookie, which the table doesn't have. Its fields are a former life's, but for the cookie and the state, which is 0.
/// `None`: no room.
#[inline(always)]
pub fn claim(cookie: u64) -> Option<&'static mut Life> {
    let life = record_at(home(cookie))?;
    if claim_word(&raw mut life.cookie, cookie) {
        return Some(life);
    }
    let life = displaced_record(claim_displaced(cookie))?;
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
        if self.0 & DISPLACED != 0 {
            free_displaced(self.0);
        }
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn free_displaced(slot: u32) -> u32 {
    if let Some(bucket) = bucket_at(slot) {
        // SAFETY: an index below eight into eight words.
        unsafe { *bucket.cast::<u64>().add((slot & 7) as usize) = 0 }
    }
    0
}
