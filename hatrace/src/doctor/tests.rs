//! Hosts that nobody has, made of files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use hatrace_core::stream::Unreachable;

use super::*;
use crate::ability::Ability;

/// A healthy host; `put` spoils it.
struct Fake(TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        fake.put("proc/self/status", "Name:\thatrace\nCapEff:\t000001ffffffffff\n");
        fake.put("proc/sys/kernel/osrelease", "6.12.107+deb13-amd64\n");
        fake.put("proc/sys/kernel/bpf_stats_enabled", "0\n");
        fake.put("sys/kernel/btf/vmlinux", "BTF");
        fake.put(
            "sys/kernel/security/lockdown",
            "none [integrity] confidentiality\n",
        );
        fake.put(
            "proc/net/sockstat",
            "sockets: used 13\nTCP: inuse 1 orphan 2 tw 30 alloc 1 mem 75\nUDP: inuse 0 mem 0\n",
        );
        fake.put(
            "proc/net/netstat",
            "TcpExt: SyncookiesSent TCPTimeWaitOverflow X\nTcpExt: 1 0 3\nIpExt: A\nIpExt: 9\n",
        );
        for (name, value) in [
            ("core/optmem_max", "131072"),
            ("ipv4/tcp_max_tw_buckets", "131072"),
            ("ipv4/tcp_max_orphans", "131072"),
            ("ipv4/tcp_fin_timeout", "60"),
        ] {
            fake.put(&format!("proc/sys/net/{name}"), value);
        }
        fake
    }

    fn put(&self, path: &str, text: &str) {
        let file = self.0.path().join(path);
        fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(file, text).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.0.path().join(path)).unwrap();
    }

    fn checks(&self, probes: &Probes) -> Vec<Check> {
        checks(&Host::at(self.0.path()), probes)
    }

    /// The check of that name, on this host with probes that all succeeded.
    fn check(&self, name: &str) -> Check {
        named(&self.checks(&fine()), name)
    }
}

fn named(checks: &[Check], name: &str) -> Check {
    checks.iter().find(|check| check.name == name).unwrap().clone()
}

fn fine() -> Probes {
    Probes {
        core: Ok(BTreeMap::from([("set_state".to_owned(), 41_000)])),
        abilities: Abilities::default(),
        sock_diag: Ok(()),
        haproxy: vec![(5108, "worker".to_owned()), (5106, "master".to_owned())],
        access: vec![(
            5108,
            Access::Ready {
                through: "/run/haproxy/admin.sock".to_owned(),
            },
        )],
    }
}

#[test]
fn a_healthy_host_is_all_ok_and_asks_for_nothing() {
    for check in Fake::new().checks(&fine()) {
        assert_eq!(check.status, Status::Ok, "{check:?}");
        assert_eq!((&check.costs, &check.remedy), (&None, &None), "{check:?}");
    }
}

#[test]
fn whatever_is_not_ok_says_what_it_costs_and_nothing_panics_on_an_empty_host() {
    let empty = tempfile::tempdir().unwrap();
    let mut abilities = Abilities::default();
    for ability in Ability::ALL {
        abilities.lack(ability, "EPERM".to_owned());
    }
    let probes = Probes {
        core: Err("EPERM".to_owned()),
        abilities,
        sock_diag: Err("EPERM".to_owned()),
        haproxy: Vec::new(),
        access: vec![(
            7,
            Access::Refused {
                code: Unreachable::NoSocket,
                why: "HAProxy 7 has no stats socket".to_owned(),
                remedy: Some("stats socket ...".to_owned()),
            },
        )],
    };
    let all = checks(&Host::at(empty.path()), &probes);
    assert_eq!(named(&all, "programs").status, Status::Fail);
    for ability in Ability::MORE {
        assert_eq!(named(&all, ability.name()).status, Status::Warn);
    }
    assert_eq!(named(&all, "sessions").status, Status::Warn);
    for check in &all {
        assert_eq!(check.costs.is_some(), check.status != Status::Ok, "{check:?}");
        assert!(!check.found.contains('\n'), "{check:?}");
    }
}

#[test]
fn names_are_unique_words() {
    let all = Fake::new().checks(&fine());
    for (at, check) in all.iter().enumerate() {
        assert!(!check.name.contains(' '), "{}", check.name);
        assert!(
            all[..at].iter().all(|other| other.name != check.name),
            "{}",
            check.name
        );
    }
}

#[test]
fn rights_are_capabilities_not_a_user() {
    let fake = Fake::new();
    let with = |caps: u64| {
        fake.put("proc/self/status", &format!("CapEff:\t{caps:016x}\n"));
        fake.check("rights").status
    };
    assert_eq!(with(0), Status::Fail);
    assert_eq!(with(1 << 39), Status::Fail, "CAP_PERFMON is missing");
    assert_eq!(with(1 << 39 | 1 << 38), Status::Ok);
    assert_eq!(with(1 << 21), Status::Ok, "CAP_SYS_ADMIN is enough");
    assert_eq!(fake.check("fds").status, Status::Warn);
}

