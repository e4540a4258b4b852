//! A RST went out. Before CLOSE it is evidence on a life; right after a handover it says that there is no timewait
//! (`TCP_LINGER2` below zero).
//!
//! match-proto: include/trace/events/tcp.h: tcp_send_reset(const struct sock *sk, const struct sk_buff *skb, ...)

use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hatrace_common::wire::{evidence, flag};

use crate::fields::{CLOSE, NEW_SYN_RECV, TIME_WAIT, sk_cookie, sk_state};
use crate::life;
use crate::maps::HANDED;
use crate::ring::put_evidence;

#[btf_tracepoint(function = "tcp_send_reset")]
pub fn send_reset(ctx: BtfTracePointContext) -> i32 {
    let sk: *mut c_void = ctx.arg(0);
    // No socket at all, or a mini-socket: its type is not what the prototype says.
    if sk.is_null() || matches!(sk_state(sk), TIME_WAIT | NEW_SYN_RECV) {
        return 0;
    }
    if sk_state(sk) as i32 != CLOSE {
        if let Some((_, life)) = life::of(sk) {
            life.flags |= flag::RESET_OUT;
        }
        return 0;
    }
    // Its life has ended already, and its record with it. By its cookie: the next socket on this CPU may well get the memory of the one
    // that was handed over, and end with a RST of its own.
    if let Some(last) = HANDED.get_ptr_mut(0) {
        // SAFETY: a per-CPU value.
        let cookie = unsafe { *last };
        if cookie != 0 && cookie == sk_cookie(sk) {
            put_evidence(evidence::NO_TIMEWAIT, cookie);
        }
    }
    0
}
