//! What `/proc` and `/sys` say of this host.

use std::path::Path;

use super::{lacks, ok};
use crate::port::{Check, Status};

fn read(root: &str, path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(root).join(path))
        .ok()
        .map(|text| text.trim().to_owned())
}

fn number(root: &str, path: &str) -> Option<u64> {
    read(root, path)?.parse().ok()
}

const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The capabilities that loading, reading HAProxy's files and entering its namespaces take.
pub(super) fn rights(root: &str) -> Check {
    let effective = read(root, "proc/self/status")
        .and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("CapEff:"))?
                .trim()
                .to_owned();
            u64::from_str_radix(&line, 16).ok()
        })
        .unwrap_or(0);
    let has = |capability: u32| effective >> capability & 1 != 0;
    let admin = has(CAP_SYS_ADMIN);
    let mut lacking = Vec::new();
    if !(admin || has(CAP_BPF) && has(CAP_PERFMON)) {
        lacking.push("CAP_BPF + CAP_PERFMON (loading)");
    }
    if !has(CAP_SYS_PTRACE) {
        lacking.push("CAP_SYS_PTRACE (HAProxy's open files)");
    }
    if lacking.is_empty() {
        let namespaces = if admin {
            ""
        } else {
            "; without CAP_SYS_ADMIN, HAProxys in other network namespaces are seen by their files alone"
        };
        return ok(
            "rights",
            format!("enough to load, and to read HAProxy's files{namespaces}"),
        );
    }
    lacks(
        "rights",
        Status::Fail,
        format!("lacking {}", lacking.join(", ")),
        "no tracing",
        "sudo hatrace doctor",
    )
}

/// The kernel's release: told, not judged by; what it can do is tried.
pub(super) fn kernel(root: &str) -> Check {
    let release = read(root, "proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    let mut parts = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version >= (6, 1) {
        ok("kernel", release)
    } else if version >= (5, 12) {
        lacks(
            "kernel",
            Status::Warn,
            release,
            "hatrace is tested from 6.1 on; what this one lacks shows below",
            "nothing, if the lines below say ok",
        )
    } else {
        lacks(
            "kernel",
            Status::Warn,
            release,
            "helpers the kernel half needs came with 5.12: expect the polled mode",
            "Linux 6.1 or newer",
        )
    }
}

/// A figure of the TCP line of sockstat.
fn sockstat(root: &str, name: &str) -> Option<u64> {
    let text = read(root, "proc/net/sockstat")?;
    let line = text.lines().find(|line| line.starts_with("TCP:"))?.to_owned();
    line.split_whitespace()
        .skip_while(|word| *word != name)
        .nth(1)?
        .parse()
        .ok()
}

/// The limits that decide what lingers and for how long.
pub(super) fn sysctls(root: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(seconds) = number(root, "proc/sys/net/ipv4/tcp_fin_timeout") {
        checks.push(if seconds > 60 {
            lacks(
                "tcp_fin_timeout",
                Status::Warn,
                format!("{seconds} s"),
                "above 60 s an orphaned FIN_WAIT2 stays a full socket first, with more memory, and is then kept as long again as a timewait",
                "sysctl net.ipv4.tcp_fin_timeout=60",
            )
        } else {
            ok("tcp_fin_timeout", format!("{seconds} s: how long the kernel keeps an orphaned FIN_WAIT2"))
        });
    }
    if let (Some(limit), Some(now)) = (
        number(root, "proc/sys/net/ipv4/tcp_max_tw_buckets"),
        sockstat(root, "tw"),
    ) {
        checks.push(near("tcp_max_tw_buckets", now, limit, "timewaits", "beyond it the kernel makes no timewaits: an orphaned FIN_WAIT2 just disappears, and hatrace can only count that"));
    }
    if let (Some(limit), Some(now)) = (
        number(root, "proc/sys/net/ipv4/tcp_max_orphans"),
        sockstat(root, "orphan"),
    ) {
        checks.push(near(
            "tcp_max_orphans",
            now,
            limit,
            "orphans",
            "beyond it the kernel resets orphaned sockets",
        ));
    }
    if let Some(bytes) = number(root, "proc/sys/net/core/optmem_max") {
        checks.push(ok("optmem_max", format!("{bytes} bytes; hatrace keeps nothing in socket storage, so it can't cost HAProxy a connection")));
    }
    if number(root, "proc/sys/kernel/bpf_stats_enabled").is_some_and(|on| on != 0) {
        checks.push(lacks(
            "bpf_stats",
            Status::Warn,
            "on",
            "two clock reads for each run of every eBPF program",
            "sysctl kernel.bpf_stats_enabled=0",
        ));
    }
    checks
}