#[test]
fn kernels_are_tested_or_traced_or_too_old() {
    let fake = Fake::new();
    let on = |release: &str| {
        fake.put("proc/sys/kernel/osrelease", release);
        fake.check("kernel").status
    };
    assert_eq!(on("6.1.0-56-cloud-amd64"), Status::Ok);
    assert_eq!(on("7.2.13"), Status::Ok);
    assert_eq!(on("5.15.0-100-generic"), Status::Warn);
    assert_eq!(on("5.12-rc1"), Status::Warn);
    assert_eq!(on("5.10.0-32-amd64"), Status::Fail);
    assert_eq!(on("something"), Status::Warn);
}

#[test]
fn locked_memory_counts_on_old_kernels_only() {
    let fake = Fake::new();
    fake.put(
        "proc/self/limits",
        "Max locked memory         65536                65536                bytes\n",
    );
    assert_eq!(fake.check("memlock").status, Status::Ok);
    fake.put("proc/sys/kernel/osrelease", "5.10.0-32-amd64");
    assert_eq!(fake.check("memlock").found, "64 KiB may be locked");
    fake.put(
        "proc/self/limits",
        "Max locked memory         unlimited            unlimited            bytes\n",
    );
    assert_eq!(fake.check("memlock").found, "unlimited");
}

#[test]
fn lockdown_names_the_level_in_brackets() {
    let fake = Fake::new();
    assert!(fake.check("lockdown").found.starts_with("integrity:"));
    fake.put(
        "sys/kernel/security/lockdown",
        "none integrity [confidentiality]\n",
    );
    assert_eq!(fake.check("lockdown").status, Status::Warn);
    fake.remove("sys/kernel/security/lockdown");
    assert_eq!(fake.check("lockdown").status, Status::Ok);
}

#[test]
fn no_btf_no_tracing() {
    let fake = Fake::new();
    fake.remove("sys/kernel/btf/vmlinux");
    assert_eq!(fake.check("btf").status, Status::Fail);
}

#[test]
fn full_tables_are_told() {
    let fake = Fake::new();
    fake.put("proc/sys/net/ipv4/tcp_max_tw_buckets", "32");
    let check = fake.check("tw_buckets");
    assert_eq!(
        (check.status, check.found.as_str()),
        (Status::Warn, "30 of at most 32 timewaits")
    );
    assert_eq!(
        check.remedy.unwrap(),
        "sysctl -w net.ipv4.tcp_max_tw_buckets=65536"
    );
    fake.put("proc/sys/net/ipv4/tcp_max_tw_buckets", "0");
    assert_eq!(
        fake.check("tw_buckets").status,
        Status::Warn,
        "a limit of none is full"
    );
    fake.put("proc/sys/net/ipv4/tcp_max_orphans", "8");
    assert_eq!(
        fake.check("orphans").status,
        Status::Warn,
        "2 of 8 count as 8 of 8"
    );
    fake.put("proc/net/netstat", "TcpExt: TCPTimeWaitOverflow\nTcpExt: 7\n");
    assert!(fake.check("tw_overflow").found.starts_with("7 timewaits"));
}

#[test]
fn a_long_fin_timeout_is_reckoned() {
    let fake = Fake::new();
    fake.put("proc/sys/net/ipv4/tcp_fin_timeout", "90");
    let costs = fake.check("fin_timeout").costs.unwrap();
    assert!(costs.contains("30 s") && costs.contains("60 s in all"), "{costs}");
}

#[test]
fn the_tables_are_haproxys_where_it_lives_elsewhere() {
    let fake = Fake::new();
    fake.put(
        "proc/5108/net/sockstat",
        "TCP: inuse 1 orphan 0 tw 5 alloc 1 mem 75\n",
    );
    fs::create_dir_all(fake.0.path().join("proc/5108/ns")).unwrap();
    fs::create_dir_all(fake.0.path().join("proc/self/ns")).unwrap();
    symlink("net:[1]", fake.0.path().join("proc/self/ns/net")).unwrap();
    symlink("net:[2]", fake.0.path().join("proc/5108/ns/net")).unwrap();
    assert!(fake.check("tw_buckets").found.starts_with("5 of"));
    let check = fake.check("netns");
    assert_eq!(check.remedy.unwrap(), "nsenter -t 5108 -n hatrace doctor");
}

#[test]
fn statistics_that_are_on_cost() {
    let fake = Fake::new();
    fake.put("proc/sys/kernel/bpf_stats_enabled", "1");
    assert_eq!(fake.check("bpf_stats").status, Status::Warn);
}
