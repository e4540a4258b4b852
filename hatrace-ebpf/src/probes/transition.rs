//! Each transition as such, where every one is asked for (`-a`): a program of its own, so that nobody else pays for the question. It is
//! attached before `set_state`, whose record of a life that ends it reads.
//!
//! match-proto: include/trace/events/sock.h: inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)

use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hatrace_common::wire::{Ends, Transition, kind, side};

use crate::clock::now;
use crate::fields::{CLOSE, FIN_WAIT1, LAST_ACK, LISTEN, SYN_RECV, SYN_SENT, ends, netns, sk_err};
use crate::life;
use crate::ring::put_other;
use crate::scope::{accepted, accepted_at_close, cookie, current_tgid, owned, plain_tcp};

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn transition(ctx: BtfTracePointContext) -> i32 {
    let old: i32 = ctx.arg(1);
    let new: i32 = ctx.arg(2);
    let sk: *mut c_void = ctx.arg(0);
    if old != LISTEN && new != LISTEN && new != SYN_RECV && plain_tcp(sk) {
        tell(sk, old, new);
    }
    0
}

#[inline(always)]
fn tell(sk: *mut c_void, old: i32, new: i32) {
    let found = life::of(sk).map(|(_, life)| life.side);
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
        sk_err: if new == CLOSE { sk_err(sk) as u32 } else { 0 },
        zero: 0,
    };
    ends(sk, &mut record.ends);
    put_other(&record);
}
