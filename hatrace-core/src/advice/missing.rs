//! Timeouts that are missing where something waits for them: of clients and servers, of half-closed connections, of tunnels.

use super::timeouts::{MINUTE, get};
use super::{Advice, Severity, Subject, advice, quoted};
use crate::config::{Limit, Proxy, ProxyKind, ProxyMode, Set, TimeoutKind};
use crate::units;

/// What is missing.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Advice> {
    let mut all = Vec::new();
    for proxy in &subject.configuration.proxies {
        missing(proxy, subject, &mut all);
        half_closed(proxy, subject, &mut all);
    }
    all
}

fn missing(proxy: &Proxy, subject: &Subject<'_>, all: &mut Vec<Advice>) {
    let mut lacks = |kind: TimeoutKind, rule, severity, why: String, write: &str| {
        if get(proxy, kind).is_none() {
            all.push(advice(
                rule,
                severity,
                &proxy.place,
                proxy.section(),
                why,
                Some(write),
            ));
        }
    };
    let http = proxy.mode.value == ProxyMode::Http;
    if proxy.mode.value == ProxyMode::Other {
        return;
    }
    if proxy.kind.accepts() {
        lacks(
            TimeoutKind::Client,
            "client-missing",
            Severity::Fix,
            "without `timeout client` a client that is gone without a word keeps its connection for ever"
                .to_owned(),
            "timeout client 30s",
        );
        if http {
            lacks(
                TimeoutKind::HttpRequest,
                "http-request-missing",
                Severity::Consider,
                "without `timeout http-request` a client may take as long for its request as `timeout client` allows between any two bytes of it: connections that never send one pile up".to_owned(),
                "timeout http-request 10s",
            );
        }
    }
    if proxy.kind.connects() && !proxy.servers.is_empty() {
        lacks(
            TimeoutKind::Connect,
            "connect-missing",
            Severity::Fix,
            "without `timeout connect` a server that doesn't answer is waited for as long as the kernel tries, two minutes".to_owned(),
            "timeout connect 5s",
        );
        lacks(
            TimeoutKind::Server,
            "server-missing",
            Severity::Fix,
            "without `timeout server` a server that hangs keeps its clients for ever".to_owned(),
            "timeout server 30s",
        );
        if proxy.servers.iter().any(|server| server.maxconn.is_some()) {
            lacks(
                TimeoutKind::Queue,
                "queue-missing",
                Severity::Consider,
                "its servers have a `maxconn`, so requests queue; without `timeout queue` they do so for no longer than `timeout connect`, which is meant for something else".to_owned(),
                "timeout queue 30s",
            );
        }
    }
    websockets(proxy, subject, all);
    tarpits(proxy, subject, all);
}

/// A timeout that is certainly in force, and longer than half-closed connections are worth.
fn long(set: Option<&Set<Limit>>) -> Option<&Set<Limit>> {
    set.filter(|set| set.certain && set.value.duration().is_none_or(|length| length > MINUTE))
}

/// Who waits in FIN_WAIT2 or CLOSE_WAIT is ended by the `-fin` timeouts; without them, by the ones that are long on purpose.
fn half_closed(proxy: &Proxy, subject: &Subject<'_>, all: &mut Vec<Advice>) {
    let tunnel = if proxy.kind.connects() {
        long(get(proxy, TimeoutKind::Tunnel))
    } else {
        behind(proxy, subject)
            .into_iter()
            .find_map(|backend| long(get(backend, TimeoutKind::Tunnel)))
    };
    let sides = [
        (
            proxy.kind.accepts(),
            TimeoutKind::Client,
            TimeoutKind::ClientFin,
            "client-fin-missing",
            "timeout client-fin 30s",
        ),
        (
            proxy.kind.connects(),
            TimeoutKind::Server,
            TimeoutKind::ServerFin,
            "server-fin-missing",
            "timeout server-fin 30s",
        ),
    ];
    for (has, whole, fin, rule, write) in sides {
        if !has
            || get(proxy, fin).is_some()
            || proxy.kind.connects() && !proxy.kind.accepts() && proxy.servers.is_empty()
        {
            continue;
        }
        let tcp = proxy.mode.value == ProxyMode::Tcp;
        // What was upgraded from HTTP isn't ended by it any more (measured on 3.0, 3.2 and 3.4): the tunnel's timeout is.
        if !tcp && subject.version.is_some_and(|version| version >= (3, 0)) {
            continue;
        }
        let Some(governs) = tunnel.or_else(|| long(get(proxy, whole)).filter(|_| tcp)) else {
            continue;
        };
        let length = governs
            .value
            .duration()
            .map_or_else(|| "never".to_owned(), units::round);
        let who = if fin == TimeoutKind::ClientFin {
            "client"
        } else {
            "server"
        };
        all.push(advice(
            rule,
            Severity::Consider,
            &proxy.place,
            proxy.section(),
            format!("a {who} that acknowledges HAProxy's FIN and never sends its own is kept in FIN_WAIT2 until the timeout at {} ends it ({length}): this is how they pile up", governs.place),
            Some(write),
        ));
    }
}

