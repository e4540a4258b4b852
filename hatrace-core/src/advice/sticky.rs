//! Sessions that should stay on their server, and don't: cookies, addresses, stick-tables (configuration manual: `cookie`, `balance source`,
//! `stick-table`).

use super::{Advice, Section, Severity, Statement, Subject, Text, advice};
use crate::config::ProxyMode;

/// What of it can't work, or not for long.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Advice> {
    let mut all = Vec::new();
    for (section, kind) in subject.text.proxies() {
        if kind.connects() && section.all(&["server"]).count() > 1 {
            let cookie = subject.text.effective(section, &["cookie"]);
            values(section, subject.text, cookie, &mut all);
            if let Some(cookie) = cookie {
                inserted(section, cookie, &mut all);
                hidden(subject, cookie, section, &mut all);
            }
            addresses(section, subject, cookie, &mut all);
        }
        tables(section, subject.text, &mut all);
    }
    all
}

/// The servers' values, and whether anybody reads them.
fn values(section: &Section, text: &Text, cookie: Option<&Statement>, all: &mut Vec<Advice>) {
    let servers: Vec<&Statement> = section.all(&["server"]).collect();
    let value = |line: &Statement| line.after("cookie").map(str::to_owned);
    let with: Vec<&&Statement> = servers.iter().filter(|line| value(line).is_some()).collect();
    let dynamic = cookie.is_some_and(|line| line.has("dynamic"));
    match (cookie, with.first()) {
        (Some(line), None) if !dynamic => all.push(advice(
            "cookie-without-values",
            Severity::Fix,
            &line.place,
            section.title(),
            "a cookie is to name the server, and no server has a value for it: nobody stays where he was",
            Some("server NAME ADDRESS cookie VALUE (on each server line)"),
        )),
        (None, Some(first)) => all.push(advice(
            "cookie-values-unused",
            Severity::Fix,
            &first.place,
            section.title(),
            "its servers have cookie values, and no `cookie` line says what cookie they are of: they are never set nor read",
            Some("cookie SERVERID insert indirect nocache"),
        )),
        (Some(_), Some(_)) if !dynamic => {
            let backup = |line: &Statement| line.has("backup");
            for line in servers.iter().filter(|line| value(line).is_none() && !backup(line)) {
                all.push(advice(
                    "cookie-value-missing",
                    Severity::Fix,
                    &line.place,
                    section.title(),
                    "the other servers have cookie values, this one has none: whoever is sent to it gets no cookie, and goes elsewhere with the next request",
                    Some("cookie VALUE"),
                ));
            }
        }
        _ => {}
    }
    let mut seen: Vec<(String, u32)> = Vec::new();
    for line in with {
        let Some(value) = value(line) else { continue };
        if let Some((_, at)) = seen.iter().find(|(known, _)| *known == value) {
            all.push(advice(
                "cookie-value-twice",
                Severity::Fix,
                &line.place,
                section.title(),
                format!("the cookie value `{value}` is that of the server at line {at} too: whoever has it is sent to that one"),
                None,
            ));
        }
        seen.push((value, line.place.line));
    }
    let _ = text;
}

fn inserted(section: &Section, cookie: &Statement, all: &mut Vec<Advice>) {
    if !cookie.has("insert") {
        return;
    }
    let name = cookie.words.get(1).map_or("SERVERID", String::as_str);
    let mut lacks = |word: &str, rule, severity, why: &str| {
        if !cookie.has(word) {
            all.push(advice(
                rule,
                severity,
                &cookie.place,
                section.title(),
                why,
                Some(&format!("cookie {name} insert indirect nocache")),
            ));
        }
    };
    if !cookie.has("preserve") {
        lacks(
            "indirect",
            "cookie-not-indirect",
            Severity::Consider,
            "without `indirect` HAProxy's cookie is passed on to the server, and set again with every answer",
        );
    }
    lacks(
        "nocache",
        "cookie-cacheable",
        Severity::Consider,
        "without `nocache` a cache between the client and HAProxy may keep an answer together with its cookie, and give both to everybody",
    );
    if !cookie.has("maxidle") && !cookie.has("maxlife") {
        all.push(advice(
            "cookie-endless",
            Severity::Note,
            &cookie.place,
            section.title(),
            "without `maxidle` or `maxlife` a client stays on its server for as long as its browser keeps the cookie: servers that were added since get no old clients",
            Some(&format!("cookie {name} insert indirect nocache maxidle 30m maxlife 8h")),
        ));
    }
}

