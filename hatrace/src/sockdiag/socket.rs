//! A netlink socket in a network namespace, and what else must be read from inside of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hatrace_core::ids::{Netns, Pid};
use hatrace_core::input::Limits;
use hatrace_core::survey::Space;
use hatrace_core::tcp::{StateSet, TcpState};

use super::message::{DiagRow, More, answers, request, request_of};
use crate::ability::Ability;
use crate::netns::{netns_of, within};

/// Datagrams of a dump are at most this long.
const BUFFER: usize = 256 << 10;
/// A dump that doesn't come to an end is given up after this many datagrams: a million sockets take about twenty thousand.
const DATAGRAMS: usize = 200_000;

/// The sockets of one network namespace, on request.
pub struct NetnsSocket {
    netns: Netns,
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// A process whose `/proc/PID/net` shows this namespace.
    process: Pid,
    foreign: Option<PathBuf>,
    /// The kernel answers by family only.
    by_family: bool,
    /// Sockets are not to be listed.
    off: bool,
}

fn netlink() -> io::Result<OwnedFd> {
    const NETLINK_SOCK_DIAG: libc::c_int = 4;
    // SAFETY: no pointers.
    let fd = unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            NETLINK_SOCK_DIAG,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl NetnsSocket {
    /// Opens a socket in the network namespace of `process`.
    ///
    /// # Errors
    /// The process has gone, or its namespace can't be entered (CAP_SYS_ADMIN).
    pub fn of_process(process: Pid) -> io::Result<Self> {
        let path = PathBuf::from(format!("/proc/{process}/ns/net"));
        let unknown = || io::Error::other(format!("{} can't be read", path.display()));
        let netns = path.to_str().and_then(netns_of).ok_or_else(unknown)?;
        let own = netns_of("/proc/self/ns/net") == Some(netns);
        let foreign = (!own).then_some(path);
        let socket = match &foreign {
            Some(path) => within(path, netlink)?,
            None => netlink()?,
        };
        Ok(Self {
            netns,
            socket,
            buffer: vec![0; BUFFER],
            process,
            foreign,
            by_family: false,
            off: false,
        })
    }

    /// The same, on a kernel without these abilities: where sock_diag is one of them, no socket can be listed.
    #[must_use]
    pub fn all_but(mut self, without: &BTreeSet<Ability>) -> Self {
        self.off = without.contains(&Ability::SockDiag);
        self
    }

    /// Which namespace.
    #[must_use]
    pub const fn netns(&self) -> Netns {
        self.netns
    }

    /// Another process whose `/proc` files show this namespace, when the first has gone.
    pub const fn seen_through(&mut self, process: Pid) {
        self.process = process;
    }

    /// All TCP sockets of the namespace in any of `states`, timewaits by their substate.
    ///
    /// # Errors
    /// As the kernel says; `ENOENT`: it lacks tcp_diag.
    pub fn dump(&mut self, states: StateSet) -> io::Result<Vec<DiagRow>> {
        const TRIES: usize = 3;
        let mut rows = Vec::new();
        for _ in 0..TRIES {
            rows.clear();
            if !self.each(states, |row| rows.push(row))? {
                break;
            }
        }
        Ok(rows)
    }

    /// TIME_WAITs by HAProxy's own address and the other one's.
    ///
    /// # Errors
    /// As [`NetnsSocket::dump`].
    pub fn count_timewaits(&mut self) -> io::Result<BTreeMap<(IpAddr, SocketAddr), u64>> {
        let mut counts: BTreeMap<(IpAddr, SocketAddr), u64> = BTreeMap::new();
        self.each(StateSet::EMPTY.with(TcpState::TimeWait), |row| {
            let key = (row.endpoints.local.ip(), row.endpoints.peer);
            *counts.entry(key).or_default() += 1;
        })?;
        Ok(counts)
    }

    /// The same one by one, for who needn't keep them all. Says whether the kernel's tables changed so much meanwhile that some may be
    /// missing, or told twice.
    ///
    /// # Errors
    /// As [`NetnsSocket::dump`].
    pub fn each(&mut self, states: StateSet, mut each: impl FnMut(DiagRow)) -> io::Result<bool> {
        if self.off {
            return Err(io::Error::other("switched off by --without"));
        }
        if !self.by_family {
            match self.ask(&request(states), &mut each) {
                // A kernel that has done away with the older form says so at once.
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOENT)
                    ) =>
                {
                    self.by_family = true;
                }
                answered => return answered,
            }
        }
        let mut interrupted = false;
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).unwrap_or(0);
            interrupted |= self.ask(&request_of(family, states), &mut each)?;
        }
        Ok(interrupted)
    }

    fn ask(&mut self, request: &[u8], each: &mut impl FnMut(DiagRow)) -> io::Result<bool> {
        // SAFETY: a live buffer and its length.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let (mut rows, mut malformed) = (Vec::new(), 0);
        for _ in 0..DATAGRAMS {
            // SAFETY: a live buffer and its length.
            let length = unsafe {
                libc::recv(
                    self.socket.as_raw_fd(),
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len(),
                    0,
                )
            };
            let Ok(length) = usize::try_from(length) else {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            };
            let more = answers(&self.buffer[..length], &mut rows, &mut malformed);
            rows.drain(..).for_each(&mut *each);
            match more {
                More::Yes if length > 0 => {}
                More::Yes => return Err(io::Error::other("sock_diag ended early")),
                More::Done { interrupted } => return Ok(interrupted),
                More::Refused(errno) => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
        Err(io::Error::other("sock_diag doesn't come to an end"))
    }

    fn proc_net(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/net/{file}", self.process)).ok()
    }

    /// `TCPTimeWaitOverflow`: timewaits the kernel didn't make in this namespace, since boot.
    #[must_use]
    pub fn timewait_overflow(&self) -> Option<u64> {
        netstat(&self.proc_net("netstat")?, "TcpExt:", "TCPTimeWaitOverflow")
    }

    /// How many timewaits there are in this namespace now.
    #[must_use]
    pub fn timewaits(&self) -> Option<u64> {
        sockstat(&self.proc_net("sockstat")?, "tw")
    }

    /// What this namespace allows. `tcp_max_orphans` is the host's, and seen from its first namespace alone.
    #[must_use]
    pub fn space(&self) -> Space {
        let ports = match &self.foreign {
            Some(path) => within(path, || Ok(read_ports())).unwrap_or_default(),
            None => read_ports(),
        };
        Space {
            ports,
            orphans: self
                .proc_net("sockstat")
                .and_then(|text| sockstat(&text, "orphan")),
            max_orphans: setting("tcp_max_orphans"),
        }
    }

    /// The settings of this namespace. `/proc/sys/net` shows the reader's own, so foreign ones are read from inside.
    #[must_use]
    pub fn limits(&self) -> Limits {
        match &self.foreign {
            Some(path) => within(path, || Ok(read_limits())).unwrap_or_default(),
            None => read_limits(),
        }
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
    text.trim().parse().ok()
}

fn read_ports() -> Option<(u16, u16)> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut words = text.split_whitespace().map(str::parse);
    Some((words.next()?.ok()?, words.next()?.ok()?))
}

fn read_limits() -> Limits {
    Limits {
        fin_timeout: setting("tcp_fin_timeout").map(Duration::from_secs),
        orphan_retries: setting("tcp_orphan_retries"),
        retries2: setting("tcp_retries2"),
    }
}

/// A figure of `/proc/net/netstat`: a line of names, a line of values.
fn netstat(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|found| found == name)?;
    values.split_whitespace().nth(at)?.parse().ok()
}

