//! May hatrace load programs, can this kernel run them, does it.

use std::collections::BTreeMap;

use super::host::version;
use super::{Check, Host, Probes};
use crate::ability::Ability;

/// Kernels that hatrace is tested on, and those it may work on.
const TESTED: (u32, u32) = (6, 1);
const TRACED: (u32, u32) = (5, 12);
/// From this kernel on, programs and maps are accounted to the memory cgroup, not to `ulimit -l`.
const MEMCG: (u32, u32) = (5, 11);
/// The kernel half and its maps, with room to spare, where `ulimit -l` counts.
const MEMLOCK_KIB: u64 = 64 * 1024;

const POLLED: &str = Ability::Programs.costs();

const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

pub(super) fn checks(host: &Host, probes: &Probes) -> Vec<Check> {
    let mut checks = vec![
        rights(host),
        other_processes(host),
        namespaces(host),
        kernel(host),
        btf(host),
        lockdown(host),
        memlock(host),
        core(probes),
    ];
    checks.extend(more(probes));
    checks.extend([
        statistics(host),
        Check::ok(
            "filesystems",
            "tracefs, debugfs and bpffs are not needed: nothing is pinned, no event is read from them",
        ),
    ]);
    checks
}

fn has(host: &Host, capability: u32) -> Option<bool> {
    Some(host.capabilities()? >> capability & 1 != 0)
}

fn rights(host: &Host) -> Check {
    let name = "rights";
    let all = [CAP_BPF, CAP_PERFMON].map(|capability| has(host, capability));
    match (all, has(host, CAP_SYS_ADMIN)) {
        ([Some(true), Some(true)], _) => Check::ok(
            name,
            "CAP_BPF and CAP_PERFMON; CAP_NET_ADMIN is not needed: nothing is changed or closed",
        ),
        (_, Some(true)) => Check::ok(name, "CAP_SYS_ADMIN, which stands for CAP_BPF and CAP_PERFMON"),
        ([None, _] | [_, None], _) => Check::warn(
            name,
            "/proc/self/status doesn't tell this process's capabilities",
            "whether programs may be loaded is only known by trying: see `programs`",
        ),
        _ => {
            Check::fail(name, "neither root nor CAP_BPF + CAP_PERFMON", POLLED).remedy("sudo hatrace doctor")
        }
    }
}

fn other_processes(host: &Host) -> Check {
    let name = "fds";
    match has(host, CAP_SYS_PTRACE) {
        Some(true) => Check::ok(name, "CAP_SYS_PTRACE: the fds of HAProxy's processes can be read"),
        _ => Check::warn(
            name,
            "no CAP_SYS_PTRACE",
            "/proc of a HAProxy of another user is closed: its network namespace, listeners and fds can't be told",
        )
        .remedy("run as root, or add CAP_SYS_PTRACE (a unit's AmbientCapabilities=)"),
    }
}

fn namespaces(host: &Host) -> Check {
    let name = "namespaces";
    match has(host, CAP_SYS_ADMIN) {
        Some(true) => Check::ok(name, "CAP_SYS_ADMIN: network namespaces of containers can be entered"),
        _ => Check::warn(
            name,
            "no CAP_SYS_ADMIN",
            "no sweep in other network namespaces: a HAProxy in a container is traced without addresses and queues",
        )
        .remedy("run as root, or hatrace in HAProxy's own namespace: nsenter -t PID -n hatrace"),
    }
}

fn kernel(host: &Host) -> Check {
    let name = "kernel";
    let Some(release) = host.read("proc/sys/kernel/osrelease") else {
        return Check::warn(
            name,
            "/proc/sys/kernel/osrelease can't be read",
            "only a try can tell: see `programs`",
        );
    };
    match version(&release) {
        Some(found) if found >= TESTED => Check::ok(name, format!("Linux {release} (tested from 6.1 on)")),
        Some(found) if found >= TRACED => Check::warn(
            name,
            format!("Linux {release}"),
            "from 5.12 on hatrace traces where its programs load; below 6.1 that is not tested",
        ),
        Some(_) => Check::fail(name, format!("Linux {release}; tracing needs 5.12"), POLLED)
            .remedy("a newer kernel; until then the polled mode is what there is"),
        None => Check::warn(
            name,
            format!("a release that isn't understood: {release}"),
            "only a try can tell: see `programs`",
        ),
    }
}