/// By address, all clients behind one balancer are one.
fn addresses(section: &Section, subject: &Subject<'_>, cookie: Option<&Statement>, all: &mut Vec<Advice>) {
    let Some(balance) = subject.text.effective(section, &["balance"]) else {
        return;
    };
    let by_address = balance.begins(&["balance", "source"]);
    let hashed = by_address
        || balance.begins(&["balance", "uri"])
        || balance.begins(&["balance", "url_param"])
        || balance.begins(&["balance", "hash"]);
    let http = subject
        .configuration
        .proxies
        .iter()
        .any(|proxy| proxy.place == section.place && proxy.mode.value == ProxyMode::Http);
    match cookie {
        Some(cookie) if hashed => all.push(advice(
            "hash-beside-cookie",
            Severity::Consider,
            &balance.place,
            section.title(),
            format!("clients stay by their cookie ({}), so hashing decides only where they begin: unevenly, and by address all those behind one balancer on the same server", cookie.place),
            Some("balance leastconn"),
        )),
        None if by_address && http => all.push(advice(
            "source-instead-of-cookie",
            Severity::Consider,
            &balance.place,
            section.title(),
            "by address all clients behind one balancer or NAT are one, and go to the same server; a client whose address changes loses its session",
            Some("cookie SERVERID insert indirect nocache (and a value on each server line)"),
        )),
        _ => {}
    }
}

fn tables(section: &Section, text: &Text, all: &mut Vec<Advice>) {
    let sticks = section
        .lines
        .iter()
        .any(|line| line.certain && line.begins(&["stick"]));
    for line in section.all(&["stick-table"]) {
        if !line.has("expire") {
            all.push(advice(
                "stick-table-endless",
                Severity::Fix,
                &line.place,
                section.title(),
                "without `expire` its entries stay until it is full, and then the oldest go, whoever they are of",
                Some("stick-table ... expire 30m"),
            ));
        }
        if sticks && !line.has("peers") && text.of("peers").next().is_none() {
            all.push(advice(
                "stick-table-alone",
                Severity::Consider,
                &line.place,
                section.title(),
                "without `peers` the table is empty after each reload, and another HAProxy has none of it: everybody loses his server",
                Some("peers NAME (a section with this host), and `stick-table ... peers NAME`"),
            ));
        }
    }
}

/// The cookie flags are the third and fourth letter of the termination state.
fn hidden(subject: &Subject<'_>, cookie: &Statement, section: &Section, all: &mut Vec<Advice>) {
    for other in &subject.text.sections {
        for line in other.all(&["log-format"]) {
            let format = line.words.get(1).map_or("", String::as_str);
            // `%tsc` has the flags, `%ts` hasn't.
            let shows = format.contains("%tsc")
                || format.contains("]tsc")
                || format.contains("txn.sess_term_state")
                || format.contains("%[");
            let known = all.iter().any(|known| known.place.as_ref() == Some(&line.place));
            if !shows && !known {
                all.push(advice(
                    "log-hides-cookies",
                    Severity::Consider,
                    &line.place,
                    other.title(),
                    format!("{} keeps clients by cookie ({}), and this log-format hides what becomes of it: `%tsc` shows the cookie flags, `%ts` doesn't", section.title(), cookie.place),
                    Some(&format!("log-format {}", if format.contains("%ts") { format.replace("%ts", "%tsc") } else { "... %tsc ...".to_owned() })),
                ));
            }
        }
    }
}
