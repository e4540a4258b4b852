//! A segment was sent again: on a closing life its FIN, or data before it, finds no answer.
//!
//! match-proto: include/trace/events/tcp.h: tcp_retransmit_skb(const struct sock *sk, const struct sk_buff *skb, ...)

use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::fields::SYN_SENT;
use crate::life;

#[btf_tracepoint(function = "tcp_retransmit_skb")]
pub fn retransmit(ctx: BtfTracePointContext) -> i32 {
    let sk: *mut c_void = ctx.arg(0);
    if let Some((_, life)) = life::of(sk)
        && (life.first != 0 || life.state == SYN_SENT as u8)
    {
        life.retransmits = life.retransmits.saturating_add(1);
    }
    0
}