/// The backends that a frontend leads to; where its lines aren't there, or choose at run time, any of its mode.
fn behind<'a>(proxy: &Proxy, subject: &Subject<'a>) -> Vec<&'a Proxy> {
    let section = subject
        .text
        .sections
        .iter()
        .find(|section| section.place == proxy.place);
    let named = section.map(|section| {
        let lines = section
            .all(&["default_backend"])
            .chain(section.all(&["use_backend"]));
        lines
            .filter_map(|line| line.words.get(1).cloned())
            .collect::<Vec<String>>()
    });
    let chosen = |other: &Proxy| match &named {
        Some(names) => names
            .iter()
            .any(|name| **name == *other.name || name.contains("%[")),
        None => true,
    };
    let mode = proxy.mode.value;
    let all = subject.configuration.proxies.iter();
    all.filter(|other| other.kind == ProxyKind::Backend && other.mode.value == mode)
        .filter(|other| chosen(other))
        .collect()
}

/// An ACL on Upgrade leads to a backend of websockets: those are tunnels, and live for long.
fn websockets(proxy: &Proxy, subject: &Subject<'_>, all: &mut Vec<Advice>) {
    if !proxy.kind.connects() || get(proxy, TimeoutKind::Tunnel).is_some() {
        return;
    }
    let upgrades = |word: &str| word.to_ascii_lowercase().contains("hdr(upgrade)");
    for (section, kind) in subject.text.proxies() {
        let own = kind.connects() && section.place == proxy.place;
        let acls: Vec<&str> = section
            .all(&["acl"])
            .filter(|line| line.words.iter().any(|word| upgrades(word)))
            .filter_map(|line| line.words.get(1).map(String::as_str))
            .collect();
        let mut uses = section.all(&["use_backend"]).filter(|line| {
            let asked = line
                .words
                .iter()
                .skip(2)
                .any(|word| acls.contains(&word.as_str()) || upgrades(word));
            asked && line.words.get(1).is_some_and(|name| **name == *proxy.name)
        });
        let line = uses.next().map(|line| line.place.clone()).or_else(|| {
            let acl = section
                .all(&["acl"])
                .find(|line| line.words.iter().any(|word| upgrades(word)));
            acl.filter(|_| own).map(|line| line.place.clone())
        });
        if let Some(line) = line {
            all.push(advice(
                "tunnel-missing",
                Severity::Fix,
                &proxy.place,
                proxy.section(),
                format!("websockets come here ({line}): without `timeout tunnel` they are cut when they have been silent for `timeout client` or `timeout server`"),
                Some("timeout tunnel 1h"),
            ));
            return;
        }
    }
}

fn tarpits(proxy: &Proxy, subject: &Subject<'_>, all: &mut Vec<Advice>) {
    if get(proxy, TimeoutKind::Tarpit).is_some() {
        return;
    }
    let section = subject
        .text
        .sections
        .iter()
        .find(|section| section.place == proxy.place);
    let tarpit = section.and_then(|section| section.all(&["http-request", "tarpit"]).next());
    if let Some(line) = tarpit {
        all.push(advice(
            "tarpit-missing",
            Severity::Consider,
            &line.place,
            proxy.section(),
            format!("without `timeout tarpit` {} holds tarpitted clients for `timeout connect`: as short, or as long, as servers need", quoted(&proxy.name)),
            Some("timeout tarpit 10s"),
        ));
    }
}
