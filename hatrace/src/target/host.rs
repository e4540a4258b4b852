//! The host's settings that belong to HAProxy's configuration.

use std::time::Duration;

use hatrace_core::advice::Host;

use super::Proc;

/// As they hold for a process: in its network namespace, by its own limits. What can't be read is not known.
#[must_use]
pub fn host(process: &Proc) -> Host {
    let pid = process.pid;
    // /proc/PID/root leads into its mount namespace, not into its network: sysctls are those of whoever reads. Only ours are certain.
    let same = std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()
        == std::fs::read_link("/proc/self/ns/net").ok();
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
        same.then(|| text.trim().to_owned())
    };
    let number = |name: &str| read(name)?.parse::<u64>().ok();
    let range = || {
        let text = read("ip_local_port_range")?;
        let mut ends = text.split_whitespace().map(|end| end.parse::<u64>().ok());
        let (low, high) = (ends.next()??, ends.next()??);
        (high + 1).checked_sub(low)
    };
    Host {
        keepalive: number("tcp_keepalive_time").map(Duration::from_secs),
        fin_timeout: number("tcp_fin_timeout").map(Duration::from_secs),
        max_orphans: number("tcp_max_orphans"),
        max_timewaits: number("tcp_max_tw_buckets"),
        ports: range(),
        files: files(&std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default()),
    }
}

/// The soft limit of `Max open files`.
fn files(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             63704                63704                processes \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(files(text), Some(1024));
        assert_eq!(files(""), None);
    }
}