fn btf(host: &Host) -> Check {
    let (name, path) = ("btf", host.btf());
    match path.metadata() {
        Ok(meta) if meta.len() > 0 => Check::ok(
            name,
            format!(
                "{}: where the kernel's fields are, on this kernel",
                path.display()
            ),
        ),
        _ => Check::fail(name, format!("no {}", path.display()), POLLED).remedy(
            "a kernel with CONFIG_DEBUG_INFO_BTF=y (distributions have it), or its BTF as HATRACE_BTF=FILE",
        ),
    }
}

/// `none [integrity] confidentiality`: the brackets are around what holds.
fn lockdown(host: &Host) -> Check {
    let name = "lockdown";
    let Some(text) = host.read("sys/kernel/security/lockdown") else {
        return Check::ok(
            name,
            "no /sys/kernel/security/lockdown: not locked down, or securityfs isn't mounted",
        );
    };
    let level = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
        .unwrap_or(&text);
    match level {
        "none" => Check::ok(name, "none"),
        "confidentiality" => Check::warn(
            name,
            "confidentiality: programs may be refused what they read of the kernel",
            format!("where `programs` fails: {POLLED}"),
        )
        .remedy("lockdown=integrity on the kernel's command line"),
        other => Check::ok(name, format!("{other}: the core doesn't need what this forbids")),
    }
}

fn memlock(host: &Host) -> Check {
    let name = "memlock";
    let release = host.read("proc/sys/kernel/osrelease").unwrap_or_default();
    if version(&release).is_some_and(|found| found >= MEMCG) {
        return Check::ok(
            name,
            "this kernel counts maps to the memory cgroup: `ulimit -l` has no say",
        );
    }
    let limit = host.read("proc/self/limits").and_then(|limits| {
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max locked memory"))?;
        Some(line.split_whitespace().next()?.to_owned())
    });
    match limit.as_deref().map(|limit| (limit, limit.parse::<u64>())) {
        Some(("unlimited", _)) => Check::ok(name, "unlimited"),
        Some((_, Ok(bytes))) if bytes >= MEMLOCK_KIB * 1024 => {
            Check::ok(name, format!("{} KiB", bytes / 1024))
        }
        Some((_, Ok(bytes))) => Check::warn(
            name,
            format!("{} KiB may be locked", bytes / 1024),
            "maps may be refused (EPERM) where this kernel counts them to `ulimit -l`",
        )
        .remedy("ulimit -l unlimited"),
        _ => Check::ok(name, "no limit is known; only kernels before 5.11 have one"),
    }
}

fn core(probes: &Probes) -> Check {
    let name = Ability::Programs.name();
    match &probes.core {
        Ok(verified) => Check {
            figures: verified.clone(),
            ..Check::ok(name, loads(verified))
        },
        Err(why) => Check::fail(name, format!("the kernel half doesn't load: {why}"), POLLED)
            .remedy("see the lines above; where they are all ok, the reason is the kernel's own (a container? seccomp?)"),
    }
}

fn loads(verified: &BTreeMap<String, u32>) -> String {
    let all: u64 = verified.values().map(|count| u64::from(*count)).sum();
    let much = match all {
        // Before 5.16 the kernel doesn't say.
        0 => String::new(),
        all => format!(
            " ({} programs, the verifier followed {all} instructions)",
            verified.len()
        ),
    };
    format!("{}{much}", Ability::Programs.gives())
}

/// What not every kernel has.
fn more(probes: &Probes) -> impl Iterator<Item = Check> {
    Ability::MORE.into_iter().map(|ability| {
        let Some(why) = probes.abilities.why_not(ability) else {
            return Check::ok(ability.name(), ability.gives());
        };
        let check = Check::warn(ability.name(), why, ability.costs());
        match ability {
            Ability::TimewaitEnds => check.remedy(
                "--interval 200ms for finer ends; fentry needs CONFIG_FUNCTION_TRACER, and on arm64 Linux 6.0",
            ),
            Ability::OneProcess => check.remedy("Linux 6.1 or newer"),
            _ => check,
        }
    })
}

fn statistics(host: &Host) -> Check {
    let name = "bpf_stats";
    match host.sysctl("kernel.bpf_stats_enabled") {
        Some(0) => Check::ok(name, "off"),
        Some(_) => Check::warn(
            name,
            "kernel.bpf_stats_enabled is on",
            "some 35 ns more for every run of every BPF program on this host: about 1 µs a proxied connection here",
        )
        .remedy("sysctl -w kernel.bpf_stats_enabled=0"),
        None => Check::ok(name, "this kernel has no kernel.bpf_stats_enabled to read"),
    }
}
