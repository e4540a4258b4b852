//! The records that cross from the kernel to the agent.

use core::mem::size_of;

/// Sides, as the kernel half numbers them.
pub mod side {
    /// Accepted by an owned listener.
    pub const CLIENT: u8 = 0;
    /// Connected by an owned process.
    pub const SERVER: u8 = 1;
    /// Accepted by a listener of HAProxy's own business.
    pub const CONTROL: u8 = 2;
    /// Not tellable.
    pub const UNKNOWN: u8 = 3;
}

/// Bits of [`Life::flags`].
pub mod flag {
    /// It was there before hatrace: entries into states it was found in are unknown (0).
    pub const ADOPTED: u8 = 1;
    /// A RST was sent.
    pub const RESET_OUT: u8 = 2;
}

/// One life in the kernel's table: 64 bytes, one cache line. Times are `bpf_ktime_get_ns()`; 0 is "not, or not known".
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// The socket's cookie: the key. 0: nobody's.
    pub cookie: u64,
    /// SYN_SENT entered.
    pub connecting: u64,
    /// ESTABLISHED entered (active sockets only).
    pub established: u64,
    /// The first closing state entered.
    pub closing: u64,
    /// The second closing state entered.
    pub second: u64,
    /// Closed by HAProxy while already shut.
    pub orphaned: u64,
    /// The process that was seen acting on it; 0: none yet.
    pub tgid: u32,
    /// Network namespace, by inode number.
    pub netns: u32,
    /// The state it is in; 0 while the record is being made, and when it is nobody's.
    pub state: u8,
    /// The first closing state; 0 while it isn't closing.
    pub first: u8,
    /// See [`side`].
    pub side: u8,
    /// See [`flag`].
    pub flags: u8,
    /// Retransmissions seen while it was closing, or connecting.
    pub retransmits: u16,
    /// Transitions seen.
    pub steps: u16,
}
const _: () = assert!(size_of::<Life>() == 64);

/// The table of lives.
pub mod table {
    /// So many low bits of a cookie say where in its run of neighbours a record is; a run fills a page.
    pub const RUN_BITS: u32 = 6;
    /// Levels of the overflow: the first a quarter as large as home, the second as large, each that follows twice as large as the one
    /// before. Made when they are needed.
    pub const LEVELS: u32 = 8;
    /// The most home pages, so that places of the last level can be numbered.
    pub const MOST_PAGES: u32 = 1 << 16;

    /// Pairs of buckets in a level of a table with so many home pages.
    #[inline(always)]
    #[must_use]
    pub const fn pairs(pages: u32, level: u32) -> u32 {
        if level == 0 { pages } else { pages << (level + 1) }
    }
    /// No place.
    pub const NOWHERE: u32 = u32::MAX;
    /// `BPF_F_MMAPABLE | BPF_F_INNER_MAP`: of a level's map. The agent reads it as memory, and levels differ in size.
    pub const LEVEL_FLAGS: u32 = 1 << 10 | 1 << 12;
}

/// Eight places of the overflow: whose they are, then the records.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Cookies; 0 is free.
    pub cookies: [u64; 8],
    /// The record of each.
    pub lives: [Life; 8],
}
const _: () = assert!(size_of::<Bucket>() == 64 + 8 * 64);

/// The two ends of a socket. Ports in host order; IPv4 in the first four bytes of an address, the rest zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub family: u16,
    /// Local port.
    pub local_port: u16,
    /// Peer's port.
    pub peer_port: u16,
    /// Always 0.
    pub zero: u16,
    /// Local address.
    pub local: [u8; 16],
    /// Peer's address.
    pub peer: [u8; 16],
}
const _: () = assert!(size_of::<Ends>() == 40);

/// What a ring record is: its first four bytes.
pub mod kind {
    /// [`super::LifeEnd`].
    pub const LIFE_END: u32 = 1;
    /// [`super::Transition`].
    pub const TRANSITION: u32 = 2;
    /// [`super::Process`].
    pub const PROCESS: u32 = 3;
    /// [`super::Evidence`].
    pub const EVIDENCE: u32 = 4;
    /// [`super::Listen`].
    pub const LISTEN: u32 = 5;
}

