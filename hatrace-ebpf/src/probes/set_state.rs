//! Every change of state of every TCP socket on the host. It must leave at once for those that aren't ours.
//!
//! match-proto: include/trace/events/sock.h: inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)
//!
//! It fires before the store (`sk_state` is still the old one), under the socket's lock, and in whatever task happens to
//! run; at SYN_SENT, `-> FIN_WAIT1`, `-> LAST_ACK` and `X -> X` that is the process which called connect(), shutdown() or close().

use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hatrace_common::wire::{Life, Listen, Listener, count, kind, side};

use crate::clock::{now, received};
use crate::counters::Counters;
use crate::fields::{
    CLOSE, CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK, LISTEN, SYN_RECV, SYN_SENT,
    local_mapped, netns, sk_cookie, sk_err, sk_num,
};
use crate::life::{self, advance, begin, by_whose_reset, end, enter};
use crate::ring::put_other;
use crate::scope::{accepted, accepted_at_close, count_mptcp, current_tgid, owned, plain_tcp, set_listening};

/// States out of which only sockets with a record are of interest.
const FOLLOWED: u32 =
    1 << SYN_SENT | 1 << FIN_WAIT1 | 1 << FIN_WAIT2 | 1 << CLOSE_WAIT | 1 << LAST_ACK | 1 << CLOSING;

/// Nearly all that it does for somebody else's socket is to be fetched into the instruction cache, so what decides that comes first and is
/// short, and the rest is out of the way.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn set_state(ctx: BtfTracePointContext) -> i32 {
    let old: i32 = ctx.arg(1);
    let new: i32 = ctx.arg(2);
    let sk: *mut c_void = ctx.arg(0);
    if 1 << (old & 31) & FOLLOWED != 0 {
        // Without a cookie there is no record, and nearly everyone else's sockets have none.
        if sk_cookie(sk) != 0 {
            moved(sk, old, new);
        }
    } else if old == ESTABLISHED {
        leave_established(&ctx, sk, new);
    } else if old == CLOSE && (new == SYN_SENT || new == LISTEN) {
        leave_close(&ctx, sk, new);
    } else if old == SYN_RECV && new == FIN_WAIT1 {
        // A child closed before it was established (TCP Fast Open) starts to close like any other.
        leave_established(&ctx, sk, new);
    }
    0
}

/// connect() and listen() of an owned process.
#[inline(never)]
fn leave_close(ctx: &BtfTracePointContext, sk: *mut c_void, new: i32) {
    let tgid = current_tgid();
    if !owned(tgid) {
        return;
    }
    if !plain_tcp(sk) {
        return count_mptcp();
    }
    if new == LISTEN {
        return listen(sk, tgid);
    }
    let Some(life) = begin(ctx, sk, side::SERVER) else {
        return;
    };
    life.tgid = tgid;
    life.connecting = now();
    enter(life, SYN_SENT);
}

/// A new listener counts at once: its first child may come before the agent has drained the ring.
#[inline(never)]
fn listen(sk: *mut c_void, tgid: u32) {
    let mut record = Listen {
        kind: kind::LISTEN,
        tgid,
        at: now(),
        listener: Listener {
            netns: netns(sk),
            port: sk_num(sk),
            zero: 0,
            addr: [0; 16],
        },
    };
    local_mapped(sk, &mut record.listener.addr);
    let addr = &mut record.listener.addr;
    if addr[10] == 0xff && addr[12] | addr[13] | addr[14] | addr[15] == 0 {
        *addr = [0; 16];
    }
    set_listening(&record.listener);
    put_other(&record);
}

/// The first FIN, or the RST: the moment at which a passive socket gets its record.
#[inline(never)]
fn leave_established(ctx: &BtfTracePointContext, sk: *mut c_void, new: i32) {
    if sk_cookie(sk) != 0 && moved(sk, ESTABLISHED, new) != 0 {
        return;
    }
    if new == CLOSE {
        return reset(sk);
    }
    let Some(side) = accepted(sk) else { return };
    if !plain_tcp(sk) {
        return count_mptcp();
    }
    let Some(life) = begin(ctx, sk, side) else {
        return;
    };
    life.steps = 0;
    start(sk, life, new);
}

/// A passive socket that is reset: there is no span to tell, so there is no record to make.
#[inline(never)]
fn reset(sk: *mut c_void) {
    let Some(side) = accepted_at_close(sk) else { return };
    if !plain_tcp(sk) {
        return count_mptcp();
    }
    let Some(counters) = Counters::here() else { return };
    counters.one(count::SEEN, side);
    counters.add(count::TRANSITIONS, 1);
    counters.one(count::COUNTED, side);
    counters.one(by_whose_reset(sk_err(sk) == 0), side);
}

/// A transition of a socket that may have a record; 0: it has none.
#[inline(never)]
fn moved(sk: *mut c_void, old: i32, new: i32) -> u32 {
    let Some((slot, life)) = life::of(sk) else {
        return 0;
    };
    if new == CLOSE {
        // A record that isn't connecting any more has missed more than its socket's end.
        if old != SYN_SENT || life.state == SYN_SENT as u8 {
            end(sk, slot, life, old);
        }
    } else if new == ESTABLISHED {
        life.established = received(sk, life.connecting);
        life.steps = life.steps.wrapping_add(1);
        enter(life, ESTABLISHED);
    } else if new == old {
        // close() of a socket that was already shut: it is orphaned, its dwell goes on.
        life.orphaned = now();
        life.steps = life.steps.wrapping_add(1);
    } else {
        start(sk, life, new);
    }
    1
}

/// Into a state of closing. HAProxy's own doing runs in its own name.
#[inline(always)]
fn start(sk: *mut c_void, life: &mut Life, new: i32) {
    let at = if new == FIN_WAIT1 || new == LAST_ACK {
        life.tgid = current_tgid();
        now()
    } else {
        received(sk, life.closing.max(life.established))
    };
    advance(life, new, at);
}
