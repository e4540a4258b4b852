//! Fields of the kernel's structures. Their offsets differ between kernels: the instructions here carry numbers instead, in whose places
//! the agent writes the offsets that the kernel's BTF tells (`hatrace_common::fields`).

use core::arch::asm;

use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::bpf_probe_read_kernel_buf;
use aya_ebpf::helpers::generated::bpf_skc_to_tcp_sock;
use hatrace_common::fields::number::*;
use hatrace_common::fields::{ADD, LOAD};
use hatrace_common::wire::Ends;

/// A kernel pointer whose type the verifier knows.
pub type Ptr = *const c_void;

pub const ESTABLISHED: i32 = 1;
pub const SYN_SENT: i32 = 2;
pub const SYN_RECV: i32 = 3;
pub const FIN_WAIT1: i32 = 4;
pub const FIN_WAIT2: i32 = 5;
pub const TIME_WAIT: u8 = 6;
pub const CLOSE: i32 = 7;
pub const CLOSE_WAIT: i32 = 8;
pub const LAST_ACK: i32 = 9;
pub const LISTEN: i32 = 10;
pub const CLOSING: i32 = 11;
pub const NEW_SYN_RECV: u8 = 12;

pub const AF_INET: u16 = 2;
pub const IPPROTO_TCP: u16 = 6;
pub const IPPROTO_MPTCP: u16 = 262;

/// What a field can be loaded as.
trait Loaded: Sized {
    /// Reads the field of a structure behind a typed pointer.
    fn load<const FIELD: i32>(base: Ptr) -> Self;
}

macro_rules! loaded {
    ($($type:ty, $register:ident, $width:literal;)+) => {
        $(impl Loaded for $type {
            #[inline(always)]
            fn load<const FIELD: i32>(base: Ptr) -> Self {
                let value: $type;
                // SAFETY: a BTF-typed pointer: the verifier checks offset and size against the type, and makes the load fault-tolerant.
                unsafe {
                    asm!(concat!("{to} = *(", $width, " *)({from} + {at})"), to = lateout($register) value, from = in(reg) base,
                        at = const LOAD + FIELD, options(pure, readonly, nostack, preserves_flags));
                }
                value
            }
        })+
    };
}

loaded! {
    u16, wreg, "u16";
    u32, wreg, "u32";
    i32, wreg, "u32";
    u64, reg, "u64";
    Ptr, reg, "u64";
}