/// A figure of the TCP line of `/proc/net/sockstat`.
fn sockstat(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("TCP:"))?;
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_proc_net() {
        let text = "TcpExt: SyncookiesSent TCPTimeWaitOverflow\nTcpExt: 3 77\nIpExt: X\nIpExt: 1\n";
        assert_eq!(netstat(text, "TcpExt:", "TCPTimeWaitOverflow"), Some(77));
        assert_eq!(netstat(text, "TcpExt:", "Nothing"), None);
        assert_eq!(
            sockstat(
                "sockets: used 9\nTCP: inuse 5 orphan 0 tw 12 alloc 6 mem 1\n",
                "tw"
            ),
            Some(12)
        );
    }

    #[test]
    fn a_listener_of_our_own_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let local = listener.local_addr().expect("its address");
        let mut socket = NetnsSocket::of_process(Pid(std::process::id())).expect("a netlink socket");
        let rows = socket
            .dump(StateSet::EMPTY.with(TcpState::Listen))
            .expect("a dump");
        assert!(
            rows.iter().any(|row| row.endpoints.local == local),
            "{local} is missing"
        );
        assert!(socket.limits().fin_timeout.is_some());
    }

    #[test]
    fn both_forms_of_the_request_tell_the_same() {
        let four = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let six = std::net::TcpListener::bind("[::1]:0").expect("an IPv6 listener");
        let ends = [four.local_addr(), six.local_addr()].map(|local| local.expect("its address"));
        let _open = ends.map(|local| std::net::TcpStream::connect(local).expect("a connection"));
        let mut socket = NetnsSocket::of_process(Pid(std::process::id())).expect("a netlink socket");
        let states = StateSet::EMPTY.with(TcpState::Listen).with(TcpState::Established);
        // Other tests come and go meanwhile: only what is ours is compared.
        let mut told = |by_family| {
            socket.by_family = by_family;
            let mut rows = socket.dump(states).expect("a dump");
            assert_eq!(
                socket.by_family, by_family,
                "the kernel has refused the older form"
            );
            rows.retain(|row| ends.contains(&row.endpoints.local) || ends.contains(&row.endpoints.peer));
            let mut rows: Vec<_> = rows
                .into_iter()
                .map(|row| (row.cookie, row.state, row.endpoints, row.inode, row.received))
                .collect();
            rows.sort_by_key(|row| row.0);
            rows
        };
        let (whole, apart) = (told(false), told(true));
        assert_eq!(
            whole.len(),
            6,
            "a listener and two ends in each family: {whole:?}"
        );
        assert_eq!(whole, apart);
    }
}
