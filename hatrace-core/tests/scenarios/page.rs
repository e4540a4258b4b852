//! Everything the engine says, as lines.

use std::time::Duration;

use hatrace_core::clock::{Clock, ClockSource};
use hatrace_core::event::{Event, Next};
use hatrace_core::ids::Cookie;
use hatrace_core::naming::Naming;
use hatrace_core::snapshot::{Dwell, Lingering, Snapshot};
use hatrace_core::time::{Age, AgeBound, Mono};
use hatrace_core::verdicts::Finding;

use crate::line::ORIGIN;

/// Totals, dwell times, what lingers, what happened since the last page, what was not seen.
pub fn page(names: &[String], snapshot: &Snapshot, events: &[Event]) -> Vec<String> {
    let mut lines = vec![totals(snapshot)];
    lines.extend(snapshot.dwell.iter().map(dwell));
    lines.extend(
        snapshot
            .lingering
            .iter()
            .map(|row| format!("now   {}", lingering(names, row))),
    );
    lines.extend(snapshot.findings.iter().map(|found| finding(names, found)));
    lines.extend(events.iter().map(|happened| event(names, happened)));
    for notice in &snapshot.notices {
        lines.push(format!("said  {} {}", notice.code, notice.count));
    }
    lines
}

fn finding(names: &[String], finding: &Finding) -> String {
    let mut line = format!(
        "finding {} {}: {}, {}",
        finding.verdict,
        finding.confidence.name(),
        finding.whom,
        finding.responsible.name()
    );
    let places = [&finding.proxy, &finding.server].into_iter().flatten();
    for place in places {
        line.push_str(&format!(", {place}"));
    }
    if let Some(state) = finding.state {
        line.push_str(&format!(", {} {state}", finding.side));
    }
    line.push_str(&format!(
        ", open {}, pinned {}, ended {}",
        finding.open, finding.pinned, finding.ended
    ));
    let sockets: Vec<&str> = finding
        .sockets
        .iter()
        .map(|cookie| name(names, *cookie))
        .collect();
    line.push_str(&format!(": {}", sockets.join(" ")));
    for fix in &finding.fix {
        line.push_str(&format!(" | fix {fix}"));
    }
    line
}

fn totals(snapshot: &Snapshot) -> String {
    let totals = &snapshot.totals;
    let mut line = format!("total sockets {}", totals.sockets);
    let figures = [
        ("adopted", totals.adopted),
        ("seen", totals.seen.total()),
        ("counted", totals.counted.total()),
        ("delivered", totals.delivered.total()),
        ("open", totals.open.total()),
        ("lost", totals.lost),
        ("evicted", totals.evicted),
    ];
    for (name, figure) in figures.into_iter().filter(|(_, figure)| *figure > 0) {
        line.push_str(&format!(", {name} {figure}"));
    }
    for pid in &snapshot.ended_processes {
        line.push_str(&format!(", process {pid} ended"));
    }
    line
}

fn dwell(row: &Dwell) -> String {
    let mut line = format!(
        "dwell {} {}: ended {}, open {}",
        row.side, row.state, row.ended, row.open
    );
    if row.between_sweeps > 0 {
        line.push_str(&format!(", between sweeps {}", row.between_sweeps));
    }
    if row.ended + row.open > 0 {
        line.push_str(&format!(", max {}", seconds(row.max)));
    }
    for spike in &row.spikes {
        let names: Vec<_> = spike.clocks.iter().filter_map(|(name, _)| name.name()).collect();
        let (count, at) = (spike.count, seconds(spike.at));
        line.push_str(&format!(", {count} at {} {at}", names.join(" or ")));
    }
    line
}

fn lingering(names: &[String], row: &Lingering) -> String {
    let mut line = format!(
        "{} {} {} {} {}, first fin {}",
        name(names, row.cookie),
        row.side,
        row.state,
        row.holder,
        age(row.age),
        row.first_fin.name()
    );
    let mut say = |what: String| {
        line.push_str(", ");
        line.push_str(&what);
    };
    if let Some(pid) = row.pid {
        say(format!("pid {pid}"));
    }
    if let Some(fd) = row.fd {
        say(format!("fd {}", fd.0));
    }
    if row.endpoints.is_none() {
        say("peer unknown".into());
    }
    for (what, bytes) in [("unread", row.unread), ("unacked", row.unacked)] {
        if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
            say(format!("{what} {bytes}"));
        }
    }
    if row.retransmits > 0 {
        say(format!("retransmits {}", row.retransmits));
    }
    if row.adopted {
        say("adopted".into());
    }
    if row.end_polled {
        say("end polled".into());
    }
    if let Some(told) = clock(&row.clock) {
        say(told);
    }
    for told in naming(names, &row.naming) {
        say(told);
    }
    line
}

fn clock(clock: &Clock) -> Option<String> {
    let mut told = format!("clock {}", clock.name.name()?);
    if let ClockSource::Line(place) = &clock.source {
        told.push_str(&format!(" ({place})"));
    }
    if let Some(left) = clock.fires_in {
        told.push_str(&format!(" in {}", seconds(left)));
    }
    if !clock.certain {
        told.push_str(" unsure");
    }
    Some(told)
}

fn naming(names: &[String], naming: &Naming) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(session) = &naming.session {
        let mut line = format!("session {} {}", session.ptr, session.tie.name());
        if session.facts.streams.len() > 1 {
            line.push_str(&format!(" of {} streams", session.facts.streams.len()));
        }
        if let Some(called) = session.facts.called {
            line.push_str(&format!(" called {called}"));
        }
        told.push(line);
    }
    if let Some(why) = naming.without {
        told.push(format!("no session: {}", why.code()));
    }
    if let Some(proxy) = &naming.proxy {
        let server = naming.server.as_deref().unwrap_or("-");
        told.push(format!("proxy {proxy} server {server}"));
    }
    if let Some(pair) = &naming.pair {
        told.push(format!("pair {} {}", name(names, pair.cookie), pair.state));
    }
    told
}

fn event(names: &[String], event: &Event) -> String {
    match event {
        Event::Lingers { at, row } => format!("event {} lingers {}", moment(*at), lingering(names, row)),
        Event::Left { at, row, next } => {
            let next = match next {
                Next::State(state) => state.name().to_owned(),
                other => format!("{other:?}"),
            };
            format!("event {} left {} -> {next}", moment(*at), lingering(names, row))
        }
        Event::Transition { at, transition, held } => format!(
            "event {} transition {} {} > {}{}",
            moment(*at),
            transition.cookie.map_or("?", |cookie| name(names, cookie)),
            transition.from,
            transition.to,
            held.map_or(String::new(), |held| format!(" after {}", age(held)))
        ),
        Event::Process { at, change } => format!("event {} {change:?}", moment(*at)),
    }
}

fn name(names: &[String], cookie: Cookie) -> &str {
    usize::try_from(cookie.0 - 1)
        .ok()
        .and_then(|index| names.get(index))
        .map_or("?", String::as_str)
}

fn moment(at: Mono) -> String {
    seconds(at.since(ORIGIN))
}

fn age(age: Age) -> String {
    let at_least = seconds(age.at_least);
    let at_most = age.at_most.map(seconds);
    match (age.bound, at_most) {
        (AgeBound::Exact, _) => at_least,
        (bound, Some(at_most)) => format!("{} {at_least}..{at_most}", bound.as_str()),
        (bound, None) => format!("{} {at_least}", bound.as_str()),
    }
}

fn seconds(span: Duration) -> String {
    let text = format!("{:.6}", span.as_secs_f64());
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}
