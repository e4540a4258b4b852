//! Every map.

use aya_ebpf::btf_maps::{self, ArrayOfMaps};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use hatrace_common::wire::{Bucket, Life, Listener, Tally, table};

/// The agent reads and writes these maps as memory, without a system call an entry.
const MMAPABLE: u32 = 1 << 10;

/// The records at home. The agent sets their number before load.
#[map]
pub static RECORDS: Array<Life> = Array::with_max_entries(64, MMAPABLE);

/// The overflow: the agent puts a level in when the ones before are no longer enough.
#[btf_map]
pub static LEVELS: ArrayOfMaps<
    btf_maps::Array<Bucket, 2, { table::LEVEL_FLAGS as usize }>,
    { table::LEVELS as usize },
> = ArrayOfMaps::new();

/// By local port: see `wire::port`.
#[map]
pub static PORTS: Array<u64> = Array::with_max_entries(65536, MMAPABLE);

/// A bit for each local port that `PORTS` has an answer for: 8 KiB that stay in the cache, where the answers would not.
#[map]
pub static PORT_BITS: Array<u64> = Array::with_max_entries(65536 / 64, MMAPABLE);

/// Owned listeners, with their side.
#[map]
pub static LISTENERS: HashMap<Listener, u32> = HashMap::with_max_entries(4096, 0);

/// Owned processes, a bit each (`pid_max` is at most 4 Mi).
#[map]
pub static TGIDS: Array<u64> = Array::with_max_entries(1 << 16, MMAPABLE);

#[map]
pub static TALLY: PerCpuArray<Tally> = PerCpuArray::with_max_entries(1, 0);

/// The agent sets its size before load. Written without wake-ups, drained by a timer.
#[map]
pub static RING: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// What the fd iterator is to do: see `wire::control`.
#[map]
pub static CONTROL: Array<u32> = Array::with_max_entries(1, 0);

/// Per CPU: the cookie of the socket that was handed to a timewait last.
#[map]
pub static HANDED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
