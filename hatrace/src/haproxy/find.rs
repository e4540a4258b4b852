//! Where a process's command line may be: what it listens on by the kernel's word, then its configuration, then the usual places.

use std::collections::HashSet;
use std::path::PathBuf;

use hatrace_core::ids::Pid;

use super::address::Address;
use super::config::{Sockets, Whose, arguments};
use crate::target::{Proc, socket_inodes};

/// Where distributions put it.
const USUAL: [&str; 6] = [
    "/run/haproxy/admin.sock",
    "/var/run/haproxy.sock",
    "/var/lib/haproxy/stats",
    "/var/lib/haproxy/haproxy.sock",
    "/run/haproxy.sock",
    "/tmp/haproxy.sock",
];

/// A place to try, and as whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where.
    pub address: Address,
    /// Who is listening there, or would: its root, its working directory and its network namespace count.
    pub process: Pid,
    /// It is the master's: a worker is reached through it by `@!PID`.
    pub master: bool,
    /// How many clients it has by the kernel's word, where that is known.
    pub clients: Option<usize>,
}

/// Below which folders a path of the process's may be found. With `chroot` its root is the jail, while its sockets were bound before.
#[must_use]
pub fn roots(process: &Proc) -> Vec<PathBuf> {
    let of = |pid: Pid| PathBuf::from(format!("/proc/{pid}/root"));
    vec![of(process.pid), of(process.parent), PathBuf::from("/")]
}

fn directories(process: &Proc) -> Vec<PathBuf> {
    let of = |pid: Pid| PathBuf::from(format!("/proc/{pid}/cwd"));
    vec![of(process.pid), of(process.parent)]
}

/// Where a process's configuration is, and what it was read with.
#[must_use]
pub fn configured_by(process: &Proc, version: Option<String>) -> Whose {
    Whose {
        arguments: arguments(&process.cmdline),
        roots: roots(process),
        directories: directories(process),
        environment: process.environment(),
        version,
        started: process.started_at(),
    }
}

/// The candidates for a process, the likeliest first. `master`: its master, if it has one.
#[must_use]
pub fn candidates(process: &Proc, master: Option<&Proc>) -> Vec<Candidate> {
    let configured = configured_by(process, None).sockets();
    let mut found: Vec<Candidate> = Vec::new();
    let mut add = |address: Address, process: Pid, master: bool, clients: Option<usize>| {
        if !found
            .iter()
            .any(|known| known.address == address && known.master == master)
        {
            found.push(Candidate {
                address,
                process,
                master,
                clients,
            });
        }
    };
    for listening in listening(process.pid) {
        if !is_frontend(&listening.address, &configured) {
            add(listening.address, process.pid, false, Some(listening.clients));
        }
    }
    for address in configured.stats.iter().filter_map(|text| text.parse().ok()) {
        if let Address::Unix(path) = &address
            && !path.is_absolute()
        {
            continue;
        }
        add(address, process.pid, false, None);
    }
    if configured.stats.is_empty() {
        for usual in USUAL {
            let path = PathBuf::from(usual);
            let there = roots(process)
                .iter()
                .any(|root| root.join(usual.trim_start_matches('/')).exists());
            if there {
                add(Address::Unix(path), process.pid, false, None);
            }
        }
    }
    if let Some(master) = master {
        for listening in listening(master.pid) {
            add(listening.address, master.pid, true, Some(listening.clients));
        }
    }
    found
}

/// A `bind` line's, to which commands are garbage.
fn is_frontend(address: &Address, configured: &Sockets) -> bool {
    let own = address.to_string();
    configured
        .binds
        .iter()
        .filter_map(|text| text.parse::<Address>().ok())
        .any(|bind| {
            let bind = bind.to_string();
            own == bind || (bind.starts_with('/') && own.ends_with(&bind))
        })
}

struct Listening {
    address: Address,
    clients: usize,
}

/// The unix sockets a process listens on.
fn listening(pid: Pid) -> Vec<Listening> {
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    let text = read(format!("/proc/{pid}/net/unix"));
    // The accepting end of a connection belongs to the client's namespace: of clients elsewhere at least those in ours are counted.
    let own = read("/proc/self/net/unix".to_owned());
    let elsewhere = if own == text { "" } else { own.as_str() };
    let rows = unix_rows(&text, elsewhere);
    if !rows.iter().any(UnixRow::listens) {
        // Whose they are is told by every file that HAProxy has open: many, and not asked for nothing.
        return Vec::new();
    }
    let inodes: HashSet<u64> = socket_inodes(pid).into_iter().map(|(inode, _)| inode).collect();
    listeners(&rows, &inodes)
}

