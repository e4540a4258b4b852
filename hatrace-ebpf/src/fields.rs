//! Fields of the kernel's structures. Their offsets differ between kernels: the agent reads them from the kernel's BTF and
//! sets these read-only globals before load, so that the verifier sees constants and checks each load against the type.

use aya_ebpf::Global;
use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::bpf_probe_read_kernel_buf;
use aya_ebpf::helpers::generated::bpf_skc_to_tcp_sock;
use hatrace_common::wire::Ends;

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $($(#[$doc])* #[unsafe(no_mangle)] static $name: Global<u32> = Global::new(0);)+
    };
}

offsets! {
    OFF_SK_FAMILY, OFF_SK_STATE, OFF_SK_DPORT, OFF_SK_NUM, OFF_SK_DADDR, OFF_SK_SADDR, OFF_SK_V6_DADDR, OFF_SK_V6_SADDR,
    OFF_SK_NET, OFF_SK_COOKIE, OFF_SK_FLAGS, OFF_SK_ERR, OFF_SK_PROTOCOL, OFF_SK_SOCKET, OFF_INET_SPORT, OFF_NET_INUM,
    OFF_TCP_RCV_NXT, OFF_TCP_COPIED_SEQ, OFF_TCP_WRITE_SEQ, OFF_TCP_SND_UNA,
    OFF_TW_SUBSTATE, OFF_SOCKET_SK, OFF_FILE_INODE, OFF_INODE_INO, OFF_TASK_PID, OFF_TASK_TGID, OFF_TASK_COMM,
}

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

const AF_INET: u16 = 2;
pub const IPPROTO_TCP: u16 = 6;

/// Reads a field of a structure behind a typed pointer.
#[inline(always)]
fn load<T: Copy>(base: Ptr, offset: &Global<u32>) -> T {
    // SAFETY: a BTF-typed pointer: the verifier checks offset and size against the type and makes the load fault-tolerant.
    unsafe { *base.cast::<u8>().add(offset.load() as usize).cast::<T>() }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $offset:ident;)+) => {
        $($(#[$doc])* #[inline(always)] pub fn $name(base: Ptr) -> $type { load(base, &$offset) })+
    };
}

fields! {
    sk_family: u16 = OFF_SK_FAMILY;
    sk_state: u8 = OFF_SK_STATE;
    sk_err: i32 = OFF_SK_ERR;
    sk_protocol: u16 = OFF_SK_PROTOCOL;
    /// The local port, host order. 0 at `* -> CLOSE` of an auto-bound socket: `sk_source_port` is right there.
    sk_num: u16 = OFF_SK_NUM;
    sk_net: Ptr = OFF_SK_NET;
    sk_socket: Ptr = OFF_SK_SOCKET;
    sk_flags: u64 = OFF_SK_FLAGS;
    net_inum: u32 = OFF_NET_INUM;
    socket_sk: Ptr = OFF_SOCKET_SK;
    file_inode: Ptr = OFF_FILE_INODE;
    inode_ino: u64 = OFF_INODE_INO;
    task_pid: u32 = OFF_TASK_PID;
    task_tgid: u32 = OFF_TASK_TGID;
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
    read(task, &OFF_TASK_COMM, &mut name);
    name
}

#[inline(always)]
fn read(base: Ptr, offset: &Global<u32>, into: &mut [u8]) {
    // SAFETY: probe_read_kernel tolerates any address; on failure the zeros stay.
    let _ = unsafe { bpf_probe_read_kernel_buf(base.cast::<u8>().add(offset.load() as usize), into) };
}

/// The local port, host order, right also after the kernel has put the port back. It is `inet_sock`'s, beyond `struct sock`,
/// where a typed load would be refused.
#[inline(always)]
fn source_port(sk: Ptr) -> u16 {
    let mut port = [0u8; 2];
    read(sk, &OFF_INET_SPORT, &mut port);
    u16::from_be_bytes(port)
}

/// Both ends of a socket.
#[inline(always)]
pub fn ends(sk: Ptr, ends: &mut Ends) {
    ends.family = load(sk, &OFF_SK_FAMILY);
    ends.local_port = source_port(sk);
    ends.peer_port = u16::from_be(load(sk, &OFF_SK_DPORT));
    ends.zero = 0;
    ends.local = [0; 16];
    ends.peer = [0; 16];
    if ends.family == AF_INET {
        read(sk, &OFF_SK_SADDR, &mut ends.local[..4]);
        read(sk, &OFF_SK_DADDR, &mut ends.peer[..4]);
    } else {
        read(sk, &OFF_SK_V6_SADDR, &mut ends.local);
        read(sk, &OFF_SK_V6_DADDR, &mut ends.peer);
    }
}

/// The local address as a listener's key has it: IPv4 mapped into IPv6.
#[inline(always)]
pub fn local_mapped(sk: Ptr, addr: &mut [u8; 16]) {
    let family: u16 = load(sk, &OFF_SK_FAMILY);
    if family == AF_INET {
        *addr = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
        read(sk, &OFF_SK_SADDR, &mut addr[12..]);
    } else {
        read(sk, &OFF_SK_V6_SADDR, addr);
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
    let (rcv_nxt, copied): (u32, u32) = (load(tp, &OFF_TCP_RCV_NXT), load(tp, &OFF_TCP_COPIED_SEQ));
    let (written, una): (u32, u32) = (load(tp, &OFF_TCP_WRITE_SEQ), load(tp, &OFF_TCP_SND_UNA));
    (rcv_nxt.wrapping_sub(copied), written.wrapping_sub(una))
}

/// A timewait's cookie and substate. What it is handed as is a `struct sock` that it isn't: read, not loaded.
#[inline(always)]
pub fn timewait(tw: Ptr) -> (u64, u8) {
    let (mut cookie, mut substate) = ([0u8; 8], [0u8; 1]);
    read(tw, &OFF_SK_COOKIE, &mut cookie);
    read(tw, &OFF_TW_SUBSTATE, &mut substate);
    (u64::from_ne_bytes(cookie), substate[0])
}
