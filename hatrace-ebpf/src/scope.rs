//! Whose socket is it?
//!
//! The task that happens to run when a socket changes state is no answer: most transitions run in softirqs, on loopback
//! even in the peer's process. An accepted socket is owned by its listener, told by namespace, port and address; a connected one by
//! the process that called connect(), which is the current one at SYN_SENT and only there.

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_socket_cookie};
use aya_ebpf::maps::Array;
use hatrace_common::wire::{Listener, count, port, side};

use crate::counters::Counters;
use crate::fields::{
    AF_INET, IPPROTO_MPTCP, IPPROTO_TCP, Ptr, local_mapped, netns, sk_family, sk_num, sk_protocol, sk_saddr,
    source_port,
};
use crate::maps::{LISTENERS, PORT_BITS, PORTS, TGIDS};

/// The current process.
#[inline(always)]
pub fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

#[inline(always)]
fn bit(bits: &Array<u64>, index: u32) -> bool {
    match bits.get_ptr(index >> 6) {
        // SAFETY: a map value.
        Some(word) => unsafe { *word >> (index & 63) & 1 != 0 },
        None => false,
    }
}

/// Two CPUs that write one word at once could lose a bit: forks of one master, exits of its workers and its binding of ports are seconds
/// apart, and the agent sets its bits with atomic operations.
#[inline(always)]
fn set_bit(bits: &Array<u64>, index: u32, to: bool) {
    if let Some(word) = bits.get_ptr_mut(index >> 6) {
        let bit = 1u64 << (index & 63);
        // SAFETY: a map value.
        unsafe { if to { *word |= bit } else { *word &= !bit } }
    }
}

/// Whether a process is HAProxy's.
#[inline(always)]
pub fn owned(tgid: u32) -> bool {
    bit(&TGIDS, tgid)
}

/// Makes a process HAProxy's, or takes it off.
#[inline(always)]
pub fn set_owned(tgid: u32, to: bool) {
    set_bit(&TGIDS, tgid, to);
}

/// Makes an address one that an owned process listens on.
#[inline(always)]
pub fn set_listening(at: &Listener) {
    let _ = LISTENERS.insert(at, &(side::CLIENT as u32), 0);
    if let Some(answer) = PORTS.get_ptr_mut(at.port as u32) {
        // SAFETY: a map value.
        unsafe {
            if *answer != at.netns as u64 {
                *answer = port::ASK;
            }
        }
    }
    set_bit(&PORT_BITS, at.port as u32, true);
}

/// The side of a socket whose local address is that of an owned listener. The bitmap of ports answers "no" for nearly everyone else's
/// sockets at the price of one load.
#[inline(always)]
pub fn accepted(sk: Ptr) -> Option<u8> {
    accepted_at(sk, sk_num(sk))
}

/// The same at `* -> CLOSE`, where the kernel has put the port back already (`inet_put_port()` comes first, for accepted sockets as
/// well: `sk_clone_lock()` takes `SOCK_BINDPORT_LOCK` off them).
#[inline(always)]
pub fn accepted_at_close(sk: Ptr) -> Option<u8> {
    accepted_at(sk, source_port(sk))
}

#[inline(always)]
fn accepted_at(sk: Ptr, local: u16) -> Option<u8> {
    if bit(&PORT_BITS, local as u32) {
        listening(sk, local)
    } else {
        None
    }
}

#[inline(never)]
fn listening(sk: Ptr, local: u16) -> Option<u8> {
    let answer = match PORTS.get_ptr(local as u32) {
        // SAFETY: a map value.
        Some(answer) => unsafe { *answer },
        None => return None,
    };
    if answer == port::NONE {
        return None;
    }
    let inum = netns(sk);
    if answer == port::ASK {
        return listener(sk, inum, local);
    }
    let address = (answer >> 32) as u32;
    let there =
        answer as u32 == inum && (address == 0 || sk_family(sk) == AF_INET && address == sk_saddr(sk));
    there.then_some(side::CLIENT)
}

/// Asks the map of listeners: the exact address first, then the wildcard.
#[inline(always)]
fn listener(sk: Ptr, netns: u32, port: u16) -> Option<u8> {
    let mut key = Listener {
        netns,
        port,
        zero: 0,
        addr: [0; 16],
    };
    local_mapped(sk, &mut key.addr);
    // SAFETY: values are only ever replaced by whole words.
    if let Some(found) = unsafe { LISTENERS.get(&key) } {
        return Some(*found as u8);
    }
    key.addr = [0; 16];
    // SAFETY: as above.
    unsafe { LISTENERS.get(&key) }.map(|found| *found as u8)
}

/// Plain TCP: not the MPTCP socket above its subflows, which tells the same transitions again.
#[inline(always)]
pub fn plain_tcp(sk: Ptr) -> bool {
    sk_protocol(sk) == IPPROTO_TCP
}

/// The MPTCP socket itself: what its process has open.
#[inline(always)]
pub fn is_mptcp(sk: Ptr) -> bool {
    sk_protocol(sk) == IPPROTO_MPTCP
}

/// One more that is left alone.
#[inline(never)]
pub fn count_mptcp() {
    if let Some(counters) = Counters::here() {
        counters.add(count::MPTCP, 1);
    }
}

/// The socket's cookie; made if it has none, so that the timewait that may follow carries it.
#[inline(always)]
pub fn cookie(sk: *mut c_void) -> u64 {
    // SAFETY: any socket pointer the verifier trusts.
    unsafe { bpf_get_socket_cookie(sk) }
}
