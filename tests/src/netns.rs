//! Private network namespaces.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace of a test's own, with loopback up. Gone when dropped.
pub struct Netns {
    name: String,
    file: File,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

fn ip(args: &[&str]) {
    let status = Command::new("ip").args(args).status().expect("ip runs");
    assert!(status.success(), "ip {args:?}: {status}");
}

impl Netns {
    /// A new one.
    ///
    /// # Panics
    /// When the kernel or iproute2 refuse.
    #[must_use]
    pub fn new() -> Self {
        let name = format!(
            "hatrace-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        ip(&["netns", "add", &name]);
        let file = File::open(format!("/run/netns/{name}")).expect("the namespace's file");
        let this = Self { name, file };
        ip(&["-n", &this.name, "link", "set", "lo", "up"]);
        this
    }

    /// Its name, as `ip netns` has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `inside` on a thread in the namespace. Sockets it makes stay there, whoever uses them.
    ///
    /// # Panics
    /// When `inside` does.
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                rustix::thread::move_into_link_name_space(
                    self.file.as_fd(),
                    Some(rustix::thread::LinkNameSpaceType::Network),
                )
                .expect("the namespace is entered");
                inside()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// A command that runs in the namespace, and dies with the test.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let fd = self.file.as_raw_fd();
        // SAFETY: setns and prctl are async-signal-safe; the descriptor stays open until after the spawn.
        unsafe {
            command.pre_exec(move || {
                if libc::setns(fd, libc::CLONE_NEWNET) != 0
                    || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0
                {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        command
    }

    /// Gives loopback more addresses: `10.0.0.7`.
    ///
    /// # Panics
    /// When iproute2 refuses.
    pub fn addresses(&self, addresses: &[&str]) {
        for address in addresses {
            let address = format!("{address}/32");
            ip(&["-n", &self.name, "address", "add", &address, "dev", "lo"]);
        }
    }

    /// Connects this namespace with another one: `here` and `there` are the two ends' addresses.
    ///
    /// # Panics
    /// When iproute2 refuses.
    pub fn wire(&self, other: &Self, here: &str, there: &str) {
        let (a, b) = ("up0", "up0");
        ip(&[
            "-n",
            &self.name,
            "link",
            "add",
            a,
            "type",
            "veth",
            "peer",
            "name",
            b,
            "netns",
            &other.name,
        ]);
        for (netns, device, address) in [(self, a, here), (other, b, there)] {
            let address = format!("{address}/8");
            ip(&["-n", &netns.name, "address", "add", &address, "dev", device]);
            ip(&["-n", &netns.name, "link", "set", device, "up"]);
        }
    }

    /// Drops from now on whatever this namespace sends to an address.
    ///
    /// # Panics
    /// When iproute2 refuses.
    pub fn silence(&self, address: &str) {
        let address = format!("{address}/32");
        ip(&["-n", &self.name, "route", "add", "blackhole", &address]);
    }

    /// Sets a sysctl of the namespace: `net.ipv4.tcp_fin_timeout`.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn sysctl(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.run(|| std::fs::write(&path, value))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// What `ss` says: the kernel's own word, to hold hatrace's against.
    ///
    /// # Panics
    /// When `ss` doesn't run.
    #[must_use]
    pub fn ss(&self, filter: &str) -> Vec<String> {
        let mut command = self.command("ss");
        command
            .args(["-tanoeH"])
            .args(filter.split_whitespace())
            .stderr(Stdio::inherit());
        let output = command.output().expect("ss runs");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}
