//! What time it is. Reading the clock costs as much as all else that a transition needs (40 ns here), so it is read only where the
//! socket itself doesn't know.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::bpf_ktime_get_ns;

use crate::fields::last_segment_us;

/// Now, in nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no arguments, no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// Now, for a transition that a segment just received has made: TCP has read the clock for that segment already, on the way to its
/// state machine (`tcp_mstamp_refresh()` in `tcp_rcv_established()` and `tcp_rcv_state_process()`), from the same `CLOCK_MONOTONIC`.
///
/// Wrong where no segment made it: the stamp is as old as the last one then. So this is for `SYN_SENT -> ESTABLISHED`, `-> CLOSE_WAIT`,
/// `-> FIN_WAIT2`, `-> CLOSING`, and for ends without an error by a FIN or the last ACK. `not_before` is the moment of the transition before:
/// the stamp is in whole microseconds.
#[inline(always)]
pub fn received(sk: *mut c_void, not_before: u64) -> u64 {
    match last_segment_us(sk) {
        0 => now(),
        us if us * 1000 > not_before => us * 1000,
        _ => not_before,
    }
}
