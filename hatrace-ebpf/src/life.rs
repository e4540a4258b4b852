//! A life's record: made, moved on, ended.
//!
//! A passive socket's is made when it starts to close, an active one's at SYN_SENT, the only moment at which its owner is
//! known for certain. At the end most lives become counts; those that say something become a ring record.

use core::ptr::write_volatile;

use aya_ebpf::Global;
use aya_ebpf::cty::c_void;
use aya_ebpf::programs::BtfTracePointContext;
use aya_log_ebpf::warn;
use hatrace_common::wire::{Ends, Life, LifeEnd, count, flag, kind, side};

use crate::clock::{now, received};
use crate::counters::Counters;
use crate::fields::{
    CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT2, LAST_ACK, Ptr, SYN_SENT, ends, netns, queues, sk_cookie,
    sk_err, sk_flags, sk_socket,
};
use crate::maps::HANDED;
use crate::ring::put;
use crate::scope::cookie;
use crate::table::{Slot, claim, find};

/// A span of at least this many nanoseconds makes a life worth a record.
#[unsafe(no_mangle)]
static MIN_NS: Global<u64> = Global::new(1_000_000_000);

/// 1: every life is worth a record.
#[unsafe(no_mangle)]
static EVERY_LIFE: Global<u32> = Global::new(0);

const EPIPE: u32 = 32;
const ECONNRESET: u32 = 104;
const SOCK_DEAD: u64 = 1;
const SOCK_DONE: u64 = 2;

/// The record of a socket. A socket without a cookie has none, which spares nearly everyone else's sockets the search.
#[inline(always)]
pub fn of(sk: *mut c_void) -> Option<(Slot, &'static mut Life)> {
    match sk_cookie(sk) {
        0 => None,
        cookie => find(cookie),
    }
}

/// A new record for the life that begins with `sk`. No room: counted, and said at the 1st, 2nd, 4th, 8th ... time a CPU meets it.
#[inline(never)]
pub fn begin(ctx: &BtfTracePointContext, sk: *mut c_void, side: u8) -> Option<&'static mut Life> {
    let counters = Counters::here()?;
    counters.one(count::SEEN, side);
    let life = make(sk, side, cookie(sk));
    if life.is_none() {
        let times = counters.one(count::TABLE_FULL, side);
        if times & times.wrapping_sub(1) == 0 {
            say_full(ctx, side, times);
        }
    }
    life
}

#[inline(never)]
fn say_full(ctx: &BtfTracePointContext, side: u8, times: u64) {
    match side {
        side::CLIENT => warn!(
            ctx,
            "the table of lives is full: {} client-side sockets not followed on this CPU", times
        ),
        side::SERVER => warn!(
            ctx,
            "the table of lives is full: {} server-side sockets not followed on this CPU", times
        ),
        _ => warn!(
            ctx,
            "the table of lives is full: {} other sockets not followed on this CPU", times
        ),
    }
}

/// A new record, all zero but for identity: the caller sets its state, last. `None`: no room.
#[inline(always)]
pub fn make(sk: *mut c_void, side: u8, cookie: u64) -> Option<&'static mut Life> {
    let life = claim(cookie)?;
    // SAFETY: live references. Volatile: word by word, where the compiler would call a loop over bytes.
    unsafe {
        write_volatile(&raw mut life.connecting, 0);
        write_volatile(&raw mut life.established, 0);
        write_volatile(&raw mut life.closing, 0);
        write_volatile(&raw mut life.second, 0);
        write_volatile(&raw mut life.orphaned, 0);
    }
    life.tgid = 0;
    life.netns = netns(sk);
    life.first = 0;
    life.side = side;
    life.flags = 0;
    life.retransmits = 0;
    life.steps = 1;
    Some(life)
}

/// What the kernel says of a socket at its end.
struct Verdict {
    err: u32,
    dead: bool,
    done: bool,
}

impl Verdict {
    #[inline(always)]
    fn of(sk: *mut c_void) -> Self {
        let bits = sk_flags(sk);
        Self {
            err: sk_err(sk) as u32,
            dead: bits & SOCK_DEAD != 0,
            done: bits & SOCK_DONE != 0,
        }
    }

    #[inline(always)]
    fn quiet(&self) -> bool {
        self.err == 0
    }

    /// Whether a segment of the peer's has ended it: its FIN, the ACK of ours, or its RST (`tcp_reset()`).
    #[inline(always)]
    fn by_segment(&self, old: i32) -> bool {
        let in_order = self.done && (old == LAST_ACK || old == FIN_WAIT2 || old == CLOSING);
        self.err == ECONNRESET || self.err == EPIPE || self.quiet() && in_order
    }
}

