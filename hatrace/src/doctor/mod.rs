//! What this host allows, what it costs to lack, and the remedy.
//!
//! Facts come from `/proc` and `/sys` under a root of the caller's choosing, and from probes that were made for it: nothing is
//! concluded from a version number that can be tried.

mod host;

use crate::port::{Check, Status};
use crate::sockdiag::{NetnsSocket, lingering_states};
use crate::target::{Proc, Target};
use hatrace_core::ids::Pid;

/// What was tried.
#[derive(Debug)]
pub struct Probes {
    /// The kernel half's core was loaded, attached and let go of; or why not.
    pub core: Result<(), String>,
    /// The same for the optional fentry program.
    pub fentry: Result<(), String>,
    /// Where the kernel's type information is looked for, if it isn't there.
    pub no_btf: Option<String>,
}

/// Every check.
#[must_use]
pub fn checks(probes: &Probes) -> Vec<Check> {
    let mut checks = vec![
        host::rights("/"),
        host::kernel("/"),
        btf(probes),
        core(probes),
        fentry(probes),
        sock_diag(),
    ];
    checks.extend(host::sysctls("/"));
    checks.extend(host::not_needed("/"));
    checks.push(haproxy());
    checks
}

/// A check that found what it should.
pub(crate) fn ok(name: &str, found: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        status: Status::Ok,
        found: found.into(),
        costs: None,
        remedy: None,
    }
}

/// A check that found less.
pub(crate) fn lacks(
    name: &str,
    status: Status,
    found: impl Into<String>,
    costs: &str,
    remedy: &str,
) -> Check {
    Check {
        name: name.to_owned(),
        status,
        found: found.into(),
        costs: Some(costs.to_owned()),
        remedy: Some(remedy.to_owned()),
    }
}

const POLLED_COSTS: &str = "dwell times by sweeps alone: as coarse as their interval, short lives unseen";

fn btf(probes: &Probes) -> Check {
    match &probes.no_btf {
        None => ok("BTF", "the kernel describes its types"),
        Some(path) => lacks(
            "BTF",
            Status::Fail,
            format!("{path} isn't there"),
            POLLED_COSTS,
            "a kernel with CONFIG_DEBUG_INFO_BTF=y, Linux 5.12 or newer; until then: --mode polled",
        ),
    }
}

fn core(probes: &Probes) -> Check {
    match &probes.core {
        Ok(()) => ok(
            "tracing",
            "the kernel half loads and attaches (7 tp_btf programs, 1 iterator)",
        ),
        Err(why) => lacks(
            "tracing",
            Status::Fail,
            why.clone(),
            POLLED_COSTS,
            "root, or CAP_BPF + CAP_PERFMON; until then: --mode polled",
        ),
    }
}

fn fentry(probes: &Probes) -> Check {
    match &probes.fentry {
        Ok(()) => ok("fentry", "ends of timewaits are seen exactly"),
        Err(why) => lacks(
            "fentry",
            Status::Warn,
            why.clone(),
            "ends of orphaned FIN_WAIT2s are polled: right within the sweep interval (--interval)",
            "nothing, if that is good enough; lockdown and some hypervisors' kernels refuse fentry",
        ),
    }
}

fn sock_diag() -> Check {
    let own = Pid(std::process::id());
    match NetnsSocket::of_process(own).and_then(|mut socket| socket.dump(lingering_states())) {
        Ok(rows) => ok(
            "sock_diag",
            format!(
                "lists sockets ({} closing or connecting in this namespace)",
                rows.len()
            ),
        ),
        Err(error) => lacks(
            "sock_diag",
            Status::Fail,
            error.to_string(),
            "no addresses, no timewaits, no `stuck`",
            "modprobe tcp_diag",
        ),
    }
}

fn haproxy() -> Check {
    let found: Vec<Proc> = Proc::all().into_iter().filter(Proc::is_haproxy).collect();
    if found.is_empty() {
        return lacks(
            "HAProxy",
            Status::Warn,
            "none is running here",
            "there is nothing to trace",
            "systemctl status haproxy; or see it work: sudo hatrace demo",
        );
    }
    let pids: Vec<String> = found.iter().map(|process| process.pid.to_string()).collect();
    match Target::resolve(&[], false) {
        Ok(target) => {
            let roles: Vec<String> = target
                .pids()
                .into_iter()
                .map(|pid| {
                    if target.is_master(pid) {
                        format!("{pid} (master)")
                    } else {
                        pid.to_string()
                    }
                })
                .collect();
            ok("HAProxy", roles.join(", "))
        }
        Err(_) => ok(
            "HAProxy",
            format!("several: {}; name one with --pid", pids.join(", ")),
        ),
    }
}
