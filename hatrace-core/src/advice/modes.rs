//! How connections are handled: modes that exclude each other, options that cut data, keepalives that come too late, servers that are down.

use std::time::Duration;

use super::{Advice, Section, Severity, Statement, Subject, Text, advice};
use crate::config::{Limit, ProxyMode, TimeoutKind};
use crate::units;

/// The options of which one is in force: the last.
const MODES: [&str; 5] = [
    "httpclose",
    "forceclose",
    "http-server-close",
    "http-keep-alive",
    "http-tunnel",
];
/// The kernel's default of `tcp_keepalive_time`.
const KEEPALIVE: Duration = Duration::from_secs(7200);

/// What of it is wrong.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Advice> {
    let mut all = Vec::new();
    for section in &subject.text.sections {
        exclusive(section, &mut all);
        if section.kind().is_some() || &*section.keyword == "defaults" {
            cutting(section, &mut all);
            keepalives(section, subject, &mut all);
            errors(section, &mut all);
            aborts(section, subject, &mut all);
        }
        if &*section.keyword == "global" {
            stopping(section, &mut all);
        }
    }
    for (section, kind) in subject.text.proxies() {
        if kind.connects() {
            marked_down(section, subject, &mut all);
            redispatch(section, subject.text, &mut all);
        }
    }
    all
}

/// The option that a line switches on.
fn option(line: &Statement) -> Option<&str> {
    line.begins(&["option"])
        .then(|| line.words.get(1))
        .flatten()
        .map(String::as_str)
}

fn exclusive(section: &Section, all: &mut Vec<Advice>) {
    let mut before: Option<(&str, u32)> = None;
    for line in section.lines.iter().filter(|line| line.certain) {
        let Some(mode) = option(line).filter(|option| MODES.contains(option)) else {
            continue;
        };
        if let Some((other, at)) = before.filter(|(other, _)| *other != mode) {
            all.push(advice(
                "modes-exclusive",
                Severity::Fix,
                &line.place,
                section.title(),
                format!("`option {mode}` and `option {other}` (line {at}) exclude each other: only one of them is in force, this one here, which is the last"),
                None,
            ));
        }
        before = Some((mode, line.place.line));
    }
}

fn cutting(section: &Section, all: &mut Vec<Advice>) {
    for line in section.all(&["option", "nolinger"]) {
        all.push(advice(
            "nolinger",
            Severity::Consider,
            &line.place,
            section.title(),
            "`option nolinger` ends connections by RST: sockets are gone at once, and so is whatever the other side hadn't received yet. Answers arrive truncated",
            None,
        ));
    }
}

/// Keepalives find a peer that is gone; the kernel begins to send them after two hours.
fn keepalives(section: &Section, subject: &Subject<'_>, all: &mut Vec<Advice>) {
    let time = subject.host.keepalive.unwrap_or(KEEPALIVE);
    if time <= Duration::from_secs(600) {
        return;
    }
    for (option, sides) in [
        ("clitcpka", &["clitcpka-idle"][..]),
        ("srvtcpka", &["srvtcpka-idle"][..]),
        ("tcpka", &["clitcpka-idle", "srvtcpka-idle"][..]),
    ] {
        let idle = sides
            .iter()
            .all(|side| subject.text.effective(section, &[side]).is_some());
        for line in section.all(&["option", option]).filter(|_| !idle) {
            all.push(advice(
                "keepalive-late",
                Severity::Consider,
                &line.place,
                section.title(),
                format!(
                    "`option {option}` leaves the times to the kernel: the first probe goes out after {} (net.ipv4.tcp_keepalive_time), so a peer that is gone is found no sooner",
                    units::round(time)
                ),
                Some(&format!("{} 60s", sides[0])),
            ));
        }
    }
}

fn errors(section: &Section, all: &mut Vec<Advice>) {
    for line in section.lines.iter().filter(|line| line.certain) {
        let server = line.begins(&["server"]) || line.begins(&["default-server"]);
        let observed =
            line.has("observe") || section.all(&["default-server"]).any(|line| line.has("observe"));
        if server && line.has("on-error") && !observed {
            all.push(advice(
                "on-error-unobserved",
                Severity::Fix,
                &line.place,
                section.title(),
                "`on-error` acts on errors of the traffic that is observed, and nothing is: without `observe layer4` or `observe layer7` it never happens",
                Some("observe layer7"),
            ));
        }
    }
}

/// HAProxy 2.6 to 2.8 look for it in the frontend alone.
fn aborts(section: &Section, subject: &Subject<'_>, all: &mut Vec<Advice>) {
    let old = subject.version.is_some_and(|version| version < (2, 9));
    if !old || &*section.keyword != "backend" {
        return;
    }
    for line in section.all(&["option", "abortonclose"]) {
        all.push(advice(
            "abortonclose-unheard",
            Severity::Consider,
            &line.place,
            section.title(),
            "this version heeds `option abortonclose` in a backend only while a request is queued or connecting: once it was sent, a client that has closed keeps its connection in CLOSE_WAIT until the server answers",
            Some("option abortonclose (in the frontend, or in `defaults`)"),
        ));
    }
}

fn stopping(section: &Section, all: &mut Vec<Advice>) {
    if section.lines.iter().any(|line| line.begins(&["hard-stop-after"])) {
        return;
    }
    all.push(advice(
        "hard-stop-after-missing",
        Severity::Note,
        &section.place,
        section.title(),
        "without `hard-stop-after` the old worker lives on after a reload for as long as any of its connections does, with its old timeouts",
        Some("hard-stop-after 30m"),
    ));
}

/// Long-lived connections stay on a server that is down, unless they are ended.
fn marked_down(section: &Section, subject: &Subject<'_>, all: &mut Vec<Advice>) {
    const LONG: Duration = Duration::from_secs(300);
    let proxies = subject.configuration.proxies.iter();
    let Some(proxy) = proxies.into_iter().find(|proxy| proxy.place == section.place) else {
        return;
    };
    let long = |kind: TimeoutKind| {
        let set = proxy.timeouts.get(&kind);
        set.is_some_and(|set| match set.value {
            Limit::Never => true,
            Limit::After(length) => length > LONG,
        })
    };
    if !(long(TimeoutKind::Tunnel) || proxy.mode.value == ProxyMode::Tcp && long(TimeoutKind::Server)) {
        return;
    }
    let defaults = subject.text.effective(section, &["default-server"]);
    let inherited = defaults.is_some_and(|line| line.has("on-marked-down"));
    let checked = defaults.is_some_and(|line| line.has("check"));
    let bare = |line: &&Statement| (line.has("check") || checked) && !line.has("on-marked-down");
    if let Some(line) = section.all(&["server"]).find(bare).filter(|_| !inherited) {
        all.push(advice(
            "on-marked-down-missing",
            Severity::Consider,
            &line.place,
            section.title(),
            "its connections may be long, and stay on a server that its checks have found down: they end by their timeouts alone",
            Some("on-marked-down shutdown-sessions"),
        ));
    }
}

/// A client with a cookie for a server that is down.
fn redispatch(section: &Section, text: &Text, all: &mut Vec<Advice>) {
    let several = section.all(&["server"]).count() > 1;
    let sticky = text.effective(section, &["cookie"]);
    let has = text.option(section, "redispatch").is_some();
    if let Some(line) = sticky.filter(|_| several && !has) {
        all.push(advice(
            "redispatch-missing",
            Severity::Consider,
            &line.place,
            section.title(),
            "a client whose cookie names a server that can't be reached gets a 503 until that is back: with `option redispatch` its last retry goes to another one",
            Some("option redispatch"),
        ));
    }
}
