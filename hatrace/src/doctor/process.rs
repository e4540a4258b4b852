//! Is there a HAProxy, and does it live where hatrace lives?

use hatrace_core::stream::Access;

use super::{Check, Host, Probes};

pub(super) fn checks(host: &Host, probes: &Probes) -> Vec<Check> {
    let mut checks = vec![found(probes)];
    checks.extend(namespace(host, probes));
    checks.extend(sessions(probes));
    checks
}

/// Whether HAProxy's sessions can be had: of all its processes, or the first whose can't.
fn sessions(probes: &Probes) -> Option<Check> {
    let name = "sessions";
    let told = |(pid, access): &(u32, Access)| match access {
        Access::Ready { through } => format!("{pid} answers on {through}"),
        Access::Off => format!("{pid} is not to be asked (--no-api)"),
        Access::Refused { why, .. } => why.clone(),
    };
    let all: Vec<String> = probes.access.iter().map(told).collect();
    let refused = probes.access.iter().find_map(|(pid, access)| match access {
        Access::Refused { remedy, .. } => Some((pid, remedy)),
        Access::Ready { .. } | Access::Off => None,
    });
    let Some((pid, remedy)) = refused else {
        return (!all.is_empty()).then(|| Check::ok(name, all.join(", ")));
    };
    let check = Check::warn(
        name,
        all.join(", "),
        format!("sockets of {pid} stay without session, server and pair: kernel truth alone"),
    );
    Some(match remedy {
        Some(remedy) => check.remedy(remedy.as_str()),
        None => check,
    })
}

fn found(probes: &Probes) -> Check {
    let name = "haproxy";
    if probes.haproxy.is_empty() {
        return Check::warn(
            name,
            "no HAProxy is running here",
            "there is nothing to trace yet",
        )
        .remedy("systemctl start haproxy, or see it work: sudo hatrace demo");
    }
    let list: Vec<String> = probes
        .haproxy
        .iter()
        .map(|(pid, role)| format!("{pid} ({role})"))
        .collect();
    Check::ok(name, list.join(", "))
}

/// The sysctls that were read are those of hatrace's own network namespace: HAProxy's may differ.
fn namespace(host: &Host, probes: &Probes) -> Option<Check> {
    let name = "netns";
    let own = host.link("proc/self/ns/net")?;
    let foreign: Vec<String> = probes
        .haproxy
        .iter()
        .filter(|(pid, _)| {
            host.link(&format!("proc/{pid}/ns/net"))
                .is_some_and(|theirs| theirs != own)
        })
        .map(|(pid, _)| pid.to_string())
        .collect();
    let first = foreign.first()?;
    Some(
        Check::warn(
            name,
            format!("HAProxy {} lives in another network namespace", foreign.join(", ")),
            "it is traced all the same; but the sysctls above (fin_timeout, tw_buckets, orphans) are this namespace's",
        )
        .remedy(format!("nsenter -t {first} -n hatrace doctor")),
    )
}
