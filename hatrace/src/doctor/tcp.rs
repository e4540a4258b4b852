//! The host's TCP: can its sockets be listed, and how full are the tables in which lingering ones end up.

use super::{Check, Host, Probes};
use crate::ability::Ability;

/// From this share of a table on (in percent), one should know.
const NEARLY_FULL: u64 = 90;
/// The kernel counts an orphan up to four times when it decides whether there are too many
/// (`tcp_too_many_orphans(sk, shift)` with a shift of up to 2, net/ipv4/tcp_timer.c: tcp_out_of_resources).
const ORPHANS_SUSPECT: u64 = 25;
/// `TCP_TIMEWAIT_LEN`: a longer FIN_WAIT2 isn't a timewait for all of its time.
const TIMEWAIT_SECONDS: u64 = 60;

pub(super) fn checks(host: &Host, probes: &Probes) -> Vec<Check> {
    // HAProxy's own namespace, where there is a HAProxy: /proc/PID/net is seen with its eyes.
    let net = probes
        .haproxy
        .iter()
        .map(|(pid, _)| format!("proc/{pid}/net"))
        .find(|net| host.read(&format!("{net}/sockstat")).is_some())
        .unwrap_or_else(|| "proc/net".to_owned());
    vec![
        sock_diag(probes),
        option_memory(host),
        timewaits(host, &net),
        overflow(host, &net),
        fin_timeout(host),
        orphans(host, &net),
    ]
}

fn sock_diag(probes: &Probes) -> Check {
    let ability = Ability::SockDiag;
    match &probes.sock_diag {
        Ok(()) => Check::ok(ability.name(), ability.gives()),
        Err(why) => Check::warn(
            ability.name(),
            format!("TCP sockets can't be listed: {why}"),
            ability.costs(),
        )
        .remedy("modprobe tcp_diag"),
    }
}

/// Hatrace keeps its records in a table of its own *because* of this limit: see docs/ARCHITECTURE.md.
fn option_memory(host: &Host) -> Check {
    let name = "optmem";
    let why =
        "hatrace takes nothing from it (tracers with socket storage do, and can cost the proxy connections)";
    match host.sysctl("net.core.optmem_max") {
        Some(bytes) if bytes < 20_480 => Check::ok(
            name,
            format!("net.core.optmem_max is {bytes}, which is small: {why}"),
        ),
        Some(bytes) => Check::ok(name, format!("net.core.optmem_max is {bytes}: {why}")),
        None => Check::ok(
            name,
            format!("net.core.optmem_max is not visible in this namespace: {why}"),
        ),
    }
}

fn percent(used: u64, limit: u64) -> u64 {
    used.saturating_mul(100).checked_div(limit).unwrap_or(100)
}

fn timewaits(host: &Host, net: &str) -> Check {
    let name = "tw_buckets";
    let (Some(used), Some(limit)) = (
        host.sockstat(net, "tw"),
        host.sysctl("net.ipv4.tcp_max_tw_buckets"),
    ) else {
        return unread(name, "the number of timewaits or net.ipv4.tcp_max_tw_buckets");
    };
    let found = format!("{used} of at most {limit} timewaits");
    if percent(used, limit) < NEARLY_FULL {
        return Check::ok(name, found);
    }
    Check::warn(
        name,
        found,
        "full, the kernel makes no timewait: a closed connection is gone at once, and the peer's FIN gets a RST",
    )
    .remedy(format!(
        "sysctl -w net.ipv4.tcp_max_tw_buckets={}",
        limit.saturating_mul(2).max(65_536)
    ))
}

fn overflow(host: &Host, net: &str) -> Check {
    let name = "tw_overflow";
    match host.tcp_ext(net, "TCPTimeWaitOverflow") {
        None => unread(name, "TCPTimeWaitOverflow"),
        Some(0) => Check::ok(name, "no timewait was refused since boot (TCPTimeWaitOverflow)"),
        Some(count) => Check::warn(
            name,
            format!("{count} timewaits were refused since boot (TCPTimeWaitOverflow)"),
            "while that goes on, a FIN_WAIT2 that seems handed to the kernel may not exist; hatrace says when it sees it",
        )
        .remedy("raise net.ipv4.tcp_max_tw_buckets"),
    }
}

fn fin_timeout(host: &Host) -> Check {
    let name = "fin_timeout";
    match host.sysctl("net.ipv4.tcp_fin_timeout") {
        None => unread(name, "net.ipv4.tcp_fin_timeout"),
        Some(seconds) if seconds <= TIMEWAIT_SECONDS => Check::ok(
            name,
            format!("an orphaned FIN_WAIT2 ends after {seconds} s (net.ipv4.tcp_fin_timeout)"),
        ),
        Some(seconds) => Check::warn(
            name,
            format!("net.ipv4.tcp_fin_timeout is {seconds} s, over {TIMEWAIT_SECONDS}"),
            format!(
                "an orphaned FIN_WAIT2 is a full socket for {0} s, with its memory and counted as an orphan, then a \
                 timewait for as long again: {1} s in all",
                seconds - TIMEWAIT_SECONDS,
                2 * (seconds - TIMEWAIT_SECONDS)
            ),
        )
        .remedy("sysctl -w net.ipv4.tcp_fin_timeout=60"),
    }
}

fn orphans(host: &Host, net: &str) -> Check {
    let name = "orphans";
    let (Some(used), Some(limit)) = (
        host.sockstat(net, "orphan"),
        host.sysctl("net.ipv4.tcp_max_orphans"),
    ) else {
        return unread(name, "the number of orphans or net.ipv4.tcp_max_orphans");
    };
    let found = format!("{used} of at most {limit} orphans");
    if percent(used, limit) < ORPHANS_SUSPECT {
        return Check::ok(name, found);
    }
    Check::warn(
        name,
        found,
        "the kernel resets closing connections when there are too many, and counts an idle one up to four times",
    )
    .remedy("find who doesn't acknowledge HAProxy's FIN: hatrace stuck --state FIN_WAIT1,LAST_ACK")
}

/// Not a fault of the host's: a namespace or a hardened `/proc` hides it.
fn unread(name: &str, what: &str) -> Check {
    Check::warn(
        name,
        format!("{what} can't be read here"),
        "not checked: is /proc/net or the sysctl hidden in this container?",
    )
}