/// A stream socket of `/proc/net/unix`. A connection to a listener bears its name too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct UnixRow<'a> {
    flags: &'a str,
    inode: u64,
    path: &'a str,
}

impl UnixRow<'_> {
    /// `__SO_ACCEPTCON`.
    fn listens(&self) -> bool {
        self.flags == "00010000"
    }
}

/// Lines of `/proc/net/unix`: `Num: RefCount Protocol Flags Type St Inode Path`.
fn unix_rows<'a>(text: &'a str, elsewhere: &'a str) -> Vec<UnixRow<'a>> {
    const STREAM: &str = "0001";
    let both = text.lines().skip(1).chain(elsewhere.lines().skip(1));
    let mut rows: Vec<UnixRow<'_>> = both
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, _, _, flags, kind, _, inode, path] = words.as_slice() else {
                return None;
            };
            let inode = inode.parse().ok()?;
            (*kind == STREAM).then_some(UnixRow { flags, inode, path })
        })
        .collect();
    // Both lists show what both namespaces have in common; a connection that waits to be accepted has no inode.
    rows.sort_unstable();
    rows.dedup_by(|one, other| one.inode != 0 && one == other);
    rows
}

/// The listeners among them that are of `inodes`.
fn listeners(rows: &[UnixRow<'_>], inodes: &HashSet<u64>) -> Vec<Listening> {
    rows.iter()
        .filter(|row| row.listens() && inodes.contains(&row.inode))
        .filter_map(|listener| {
            let to = |row: &&UnixRow<'_>| !row.listens() && row.path == listener.path;
            Some(Listening {
                address: address_of(listener.path)?,
                clients: rows.iter().filter(to).count(),
            })
        })
        .collect()
}

/// HAProxy binds to `PATH.PID.tmp` and renames the file: the kernel keeps the first name.
fn address_of(path: &str) -> Option<Address> {
    if let Some(name) = path.strip_prefix('@') {
        // The kernel prints every NUL as `@`: padding.
        let bare = name.trim_end_matches('@');
        return (!bare.is_empty()).then(|| Address::Abstract {
            name: bare.to_owned(),
            padded: bare.len() < name.len(),
        });
    }
    let bare = path
        .strip_suffix(".tmp")
        .and_then(|rest| rest.rsplit_once('.'))
        .filter(|(_, pid)| !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()))
        .map_or(path, |(bare, _)| bare);
    Some(Address::Unix(PathBuf::from(bare)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_list_of_unix_sockets() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000001: 00000002 00000000 00010000 0001 01 11 /run/haproxy/admin.sock.4822.tmp\n\
            0000000000000002: 00000003 00000000 00000000 0001 03 12 /run/haproxy/admin.sock.4822.tmp\n\
            0000000000000003: 00000002 00000000 00010000 0001 01 13 @stats@@@@@@@\n\
            0000000000000004: 00000002 00000000 00010000 0001 01 14 /run/somebody.else\n\
            0000000000000005: 00000003 00000000 00000000 0001 03 15\n\
            torn";
        let found = listeners(&unix_rows(text, ""), &HashSet::from([11, 13, 15]));
        let told: Vec<(String, usize)> = found
            .iter()
            .map(|listening| (listening.address.to_string(), listening.clients))
            .collect();
        assert_eq!(
            told,
            [
                ("/run/haproxy/admin.sock".to_owned(), 1),
                ("abns@stats".to_owned(), 0)
            ]
        );
        assert_eq!(
            address_of("/run/x.tmp").map(|a| a.to_string()).as_deref(),
            Some("/run/x.tmp")
        );
    }

    #[test]
    fn a_frontend_s_socket_is_left_alone() {
        let configured = Sockets {
            stats: Vec::new(),
            binds: vec!["unix@/run/f.sock".to_owned(), "abns@g".to_owned()],
        };
        for (text, frontend) in [
            ("/run/f.sock", true),
            ("/jail/run/f.sock", true),
            ("abns@g", true),
            ("/run/stats.sock", false),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(is_frontend(&address, &configured), frontend, "{text}");
        }
    }
}
