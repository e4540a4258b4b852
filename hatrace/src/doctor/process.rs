//! Is there a HAProxy, and does it live where hatrace lives?

use super::{Check, Host, Probes};

pub(super) fn checks(host: &Host, probes: &Probes) -> Vec<Check> {
    let mut checks = vec![found(probes)];
    checks.extend(namespace(host, probes));
    checks
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
