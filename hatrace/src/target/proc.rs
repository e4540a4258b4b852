//! Processes, as `/proc` tells them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use hatrace_core::ids::{FdTable, Netns, Pid};
use procfs::process::{Process, all_processes};

use super::tables::{tables, threads};
use crate::clock;
use crate::netns::netns_of;

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proc {
    /// Its id, in our own pid namespace.
    pub pid: Pid,
    /// Its parent's.
    pub parent: Pid,
    /// When it started, in clock ticks since boot: with the pid an identity that reuse can't forge.
    pub started: u64,
    /// Its name (`/proc/PID/comm`).
    pub comm: String,
    /// Its executable, where we may know it.
    pub exe: Option<PathBuf>,
    /// Its command line.
    pub cmdline: Vec<String>,
    /// Its ids in the pid namespaces inside of ours, innermost last.
    pub inner_pids: Vec<u32>,
}

fn is_haproxy_name(name: &str) -> bool {
    // Also `haproxy-2.6`, as installed side by side, and `haproxy (deleted)` after an upgrade.
    name == "haproxy" || name.starts_with("haproxy-") || name.starts_with("haproxy ")
}

impl Proc {
    /// The process of that id, if there is one.
    #[must_use]
    pub fn find(pid: Pid) -> Option<Self> {
        Self::read(&Process::new(i32::try_from(pid.0).ok()?).ok()?)
    }

    /// Every process.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let Ok(processes) = all_processes() else {
            return Vec::new();
        };
        processes
            .filter_map(|process| Self::read(&process.ok()?))
            .collect()
    }

    fn read(process: &Process) -> Option<Self> {
        let stat = process.stat().ok()?;
        // A zombie has neither files nor sockets: it has gone, its parent just hasn't noticed.
        if matches!(stat.state, 'Z' | 'X') {
            return None;
        }
        let number = |pid: i32| u32::try_from(pid).unwrap_or(0);
        let inner_pids = process
            .status()
            .ok()
            .and_then(|status| status.nspid)
            .unwrap_or_default();
        Some(Self {
            pid: Pid(number(stat.pid)),
            parent: Pid(number(stat.ppid)),
            started: stat.starttime,
            comm: stat.comm,
            exe: process.exe().ok(),
            cmdline: process.cmdline().unwrap_or_default(),
            inner_pids: inner_pids.into_iter().skip(1).map(number).collect(),
        })
    }

    /// Whether it is HAProxy: by its name or its executable's.
    #[must_use]
    pub fn is_haproxy(&self) -> bool {
        let exe = self
            .exe
            .as_deref()
            .and_then(|exe| exe.file_name())
            .and_then(|name| name.to_str());
        is_haproxy_name(&self.comm) || exe.is_some_and(is_haproxy_name)
    }

    /// Whether it still runs: same id, same start.
    #[must_use]
    pub fn alive(&self) -> bool {
        Self::find(self.pid).is_some_and(|now| now.started == self.started)
    }

    /// Whether it was told to be a master (`-W`, `-Ws`).
    #[must_use]
    pub fn wants_to_be_master(&self) -> bool {
        self.cmdline.iter().skip(1).any(|arg| arg == "-W" || arg == "-Ws")
    }

    /// Its master: its parent, where that is a HAProxy too.
    #[must_use]
    pub fn master(&self) -> Option<Self> {
        Self::find(self.parent).filter(Self::is_haproxy)
    }

    /// Its name and executable, for error texts: `nginx (/usr/sbin/nginx)`.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.exe {
            Some(exe) => format!("{} ({})", self.comm, exe.display()),
            None => self.comm.clone(),
        }
    }

    /// How many files it has open now.
    #[must_use]
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    /// Its environment when it was started (`/proc/PID/environ`).
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let environment = i32::try_from(self.pid.0)
            .ok()
            .and_then(|pid| Process::new(pid).ok()?.environ().ok())
            .unwrap_or_default();
        environment
            .into_iter()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect()
    }

    /// When it was started, by the wall clock.
    #[must_use]
    pub fn started_at(&self) -> Option<SystemTime> {
        let ticks = procfs::ticks_per_second().max(1);
        let whole = Duration::from_secs(self.started / ticks);
        let part = Duration::from_secs(self.started % ticks) / u32::try_from(ticks).unwrap_or(u32::MAX);
        clock::after_boot(whole + part)
    }

    /// The network namespace it is in.
    #[must_use]
    pub fn netns(&self) -> Option<Netns> {
        netns_of(&format!("/proc/{}/ns/net", self.pid))
    }
}

/// The sockets a process has open: inode to descriptor, in the table that its first thread uses.
#[must_use]
pub fn socket_inodes(pid: Pid) -> Vec<(u64, u32)> {
    sockets_in(&format!("/proc/{pid}/fd"))
}

/// The same of every table of the process.
#[must_use]
pub fn all_socket_inodes(pid: Pid) -> Vec<(u64, FdTable, u32)> {
    let mut read = BTreeSet::new();
    let mut found = Vec::new();
    for (thread, table) in tables(pid, &threads(pid)) {
        if read.insert(table) {
            let sockets = sockets_in(&format!("/proc/{pid}/task/{thread}/fd"));
            found.extend(sockets.into_iter().map(|(inode, fd)| (inode, table, fd)));
        }
    }
    found
}

fn sockets_in(folder: &str) -> Vec<(u64, u32)> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let fd = entry.file_name().to_str()?.parse().ok()?;
            let link = std::fs::read_link(entry.path()).ok()?;
            let inode = link
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()?;
            Some((inode, fd))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_a_process_and_no_haproxy() {
        let me = Proc::find(Pid(std::process::id())).expect("this process");
        assert!(!me.is_haproxy());
        assert!(me.alive());
        assert!(me.netns().is_some());
        assert!(
            !Proc {
                started: me.started + 1,
                ..me
            }
            .alive()
        );
    }

    #[test]
    fn names_of_haproxy() {
        for name in ["haproxy", "haproxy-2.6", "haproxy (deleted)"] {
            assert!(is_haproxy_name(name), "{name}");
        }
        for name in ["nginx", "haproxyctl", "hatrace"] {
            assert!(!is_haproxy_name(name), "{name}");
        }
    }
}
