//! The host's `/proc` and `/sys`, below a root of one's choice. What can't be read is `None`: a check then says so.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the host is read.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    btf: PathBuf,
}

impl Host {
    /// This host; its BTF where `HATRACE_BTF` says, if it is set.
    #[must_use]
    pub fn this() -> Self {
        let mut host = Self::at("/");
        if let Some(btf) = env::var_os("HATRACE_BTF") {
            host.btf = PathBuf::from(btf);
        }
        host
    }

    /// A host whose `proc` and `sys` are below `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let btf = root.join("sys/kernel/btf/vmlinux");
        Self { root, btf }
    }

    /// The kernel's type information.
    pub(super) fn btf(&self) -> &Path {
        &self.btf
    }

    /// A file, trimmed.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    /// A sysctl that is one number: `net.ipv4.tcp_fin_timeout`.
    pub(super) fn sysctl(&self, name: &str) -> Option<u64> {
        self.read(&format!("proc/sys/{}", name.replace('.', "/")))?
            .parse()
            .ok()
    }

    /// Where a link points: `net:[4026531840]`.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.root.join(path)).ok()?;
        Some(target.to_string_lossy().into_owned())
    }

    /// `KEY: value` of `/proc/self/status`.
    pub(super) fn own_status(&self, key: &str) -> Option<String> {
        let status = self.read("proc/self/status")?;
        let line = status
            .lines()
            .find(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))?;
        Some(line[key.len() + 1..].trim().to_owned())
    }

    /// The effective capabilities, as a bit set.
    pub(super) fn capabilities(&self) -> Option<u64> {
        u64::from_str_radix(&self.own_status("CapEff")?, 16).ok()
    }

    /// `TCP: orphan 3` of a `sockstat` file; `net` is `proc/net`, or another process's.
    pub(super) fn sockstat(&self, net: &str, key: &str) -> Option<u64> {
        let text = self.read(&format!("{net}/sockstat"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
        let mut words = line.split_whitespace();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if name == key {
                return value.parse().ok();
            }
        }
        None
    }

    /// A counter of `TcpExt` in a `netstat` file: a line of names, then one of values.
    pub(super) fn tcp_ext(&self, net: &str, key: &str) -> Option<u64> {
        let text = self.read(&format!("{net}/netstat"))?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
        let (names, values) = (lines.next()?, lines.next()?);
        names
            .split_whitespace()
            .zip(values.split_whitespace())
            .find(|(name, _)| *name == key)?
            .1
            .parse()
            .ok()
    }
}

/// A kernel's version: `6.1.0-56-cloud-amd64` is 6.1.
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
