//! Timeouts outside of what is usual (configuration manual, section 4.2; the ranges are those of operators' guides).

use std::time::Duration;

use super::{Advice, Severity, Subject, advice};
use crate::config::{Limit, Proxy, ProxyMode, Set, TimeoutKind};
use crate::units;

const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What is usual for one timeout, and what is said of others.
struct Usual {
    kind: TimeoutKind,
    rule: [&'static str; 2],
    low: Duration,
    high: Duration,
    usual: &'static str,
    write: &'static str,
    /// Of http alone.
    http: bool,
    cost: &'static str,
}

const USUAL: [Usual; 7] = [
    Usual {
        kind: TimeoutKind::Connect,
        rule: ["connect-short", "connect-long"],
        low: SECOND,
        high: Duration::from_secs(30),
        usual: "5s to 10s",
        write: "timeout connect 5s",
        http: false,
        cost: "a server that doesn't answer keeps its clients waiting that long, once for each retry",
    },
    Usual {
        kind: TimeoutKind::Client,
        rule: ["client-short", "client-long"],
        low: Duration::from_secs(5),
        high: Duration::from_secs(300),
        usual: "30s to 60s",
        write: "timeout client 30s",
        http: true,
        cost: "a client that is gone without a word keeps its connection, and its server's, that long",
    },
    Usual {
        kind: TimeoutKind::Server,
        rule: ["server-short", "server-long"],
        low: Duration::from_secs(5),
        high: Duration::from_secs(300),
        usual: "30s to 60s",
        write: "timeout server 30s",
        http: true,
        cost: "a server that hangs keeps its clients, and a slot of its own, that long",
    },
    Usual {
        kind: TimeoutKind::HttpRequest,
        rule: ["http-request-short", "http-request-long"],
        low: SECOND,
        high: MINUTE,
        usual: "5s to 30s",
        write: "timeout http-request 10s",
        http: true,
        cost: "a client that sends its request byte by byte, or never, keeps its connection that long",
    },
    Usual {
        kind: TimeoutKind::HttpKeepAlive,
        rule: ["http-keep-alive-short", "http-keep-alive-long"],
        low: Duration::from_millis(100),
        high: MINUTE,
        usual: "1s to 10s",
        write: "timeout http-keep-alive 10s",
        http: true,
        cost: "idle connections between two requests count against maxconn that long",
    },
    Usual {
        kind: TimeoutKind::Queue,
        rule: ["queue-short", "queue-long"],
        low: SECOND,
        high: Duration::from_secs(120),
        usual: "about 30s",
        write: "timeout queue 30s",
        http: false,
        cost: "requests wait that long for a slot of their server before they get a 503",
    },
    Usual {
        kind: TimeoutKind::Tunnel,
        rule: ["tunnel-short", "tunnel-long"],
        low: Duration::from_secs(5),
        high: Duration::from_secs(24 * 3600),
        usual: "1h",
        write: "timeout tunnel 1h",
        http: false,
        cost: "a tunnel whose ends are both gone stays that long",
    },
];

/// Those that are too long, or too short.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Advice> {
    let mut all = Vec::new();
    for proxy in &subject.configuration.proxies {
        for usual in &USUAL {
            unusual(proxy, usual, &mut all);
        }
    }
    // A line of `defaults` is one line, however many take it over.
    let mut seen: Vec<(&'static str, Option<crate::config::Place>)> = Vec::new();
    all.retain(|advice| {
        let key = (advice.rule, advice.place.clone());
        let new = !seen.contains(&key);
        seen.push(key);
        new
    });
    all
}

/// What is in force.
pub(super) fn get(proxy: &Proxy, kind: TimeoutKind) -> Option<&Set<Limit>> {
    proxy.timeouts.get(&kind)
}

/// The section that a line is to be written in, or stands in.
fn section(proxy: &Proxy, inherited: bool) -> String {
    if inherited {
        "defaults".to_owned()
    } else {
        proxy.section()
    }
}

fn unusual(proxy: &Proxy, usual: &Usual, all: &mut Vec<Advice>) {
    let Some(set) = get(proxy, usual.kind).filter(|set| set.certain) else {
        return;
    };
    if usual.http && proxy.mode.value != ProxyMode::Http && !absurd_for_tcp(proxy, usual.kind, set.value) {
        return;
    }
    let tunnel = get(proxy, TimeoutKind::Tunnel).and_then(|set| set.value.duration());
    if usual.kind == TimeoutKind::Server
        && tunnel
            .zip(set.value.duration())
            .is_some_and(|(tunnel, own)| own <= tunnel)
    {
        // Of tunnels this is the one that counts.
        return;
    }
    let name = usual.kind.name();
    let place = &set.place;
    let (rule, severity, why) = match set.value.duration() {
        None => (
            usual.rule[1],
            Severity::Fix,
            format!("`{name} 0` is never: {}, for ever", usual.cost),
        ),
        Some(length) if length > usual.high => (
            usual.rule[1],
            if length >= HOUR && usual.kind != TimeoutKind::Tunnel {
                Severity::Fix
            } else {
                Severity::Consider
            },
            format!(
                "{} is long ({} is usual): {}",
                units::round(length),
                usual.usual,
                usual.cost
            ),
        ),
        Some(length) if length < usual.low => (
            usual.rule[0],
            Severity::Consider,
            format!(
                "{} is short ({} is usual): what is merely slow is cut off",
                units::round(length),
                usual.usual
            ),
        ),
        Some(_) => return,
    };
    all.push(advice(
        rule,
        severity,
        place,
        section(proxy, set.inherited),
        why,
        Some(usual.write),
    ));
}

/// Raw TCP may be idle for long: a shell, a database. Hours are fine where something else ends what is half closed; never is for nobody.
fn absurd_for_tcp(proxy: &Proxy, kind: TimeoutKind, value: Limit) -> bool {
    let fin = match kind {
        TimeoutKind::Client => TimeoutKind::ClientFin,
        TimeoutKind::Server => TimeoutKind::ServerFin,
        _ => return false,
    };
    let most = if get(proxy, fin).is_some() {
        HOUR * 24
    } else {
        HOUR
    };
    value.duration().is_none_or(|length| length >= most)
}
