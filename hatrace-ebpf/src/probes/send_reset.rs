//! A RST went out. Before CLOSE it is evidence on a life; right after a handover it says that there is no timewait
//! (`TCP_LINGER2` below zero).
//!
//! match-proto: include/trace/events/tcp.h: tcp_send_reset(const struct sock *sk, const struct sk_buff *skb, ...)

use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hatrace_common::wire::{evidence, flag};

use crate::fields::{CLOSE, NEW_SYN_RECV, TIME_WAIT, sk_state};
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
    // Its life has ended already, and its record with it.
    if let Some(last) = HANDED.get_ptr_mut(0) {
        // SAFETY: a per-CPU value.
        let [handed, cookie] = unsafe { *last };
        if handed == sk as u64 {
            put_evidence(evidence::NO_TIMEWAIT, cookie);
        }
    }
    0
}
