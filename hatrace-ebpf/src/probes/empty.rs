//! Programs that do nothing, on the hooks of those that do: the floor that the bench subtracts.
//!
//! match-proto: include/trace/events/sock.h: inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn empty_set_state(_ctx: BtfTracePointContext) -> i32 {
    0
}
