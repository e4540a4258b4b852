//! Every change of state of every TCP socket on the host. It must leave at once for those that aren't ours.
//!
//! match-proto: include/trace/events/sock.h: inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)
//!
//! It fires before the store (`sk_state` is still the old one), under the socket's lock, and in whatever task happens to
//! run; at SYN_SENT, `-> FIN_WAIT1`, `-> LAST_ACK` and `X -> X` that is the process which called connect(), shutdown() or close().

use aya_ebpf::Global;
use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hatrace_common::wire::{Ends, Life, Listen, Listener, Transition, count, flag, kind, port, side};

use crate::counters::{add, one};
use crate::fields::{
    CLOSE, CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK, LISTEN, SYN_RECV, SYN_SENT,
    ends, local_mapped, netns, sk_err, sk_num,
};
use crate::life::{advance, begin, end};
use crate::maps::{LISTENERS, PORTS};
use crate::ring::{now, put_other};
use crate::scope::{accepted, accepted_at_close, cookie, current_tgid, owned, plain_tcp};
use crate::table::{Slot, find};

/// 1: every transition is wanted (`-a`).
#[unsafe(no_mangle)]
static EVERY_TRANSITION: Global<u32> = Global::new(0);

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn set_state(ctx: BtfTracePointContext) -> i32 {
    let old: i32 = ctx.arg(1);
    let new: i32 = ctx.arg(2);
    let sk: *mut c_void = ctx.arg(0);
    if EVERY_TRANSITION.load() != 0 {
        tell(sk, old, new);
    }
    match old {
        ESTABLISHED => leave_established(&ctx, sk, new),
        CLOSE => leave_close(&ctx, sk, new),
        SYN_SENT => leave_syn_sent(sk, new),
        FIN_WAIT1 | FIN_WAIT2 | CLOSE_WAIT | LAST_ACK | CLOSING => closing(sk, old, new),
        // A child closed before it was established (TCP Fast Open) starts to close like any other.
        SYN_RECV if new == FIN_WAIT1 => leave_established(&ctx, sk, new),
        _ => {}
    }
    0
}

/// connect() and listen() of an owned process.
#[inline(always)]
fn leave_close(ctx: &BtfTracePointContext, sk: *mut c_void, new: i32) {
    if new != SYN_SENT && new != LISTEN {
        return;
    }
    let tgid = current_tgid();
    if !owned(tgid) {
        return;
    }
    if !plain_tcp(sk) {
        add(count::MPTCP, 1);
        return;
    }
    if new == LISTEN {
        return listen(sk, tgid);
    }
    // A socket that had a record under this pointer is gone: its end was missed.
    if let Some(slot) = find(sk as u64) {
        give_up(slot);
    }
    let Some(life) = begin(ctx, sk, side::SERVER, cookie(sk)) else {
        return;
    };
    life.tgid = tgid;
    life.state = SYN_SENT as u8;
    life.connecting = now();
}

/// A new listener counts at once: its first child may come before the agent has drained the ring.
#[inline(always)]
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
    let key = record.listener;
    let _ = LISTENERS.insert(&key, &(side::CLIENT as u32), 0);
    if let Some(answer) = PORTS.get_ptr_mut(key.port as u32) {
        // SAFETY: a map value.
        unsafe {
            if *answer != key.netns {
                *answer = port::ASK;
            }
        }
    }
    put_other(&record);
}

/// Only active sockets have a record here.
#[inline(always)]
fn leave_syn_sent(sk: *mut c_void, new: i32) {
    let Some(slot) = find(sk as u64) else { return };
    let Some(life) = slot.record() else { return };
    if new == ESTABLISHED {
        life.state = ESTABLISHED as u8;
        life.established = now();
        life.steps = life.steps.wrapping_add(1);
    } else if new == CLOSE && life.state == SYN_SENT as u8 {
        end(sk, slot, life, SYN_SENT);
    }
}

/// The first FIN, or the RST: the moment at which a passive socket gets its record.
#[inline(always)]
fn leave_established(ctx: &BtfTracePointContext, sk: *mut c_void, new: i32) {
    if let Some((slot, life)) = mine(sk) {
        if new == CLOSE {
            end(sk, slot, life, ESTABLISHED);
        } else {
            start(life, new);
        }
        return;
    }
    let Some(side) = (if new == CLOSE {
        accepted_at_close(sk)
    } else {
        accepted(sk)
    }) else {
        return;
    };
    if !plain_tcp(sk) {
        return;
    }
    if new == CLOSE {
        // Reset: there is no span to tell, so there is no record to make.
        one(count::SEEN, side);
        add(count::TRANSITIONS, 1);
        one(count::COUNTED, side);
        one(
            if sk_err(sk) == 0 {
                count::RESET_BY_HAPROXY
            } else {
                count::RESET_BY_PEER
            },
            side,
        );
        return;
    }
    let Some(life) = begin(ctx, sk, side, cookie(sk)) else {
        return;
    };
    life.steps = 0;
    start(life, new);
}

/// The record of an active socket, unless its pointer was reused since.
#[inline(always)]
fn mine(sk: *mut c_void) -> Option<(Slot, &'static mut Life)> {
    let slot = find(sk as u64)?;
    let life = slot.record()?;
    if life.cookie != cookie(sk) {
        give_up(slot);
        return None;
    }
    Some((slot, life))
}

/// A record whose socket is gone, its end missed: lost, and counted as that.
#[inline(always)]
fn give_up(slot: Slot) {
    if let Some(life) = slot.record()
        && life.flags & flag::ADOPTED == 0
    {
        one(count::LOST, life.side);
    }
    slot.free();
}

#[inline(always)]
fn start(life: &mut Life, new: i32) {
    advance(life, new, now());
    if new == FIN_WAIT1 {
        life.tgid = current_tgid();
    }
}

#[inline(always)]
fn closing(sk: *mut c_void, old: i32, new: i32) {
    let Some(slot) = find(sk as u64) else { return };
    let Some(life) = slot.record() else { return };
    if new == CLOSE {
        return end(sk, slot, life, old);
    }
    if new == old {
        // close() of a socket that was already shut: it is orphaned, its dwell goes on.
        life.orphaned = now();
        life.steps = life.steps.wrapping_add(1);
        return;
    }
    advance(life, new, now());
    if new == LAST_ACK {
        life.tgid = current_tgid();
    }
}

/// Tells a transition as such.
#[inline(always)]
fn tell(sk: *mut c_void, old: i32, new: i32) {
    if old == LISTEN || new == LISTEN || new == SYN_RECV || !plain_tcp(sk) {
        return;
    }
    let found = find(sk as u64).and_then(Slot::record).map(|life| life.side);
    let by_process = new == SYN_SENT || new == FIN_WAIT1 || new == LAST_ACK || new == old;
    let tgid = if by_process { current_tgid() } else { 0 };
    let by_listener = || {
        if new == CLOSE {
            accepted_at_close(sk)
        } else {
            accepted(sk)
        }
    };
    let side = match found.or_else(by_listener) {
        Some(side) => side,
        None if new == SYN_SENT && owned(tgid) => side::SERVER,
        None => return,
    };
    let mut record = Transition {
        kind: kind::TRANSITION,
        from: old as u8,
        to: new as u8,
        side,
        own: by_process as u8,
        at: now(),
        cookie: cookie(sk),
        tgid,
        netns: netns(sk),
        ends: Ends::default(),
    };
    ends(sk, &mut record.ends);
    put_other(&record);
}