fn near(name: &str, now: u64, limit: u64, what: &str, costs: &str) -> Check {
    let found = format!("{now} {what} of {limit}");
    if now * 10 >= limit * 9 {
        lacks(
            name,
            Status::Warn,
            found,
            costs,
            &format!("sysctl net.ipv4.{name}={}", limit.saturating_mul(2)),
        )
    } else {
        ok(name, found)
    }
}

/// What other tools need and this one doesn't: so that nobody looks for the fault there.
pub(super) fn not_needed(root: &str) -> Vec<Check> {
    let mounts = read(root, "proc/self/mounts").unwrap_or_default();
    let mounted = |kind: &str| {
        mounts
            .lines()
            .any(|line| line.split_whitespace().nth(2) == Some(kind))
    };
    let mut checks: Vec<Check> = [("bpffs", "bpf"), ("tracefs", "tracefs")]
        .into_iter()
        .map(|(name, kind)| {
            ok(
                name,
                format!(
                    "{}; not needed",
                    if mounted(kind) { "mounted" } else { "not mounted" }
                ),
            )
        })
        .collect();
    if let Some(lockdown) = read(root, "sys/kernel/security/lockdown") {
        let mode = lockdown
            .split_whitespace()
            .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
            .unwrap_or("unknown")
            .to_owned();
        checks.push(ok("lockdown", format!("{mode}; what it forbids shows above")));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("its directories");
            std::fs::write(path, text).expect("a file");
        }
        root
    }

    fn path(root: &tempfile::TempDir) -> &str {
        root.path().to_str().expect("a plain path")
    }

    #[test]
    fn capabilities_are_read_as_they_are() {
        let all = tree(&[("proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n")]);
        assert_eq!(rights(path(&all)).status, Status::Ok);
        let none = tree(&[("proc/self/status", "CapEff:\t0000000000000000\n")]);
        let check = rights(path(&none));
        assert_eq!(check.status, Status::Fail);
        assert!(check.found.contains("CAP_BPF") && check.found.contains("CAP_SYS_PTRACE"));
        // Without CAP_SYS_ADMIN, but with what tracing takes: CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE.
        let just = tree(&[("proc/self/status", "CapEff:\t000000c000080000\n")]);
        assert_eq!(rights(path(&just)).status, Status::Ok);
    }

    #[test]
    fn a_kernel_is_judged_by_where_it_was_tested() {
        for (release, status) in [
            ("6.12.0-amd64", Status::Ok),
            ("6.1.0-44-amd64", Status::Ok),
            ("5.15.0", Status::Warn),
            ("5.10.0-32", Status::Warn),
        ] {
            let root = tree(&[("proc/sys/kernel/osrelease", release)]);
            assert_eq!(kernel(path(&root)).status, status, "{release}");
        }
    }

    #[test]
    fn limits_that_are_near_are_a_warning() {
        let root = tree(&[
            ("proc/sys/net/ipv4/tcp_fin_timeout", "120\n"),
            ("proc/sys/net/ipv4/tcp_max_tw_buckets", "100\n"),
            ("proc/sys/net/ipv4/tcp_max_orphans", "100\n"),
            (
                "proc/net/sockstat",
                "sockets: used 1\nTCP: inuse 1 orphan 3 tw 95 alloc 1 mem 1\n",
            ),
        ]);
        let by_name = |name: &str| {
            sysctls(path(&root))
                .into_iter()
                .find(|check| check.name == name)
                .map(|check| check.status)
        };
        assert_eq!(by_name("tcp_fin_timeout"), Some(Status::Warn));
        assert_eq!(by_name("tcp_max_tw_buckets"), Some(Status::Warn));
        assert_eq!(by_name("tcp_max_orphans"), Some(Status::Ok));
    }
}
