//! A newtype for each number that could be mistaken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kernel's socket cookie: the identity of a connection's socket for as long as it exists, the
/// timewait mini-socket that takes over from it included (`inet_twsk_alloc()` copies it). `ss` prints it as `sk:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cookie(pub u64);

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A process id (the kernel's `tgid`), as the host's `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A file descriptor of the HAProxy process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fd(pub u32);

/// A network namespace, by the inode number that `readlink /proc/PID/ns/net` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Netns(pub u32);

/// The address of a stream in HAProxy's memory, as `show sess` begins its line with. It is no identity: HAProxy's pools hand a
/// freed one out again within seconds. With the sockets it holds it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionPtr(pub u64);

impl fmt::Display for SessionPtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// One of the fd tables of a process: 1 is that of its first thread, and of all of them unless `tune.fd.tables
/// per-thread-group` (HAProxy 3.5) made each thread group unshare its own. The same fd number is another socket in another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FdTable(pub u32);

impl FdTable {
    /// That of the process's first thread.
    pub const FIRST: Self = Self(1);
}
