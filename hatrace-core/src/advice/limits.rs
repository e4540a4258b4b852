//! How many connections there may be: the frontends' sum against the process's, that against its descriptors; and the kernel's own limits.

use super::{Advice, Severity, Subject, advice};
use crate::config::{Configuration, Place, Proxy, Set};
use crate::snapshot::Snapshot;
use crate::stream::ServiceKind;
use crate::units;

/// Descriptors that HAProxy needs beside those of connections: listeners, checks, pipes, its own.
const BESIDE: u64 = 100;

/// What of it doesn't add up.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Advice> {
    let mut all = Vec::new();
    frontends(subject.configuration, &mut all);
    descriptors(subject, &mut all);
    kernel(subject, &mut all);
    all
}

/// Those that count: proxies that accept.
fn accepting(configuration: &Configuration) -> impl Iterator<Item = &Proxy> {
    configuration
        .proxies
        .iter()
        .filter(|proxy| proxy.kind.accepts() && (!proxy.binds.is_empty()))
}

fn global(configuration: &Configuration) -> Option<&Set<u64>> {
    configuration.global.maxconn.as_ref().filter(|set| set.certain)
}

fn frontends(configuration: &Configuration, all: &mut Vec<Advice>) {
    let Some(global) = global(configuration) else {
        return;
    };
    let limited: Vec<(&Proxy, u64)> = accepting(configuration)
        .filter_map(|proxy| Some((proxy, proxy.maxconn.as_ref()?.value)))
        .collect();
    let count = accepting(configuration).count();
    if count > 1 && limited.is_empty() {
        all.push(advice(
            "maxconn-frontends-missing",
            Severity::Note,
            &global.place,
            "global",
            format!(
                "none of the {count} frontends has a `maxconn`: any one of them can take all {} of the process, and then nothing is accepted any more, not even the stats page",
                global.value
            ),
            Some("maxconn (in each frontend, so that their sum stays below)"),
        ));
    }
    let sum: u64 = limited.iter().map(|(_, own)| *own).fold(0, u64::saturating_add);
    let names: Vec<String> = limited
        .iter()
        .map(|(proxy, own)| format!("{} {own}", proxy.name))
        .collect();
    let doubled = sum.saturating_mul(2);
    let roomy = doubled.saturating_add(doubled / 10);
    if sum > global.value {
        all.push(advice(
            "maxconn-sum",
            Severity::Fix,
            &global.place,
            "global",
            format!(
                "the frontends may have {sum} connections together ({}), the process {}: it is full before they are, and then every frontend stops, the stats page too",
                names.join(", "),
                global.value
            ),
            Some(&format!("maxconn {roomy}")),
        ));
    } else if doubled >= global.value && sum > 0 {
        all.push(advice(
            "maxconn-headroom",
            Severity::Consider,
            &global.place,
            "global",
            format!(
                "the frontends may have {sum} connections together ({}), which with as many to the servers is {doubled}: guides want the global {} above that, with some room",
                names.join(", "),
                global.value
            ),
            Some(&format!("maxconn {roomy}")),
        ));
    }
}

/// How far the limits are used up, by HAProxy's own counts: now, and at most since it was started.
pub(super) fn used(subject: &Subject<'_>, snapshot: &Snapshot) -> Vec<Advice> {
    let frontends = || {
        let services = snapshot.services.iter().map(|row| &row.service);
        services.filter(|service| service.kind == ServiceKind::Frontend)
    };
    let near = |now: u64, most: u64, limit: u64| match () {
        () if limit == 0 => None,
        () if now.saturating_mul(10) >= limit.saturating_mul(9) => Some(Severity::Fix),
        () if most.saturating_mul(10) >= limit.saturating_mul(8) => Some(Severity::Consider),
        () => None,
    };
    let mut all = Vec::new();
    for service in frontends() {
        let set = subject
            .configuration
            .frontend(&service.proxy)
            .and_then(|proxy| Some((proxy, proxy.maxconn.as_ref()?)));
        let (Some((proxy, set)), Some(now)) = (set, service.current) else {
            continue;
        };
        let most = service.most.unwrap_or(now);
        if let Some(severity) = near(now, most, set.value) {
            let why = format!(
                "{now} of the {} connections that it allows are open, {most} were at most: from there on clients wait in the accept queue",
                set.value
            );
            all.push(Advice {
                evidence: Some(0),
                ..advice("maxconn-near", severity, &set.place, proxy.section(), why, None)
            });
        }
    }
    if let Some(set) = global(subject.configuration) {
        let now = frontends()
            .filter_map(|service| service.current)
            .fold(0, u64::saturating_add);
        // The frontends' peaks need not have been at the same time: what they had at most together isn't known.
        if let Some(severity) = near(now, now, set.value) {
            let why = format!(
                "{now} of the {} connections that the process allows are open: when it is full no frontend accepts, not even the stats page",
                set.value
            );
            all.push(Advice {
                evidence: Some(0),
                ..advice("maxconn-near", severity, &set.place, "global", why, None)
            });
        }
    }
    all
}

