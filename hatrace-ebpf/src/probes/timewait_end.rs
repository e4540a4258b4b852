//! A timewait is gone. Optional: fentry doesn't load everywhere; without it the sweep tells, within its interval.
//!
//! match-proto: net/ipv4/tcp_minisocks.c: void tcp_twsk_destructor(struct sock *sk)
//!
//! Only those that end out of FIN_WAIT2 and have a cookie are told: a TIME_WAIT's end is computed, and a socket nobody
//! gave a cookie to is none of ours. The agent knows its own by cookie.

use aya_ebpf::cty::c_void;
use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;
use hatrace_common::wire::evidence;

use crate::fields::{FIN_WAIT2, timewait};
use crate::ring::put_evidence;

#[fentry(function = "tcp_twsk_destructor")]
pub fn timewait_end(ctx: FEntryContext) -> i32 {
    let tw: *mut c_void = ctx.arg(0);
    let (cookie, substate) = timewait(tw);
    if cookie != 0 && substate as i32 == FIN_WAIT2 {
        put_evidence(evidence::TIMEWAIT_ENDED, cookie);
    }
    0
}