impl Loaded for u8 {
    #[inline(always)]
    fn load<const FIELD: i32>(base: Ptr) -> Self {
        let value: u32;
        // SAFETY: as above.
        unsafe {
            asm!("{to} = *(u8 *)({from} + {at})", to = lateout(wreg) value, from = in(reg) base,
                at = const LOAD + FIELD, options(pure, readonly, nostack, preserves_flags));
        }
        value as u8
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $field:ident;)+) => {
        $($(#[$doc])* #[inline(always)] pub fn $name(base: Ptr) -> $type { <$type>::load::<$field>(base) })+
    };
}

fields! {
    sk_family: u16 = SK_FAMILY;
    sk_state: u8 = SK_STATE;
    sk_err: i32 = SK_ERR;
    sk_protocol: u16 = SK_PROTOCOL;
    /// The cookie, without making one: 0 where nobody has asked for it yet. Our sockets have one as long as they have a record.
    sk_cookie: u64 = SK_COOKIE;
    /// The local port, host order. 0 at `* -> CLOSE` of an auto-bound socket: `sk_source_port` is right there.
    sk_num: u16 = SK_NUM;
    sk_dport: u16 = SK_DPORT;
    /// The local IPv4 address, as in a packet.
    sk_saddr: u32 = SK_SADDR;
    /// The peer's.
    sk_daddr: u32 = SK_DADDR;
    sk_net: Ptr = SK_NET;
    sk_socket: Ptr = SK_SOCKET;
    sk_flags: u64 = SK_FLAGS;
    net_inum: u32 = NET_INUM;
    tcp_mstamp: u64 = TCP_MSTAMP;
    tcp_rcv_nxt: u32 = TCP_RCV_NXT;
    tcp_copied_seq: u32 = TCP_COPIED_SEQ;
    tcp_write_seq: u32 = TCP_WRITE_SEQ;
    tcp_snd_una: u32 = TCP_SND_UNA;
    socket_sk: Ptr = SOCKET_SK;
    file_inode: Ptr = FILE_INODE;
    inode_ino: u64 = INODE_INO;
    task_pid: u32 = TASK_PID;
    task_tgid: u32 = TASK_TGID;
}

/// Copies a field out of memory of whatever type. On failure the zeros stay.
#[inline(always)]
fn read<const FIELD: i32>(base: Ptr, into: &mut [u8]) {
    let mut at = base;
    // SAFETY: an addition; probe_read_kernel tolerates any address.
    unsafe {
        asm!("{at} += {field}", at = inout(reg) at, field = const ADD + FIELD,
            options(pure, nomem, nostack, preserves_flags));
        let _ = bpf_probe_read_kernel_buf(at.cast(), into);
    }
}

/// The network namespace a socket is in, by inode number.
#[inline(always)]
pub fn netns(sk: Ptr) -> u32 {
    net_inum(sk_net(sk))
}

/// The name of a task.
#[inline(always)]
pub fn comm(task: Ptr) -> [u8; 16] {
    let mut name = [0u8; 16];
    read::<TASK_COMM>(task, &mut name);
    name
}

/// The local port, host order, right also after the kernel has put the port back. It is `inet_sock`'s, beyond `struct sock`,
/// where a typed load would be refused.
#[inline(always)]
pub fn source_port(sk: Ptr) -> u16 {
    let mut port = [0u8; 2];
    read::<INET_SPORT>(sk, &mut port);
    u16::from_be_bytes(port)
}

/// Both ends of a socket.
#[inline(always)]
pub fn ends(sk: Ptr, ends: &mut Ends) {
    ends.family = sk_family(sk);
    ends.local_port = source_port(sk);
    ends.peer_port = u16::from_be(sk_dport(sk));
    ends.zero = 0;
    ends.local = [0; 16];
    ends.peer = [0; 16];
    if ends.family == AF_INET {
        ends.local[..4].copy_from_slice(&sk_saddr(sk).to_ne_bytes());
        ends.peer[..4].copy_from_slice(&sk_daddr(sk).to_ne_bytes());
    } else {
        read::<SK_V6_SADDR>(sk, &mut ends.local);
        read::<SK_V6_DADDR>(sk, &mut ends.peer);
    }
}

/// The local address as a listener's key has it: IPv4 mapped into IPv6.
#[inline(always)]
pub fn local_mapped(sk: Ptr, addr: &mut [u8; 16]) {
    if sk_family(sk) == AF_INET {
        *addr = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
        addr[12..].copy_from_slice(&sk_saddr(sk).to_ne_bytes());
    } else {
        read::<SK_V6_SADDR>(sk, addr);
    }
}

/// Bytes received and not read, and bytes written and not acknowledged.
#[inline(always)]
pub fn queues(sk: *mut c_void) -> (u32, u32) {
    // SAFETY: takes any socket; null where it is no full TCP socket.
    let tp: Ptr = unsafe { bpf_skc_to_tcp_sock(sk) }.cast();
    if tp.is_null() {
        return (0, 0);
    }
    (
        tcp_rcv_nxt(tp).wrapping_sub(tcp_copied_seq(tp)),
        tcp_write_seq(tp).wrapping_sub(tcp_snd_una(tp)),
    )
}

/// When the segment that is being processed came, in microseconds of `CLOCK_MONOTONIC`; 0: no TCP socket.
#[inline(always)]
pub fn last_segment_us(sk: *mut c_void) -> u64 {
    // SAFETY: as above.
    let tp: Ptr = unsafe { bpf_skc_to_tcp_sock(sk) }.cast();
    if tp.is_null() {
        return 0;
    }
    tcp_mstamp(tp)
}

/// A timewait's cookie and substate. What it is handed as is a `struct sock` that it isn't: read, not loaded.
#[inline(always)]
pub fn timewait(tw: Ptr) -> (u64, u8) {
    let (mut cookie, mut substate) = ([0u8; 8], [0u8; 1]);
    read::<SK_COOKIE>(tw, &mut cookie);
    read::<TW_SUBSTATE>(tw, &mut substate);
    (u64::from_ne_bytes(cookie), substate[0])
}