/// Ends a life at `old -> CLOSE`, and gives its slot back.
#[inline(always)]
pub fn end(sk: *mut c_void, slot: Slot, life: &mut Life, old: i32) {
    let verdict = Verdict::of(sk);
    let at = if verdict.by_segment(old) {
        received(sk, life.second.max(life.closing))
    } else {
        now()
    };
    if verdict.dead && life.orphaned == 0 {
        // Closed outright, not shut first: it was orphaned when its FIN went out.
        life.orphaned = if life.first == CLOSE_WAIT as u8 {
            life.second
        } else {
            life.closing
        };
    }
    life.steps = life.steps.wrapping_add(1);
    let Some(counters) = Counters::here() else { return };
    counters.add(count::TRANSITIONS, life.steps as u64);
    let quiet = verdict.quiet();
    if quiet && verdict.done && (old == FIN_WAIT2 || old == CLOSING) {
        counters.one(count::TIMEWAIT, life.side);
    }
    let handed = quiet && !verdict.done && verdict.dead && old == FIN_WAIT2;
    if handed && let Some(last) = HANDED.get_ptr_mut(0) {
        // SAFETY: a per-CPU value.
        unsafe { *last = life.cookie }
    }
    // A transition on the way here was missed: the agent is told rather than a wrong span counted.
    let skipped = life.state != old as u8;
    if handed || skipped || EVERY_LIFE.load() != 0 || lingered(life, old, at) {
        deliver(sk, life, old, at);
    } else {
        tally(life, old, at, &counters);
    }
    if old == ESTABLISHED {
        counters.one(by_whose_reset(quiet), life.side);
    }
    slot.free(life);
}

/// The counter of a reset from ESTABLISHED.
#[inline(always)]
pub fn by_whose_reset(quiet: bool) -> usize {
    if quiet {
        count::RESET_BY_HAPROXY
    } else {
        count::RESET_BY_PEER
    }
}

/// Whether a span of it reached the minimum. What is older than hatrace has an unknown span: it is always told.
#[inline(always)]
fn lingered(life: &Life, old: i32, at: u64) -> bool {
    let min = MIN_NS.load();
    if life.first == 0 {
        return old == SYN_SENT && at - life.connecting >= min;
    }
    if life.flags & flag::ADOPTED != 0 && life.closing == 0 {
        return true;
    }
    if life.second == 0 {
        return at - life.closing >= min;
    }
    at - life.second >= min || life.second - life.closing >= min
}

/// Counts the spans of a life that needs no record.
#[inline(always)]
fn tally(life: &Life, old: i32, at: u64, counters: &Counters) {
    let adopted = life.flags & flag::ADOPTED != 0;
    counters.one(
        if adopted {
            count::ADOPTED_ENDED
        } else {
            count::COUNTED
        },
        life.side,
    );
    if life.connecting != 0 {
        if life.established != 0 {
            counters.span(life.side, SYN_SENT as u8, life.established - life.connecting);
        } else if old == SYN_SENT {
            counters.span(life.side, SYN_SENT as u8, at - life.connecting);
        }
    }
    if life.first == 0 || life.closing == 0 {
        return;
    }
    if life.second == 0 {
        counters.span(life.side, life.first, at - life.closing);
    } else {
        counters.span(life.side, life.first, life.second - life.closing);
        counters.span(life.side, old as u8, at - life.second);
    }
}

#[inline(never)]
fn deliver(sk: *mut c_void, life: &Life, old: i32, at: u64) {
    let verdict = Verdict::of(sk);
    let Some(counters) = Counters::here() else { return };
    let (unread, unacked) = queues(sk);
    let mut record = LifeEnd {
        kind: kind::LIFE_END,
        from: old as u8,
        dead: verdict.dead as u8,
        done: verdict.done as u8,
        unaccepted: (!verdict.dead && sk_socket(sk).is_null()) as u8,
        at,
        life: *life,
        ends: Ends::default(),
        unread,
        unacked,
        sk_err: verdict.err,
        zero: 0,
    };
    ends(sk as Ptr, &mut record.ends);
    let adopted = life.flags & flag::ADOPTED != 0;
    let counter = match put(&record) {
        false => count::LOST,
        true if adopted => count::ADOPTED_ENDED,
        true => count::DELIVERED,
    };
    counters.one(counter, life.side);
}

/// Puts a record into a state: after all else, for the agent that may read it just now.
#[inline(always)]
pub fn enter(life: &mut Life, state: i32) {
    // SAFETY: a live reference.
    unsafe { write_volatile(&raw mut life.state, state as u8) }
}

/// Moves a record on to a state that isn't CLOSE.
#[inline(always)]
pub fn advance(life: &mut Life, new: i32, at: u64) {
    life.steps = life.steps.wrapping_add(1);
    if life.first == 0 {
        life.first = new as u8;
        life.closing = at;
    } else {
        life.second = at;
    }
    enter(life, new);
}
