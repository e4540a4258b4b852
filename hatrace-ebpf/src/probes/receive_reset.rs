//! A RST came in: evidence on a life that is closing. What it ended is told by `sk_err` at CLOSE.
//!
//! match-proto: include/trace/events/tcp.h: tcp_receive_reset(struct sock *sk)

use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hatrace_common::wire::flag;

use crate::life;

#[btf_tracepoint(function = "tcp_receive_reset")]
pub fn receive_reset(ctx: BtfTracePointContext) -> i32 {
    let sk: *mut c_void = ctx.arg(0);
    if let Some((_, life)) = life::of(sk) {
        life.flags |= flag::RESET_IN;
    }
    0
}