/// The end of a life that lingered, was handed to a timewait in FIN_WAIT2, has missed a transition, or is wanted because all are.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeEnd {
    /// [`kind::LIFE_END`].
    pub kind: u32,
    /// The state it left for CLOSE.
    pub from: u8,
    /// `SOCK_DEAD`.
    pub dead: u8,
    /// `SOCK_DONE`.
    pub done: u8,
    /// It had neither been accepted nor orphaned.
    pub unaccepted: u8,
    /// When.
    pub at: u64,
    /// The record.
    pub life: Life,
    /// Between whom.
    pub ends: Ends,
    /// `rcv_nxt - copied_seq`.
    pub unread: u32,
    /// `write_seq - snd_una`.
    pub unacked: u32,
    /// `sk_err`.
    pub sk_err: u32,
    /// Always 0.
    pub zero: u32,
}
const _: () = assert!(size_of::<LifeEnd>() == 16 + 64 + 40 + 16);

/// One transition, where every one is asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// [`kind::TRANSITION`].
    pub kind: u32,
    /// From.
    pub from: u8,
    /// To.
    pub to: u8,
    /// Side.
    pub side: u8,
    /// The process acted itself (`tgid` is meaningful).
    pub own: u8,
    /// When.
    pub at: u64,
    /// Cookie; 0 where it isn't the socket's own yet.
    pub cookie: u64,
    /// The current process.
    pub tgid: u32,
    /// Network namespace.
    pub netns: u32,
    /// Between whom.
    pub ends: Ends,
    /// `sk_err`, of a transition to CLOSE.
    pub sk_err: u32,
    /// Always 0.
    pub zero: u32,
}
const _: () = assert!(size_of::<Transition>() == 32 + 40 + 8);

/// What happened to a process.
pub mod process {
    /// Forked by an owned one.
    pub const BORN: u32 = 1;
    /// Exited.
    pub const ENDED: u32 = 2;
    /// Executed another program: no HAProxy any more.
    pub const LEFT: u32 = 3;
}

/// A process of HAProxy's began or ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// [`kind::PROCESS`].
    pub kind: u32,
    /// See [`process`].
    pub what: u32,
    /// When.
    pub at: u64,
    /// Which.
    pub tgid: u32,
    /// Who forked it; 0 otherwise.
    pub parent: u32,
}
const _: () = assert!(size_of::<Process>() == 24);

/// What a piece of evidence says.
pub mod evidence {
    /// A RST followed the handover at once: there is no timewait (`TCP_LINGER2` < 0).
    pub const NO_TIMEWAIT: u32 = 1;
    /// A timewait is gone, out of FIN_WAIT2.
    pub const TIMEWAIT_ENDED: u32 = 2;
}

/// Evidence on a socket whose record is gone already.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// [`kind::EVIDENCE`].
    pub kind: u32,
    /// See [`evidence`].
    pub what: u32,
    /// When.
    pub at: u64,
    /// Which socket.
    pub cookie: u64,
}
const _: () = assert!(size_of::<Evidence>() == 24);

/// An owned process has begun to listen.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// [`kind::LISTEN`].
    pub kind: u32,
    /// Which process.
    pub tgid: u32,
    /// When.
    pub at: u64,
    /// Where.
    pub listener: Listener,
}
const _: () = assert!(size_of::<Listen>() == 16 + 24);

/// A listening address: the key of the `LISTENERS` map. The wildcard is all zeros; IPv4 is written as IPv6 maps it
/// (`::ffff:a.b.c.d`), so that a listener on `:::443` and its IPv4 children meet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listener {
    /// Network namespace.
    pub netns: u32,
    /// Port, host order.
    pub port: u16,
    /// Always 0.
    pub zero: u16,
    /// Address.
    pub addr: [u8; 16],
}
const _: () = assert!(size_of::<Listener>() == 24);

/// Values of the `PORTS` map: a network namespace and, above its 32 bits, the IPv4 address (as in a packet) of the one listener on that
/// port; without an address, a wildcard's. Or one of these.
pub mod port {
    /// Nobody owned listens there.
    pub const NONE: u64 = 0;
    /// The `LISTENERS` map tells.
    pub const ASK: u64 = 1;
}

/// Bits of entry 0 of the `CONTROL` map.
pub mod control {
    /// Make records for sockets that the table doesn't have.
    pub const ADOPT: u32 = 1;
    /// Rows for sockets in every state, not only closing ones, connecting ones and listeners.
    pub const EVERY_STATE: u32 = 2;
    /// The process whose files are read is HAProxy's from now on: only for a reading that is restricted to one.
    pub const OWN: u32 = 4;
}