fn descriptors(subject: &Subject<'_>, all: &mut Vec<Advice>) {
    let Some(maxconn) = global(subject.configuration) else {
        return;
    };
    let wanted = maxconn.value.saturating_mul(2).saturating_add(BESIDE);
    let sections = subject.text.of("global");
    let line = sections
        .flat_map(|section| section.lines.iter())
        .filter(|line| line.certain && line.begins(&["ulimit-n"]))
        .last();
    let set: Option<(u64, Place)> =
        line.and_then(|line| Some((line.words.get(1)?.parse().ok()?, line.place.clone())));
    let why = |has: u64| {
        format!(
            "{} connections need two descriptors each, {wanted} in all, and there are {has}: accepting fails before maxconn is reached",
            maxconn.value
        )
    };
    match (set, subject.host.files) {
        (Some((has, place)), _) if has < wanted => all.push(advice(
            "ulimit-low",
            Severity::Fix,
            &place,
            "global",
            why(has),
            Some(&format!("ulimit-n {wanted}")),
        )),
        (None, Some(has)) if has < wanted => all.push(advice(
            "ulimit-low",
            Severity::Fix,
            &maxconn.place,
            "global",
            why(has),
            Some(&format!("ulimit-n {wanted}")),
        )),
        _ => {}
    }
}

/// A setting of the kernel's: there is no line for it in HAProxy's files.
fn setting(rule: &'static str, name: &str, why: String, write: String) -> Advice {
    Advice {
        rule,
        severity: Severity::Consider,
        place: None,
        section: format!("sysctl {name}"),
        why,
        write: Some(write),
        evidence: None,
    }
}

fn kernel(subject: &Subject<'_>, all: &mut Vec<Advice>) {
    let host = &subject.host;
    if let Some(long) = host.fin_timeout.filter(|time| time.as_secs() > 60) {
        all.push(setting(
            "fin-timeout-long",
            "net.ipv4.tcp_fin_timeout",
            format!(
                "connections that HAProxy has closed, and whose peers haven't, are kept in FIN_WAIT2 for {} (60 s is the default)",
                units::round(long)
            ),
            "net.ipv4.tcp_fin_timeout = 60".to_owned(),
        ));
    }
    let Some(maxconn) = global(subject.configuration) else {
        return;
    };
    if let Some(few) = host.max_orphans.filter(|most| *most < maxconn.value) {
        all.push(setting(
            "max-orphans-low",
            "net.ipv4.tcp_max_orphans",
            format!(
                "HAProxy may have {} connections, the kernel keeps {few} that are closed and not acknowledged yet: beyond that it resets them",
                maxconn.value
            ),
            format!("net.ipv4.tcp_max_orphans = {}", maxconn.value * 2),
        ));
    }
    if let Some(few) = host.max_timewaits.filter(|most| *most < maxconn.value) {
        all.push(setting(
            "max-tw-buckets-low",
            "net.ipv4.tcp_max_tw_buckets",
            format!(
                "HAProxy may have {} connections, the kernel keeps {few} in TIME_WAIT: beyond that they are dropped, and late segments are answered by RST",
                maxconn.value
            ),
            format!("net.ipv4.tcp_max_tw_buckets = {}", maxconn.value * 2),
        ));
    }
    let single = subject
        .configuration
        .proxies
        .iter()
        .any(|proxy| proxy.kind.connects() && proxy.servers.len() == 1);
    if let Some(few) = host.ports.filter(|ports| single && *ports < maxconn.value) {
        all.push(setting(
            "port-range-small",
            "net.ipv4.ip_local_port_range",
            format!(
                "a backend has a single server, to which there can be no more than {few} connections from one address, TIME_WAITs included; the process may have {}",
                maxconn.value
            ),
            "net.ipv4.ip_local_port_range = 1024 65535".to_owned(),
        ));
    }
}