/// One fd of an owned process, as the fd iterator writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Cookie.
    pub cookie: u64,
    /// The socket's inode.
    pub inode: u64,
    /// Process.
    pub tgid: u32,
    /// Descriptor.
    pub fd: u32,
    /// Network namespace.
    pub netns: u32,
    /// State.
    pub state: u8,
    /// Side, as the listener tables tell it.
    pub side: u8,
    /// 1: the table has a record of it; 2: it was made just now; 3: the table has no room.
    pub record: u8,
    /// Always 0.
    pub zero: u8,
    /// Between whom.
    pub ends: Ends,
    /// The thread in whose table it is: the process's first, or one that doesn't share that one's.
    pub tid: u32,
    /// Always 0.
    pub unused: u32,
}
const _: () = assert!(size_of::<FileRow>() == 32 + 40 + 8);

/// The counters: indices of the per-CPU counter block. Those with a side take four places.
pub mod count {
    /// Lives begun; by side.
    pub const SEEN: usize = 0;
    /// Lives ended short, in order or by a RST; by side.
    pub const COUNTED: usize = 4;
    /// Lives delivered; by side.
    pub const DELIVERED: usize = 8;
    /// Lives whose record found the ring full; by side.
    pub const LOST: usize = 12;
    /// Lives for which the table had no room; by side.
    pub const TABLE_FULL: usize = 16;
    /// Ended by the peer's RST from ESTABLISHED; by side.
    pub const RESET_BY_PEER: usize = 20;
    /// Ended by HAProxy's RST from ESTABLISHED; by side.
    pub const RESET_BY_HAPROXY: usize = 24;
    /// TIME_WAITs begun straight from a full socket; by side.
    pub const TIMEWAIT: usize = 28;
    /// Adopted lives ended: not part of SEEN; by side.
    pub const ADOPTED_ENDED: usize = 32;
    /// Transitions.
    pub const TRANSITIONS: usize = 36;
    /// MPTCP sockets seen and left alone.
    pub const MPTCP: usize = 37;
    /// Other records (transitions, processes, evidence) that found the ring full.
    pub const LOST_OTHER: usize = 39;
    /// Size of the block.
    pub const SIZE: usize = 64;
}

/// What a CPU has counted: one block, so that one look-up does for all that a transition counts.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Tally {
    /// See [`count`].
    pub counts: [u64; count::SIZE],
    /// See [`dwell`]. They wrap: the agent adds up differences.
    pub dwell: [u32; dwell::SIZE],
}
const _: () = assert!(size_of::<Tally>() == 64 * 8 + 4096 * 4);

/// The dwell histograms: log-linear buckets of microseconds, four to an octave.
pub mod dwell {
    /// Buckets for a state: 32 octaves, four each.
    pub const BUCKETS: u32 = 128;
    /// States kept, by [`index_of`]'s numbers.
    pub const STATES: u32 = 8;
    /// Entries in all: side, state, bucket.
    pub const SIZE: usize = (4 * STATES * BUCKETS) as usize;

    /// The kernel's state numbers as 0..8: SYN_SENT 2, FIN_WAIT1 4, FIN_WAIT2 5, CLOSE_WAIT 0, LAST_ACK 1, CLOSING 3
    /// (number & 7 tells those apart). ESTABLISHED would share 1 with LAST_ACK: it isn't kept.
    #[inline(always)]
    #[must_use]
    pub const fn index_of(state: u8) -> u32 {
        (state & 7) as u32
    }

    /// The state number of an index.
    #[must_use]
    pub const fn state_of(index: u32) -> Option<u8> {
        match index {
            0 => Some(8),
            1 => Some(9),
            2 => Some(2),
            3 => Some(11),
            4 => Some(4),
            5 => Some(5),
            _ => None,
        }
    }

    /// The bounds of a bucket in microseconds: from, to.
    #[must_use]
    pub const fn bounds(bucket: u32) -> (u64, u64) {
        let (octave, quarter) = (bucket / 4, (bucket % 4) as u64);
        if octave < 2 {
            // 0, 1, 2, 3 us: an octave has no quarters yet; see `bucket_of`.
            return (bucket as u64, bucket as u64 + 1);
        }
        let base = 1u64 << octave;
        (base + base / 4 * quarter, base + base / 4 * (quarter + 1))
    }
}
