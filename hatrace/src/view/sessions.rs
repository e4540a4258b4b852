//! `sessions`: HAProxy's sessions with the kernel's truth beside them; `--servers`: its books beside the kernel's count.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use hatrace_core::snapshot::{SessionRow, SessionSock, Snapshot};
use hatrace_core::stream::{Expiry, StreamEnd};

use super::columns::{Align, Cell, Table};
use super::page::Page;
use super::paint::Ink;
use super::report::{percent, proportional};
use super::{summary, units, words};
use crate::port::Context;

mod services;

pub use services::{proof, trend};

/// The guides' own buckets: up to a minute, five, ten, and beyond.
pub const BUCKETS: [(&str, u64, Option<u64>); 4] = [
    ("0..1m", 0, Some(60)),
    ("1m..5m", 60, Some(300)),
    ("5m..10m", 300, Some(600)),
    ("≥10m", 600, None),
];
/// How many frontends, backends, servers and peers are listed.
const GROUPS: usize = 10;
/// The longest bar.
const BAR: usize = 40;

/// Whether a session is stuck: one of its sockets has lingered for the minimum.
#[must_use]
pub fn stuck(row: &SessionRow, min: Duration) -> bool {
    row.sockets().any(|sock| {
        sock.age
            .is_some_and(|age| age.at_most.unwrap_or(age.at_least) >= min)
    })
}

/// The bucket of an age.
#[must_use]
pub fn bucket(age: Duration) -> usize {
    let within = |&(_, low, high): &(&str, u64, Option<u64>)| {
        age.as_secs() >= low && high.is_none_or(|high| age.as_secs() < high)
    };
    BUCKETS.iter().position(within).unwrap_or(0)
}

/// The whole view.
///
/// # Errors
/// The writer's.
pub fn write(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    context: &Context,
    page: &Page,
    servers: bool,
) -> io::Result<()> {
    writeln!(out, "{}", page.paint.dab(Ink::Faint, &words::who(context)))?;
    let rows = page.selection.sessions(snapshot);
    let marked = rows.iter().filter(|row| stuck(row, context.min)).count();
    let mut line = format!(
        "{} session{}, {marked} stuck: a socket of theirs has lingered for {} or more",
        rows.len(),
        if rows.len() == 1 { "" } else { "s" },
        units::round(context.min)
    );
    if !page.selection.is_everything() {
        line.push_str(&format!(" [{}]", page.selection));
    }
    writeln!(out, "{}", page.paint.dab(Ink::Head, &line))?;
    if servers {
        writeln!(out)?;
        services::write(out, snapshot, page)?;
    }
    if !rows.is_empty() {
        writeln!(out)?;
        ages(out, &rows, context, page)?;
        groups(out, &rows, context, page)?;
        list(out, &rows, context, page)?;
    }
    writeln!(out)?;
    summary::asked(out, snapshot, page)?;
    summary::notices(out, snapshot, page)
}

/// What HAProxy's `age=` is the age of.
fn age_of(context: &Context) -> &'static str {
    let version = context.haproxy_version.as_deref().unwrap_or("");
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= (2, 9) => "since the request began",
        (Some(_), Some(_)) => "since the connection was accepted",
        _ => "by HAProxy's own account",
    }
}

fn ages(out: &mut dyn Write, rows: &[&SessionRow], context: &Context, page: &Page) -> io::Result<()> {
    let mut counts = [(0u64, 0u64); BUCKETS.len()];
    for row in rows {
        let Some(age) = row.stream.age else { continue };
        if let Some(count) = counts.get_mut(bucket(age)) {
            count.0 += 1;
            count.1 += u64::from(stuck(row, context.min));
        }
    }
    let head = format!("Ages ({}):", age_of(context));
    writeln!(out, "{}", page.paint.dab(Ink::Head, &head))?;
    let most = counts.iter().map(|(all, _)| *all).max().unwrap_or(0);
    let total: u64 = counts.iter().map(|(all, _)| *all).sum();
    for ((name, ..), (all, marked)) in BUCKETS.iter().zip(counts) {
        let bar = proportional(all, most, BAR);
        let open = proportional(marked, most, BAR).min(bar);
        let line = format!(
            "  {name:>8} {all:>7} {:>6} |{}",
            percent(all, total),
            "█".repeat(bar - open)
        );
        let rest = "▒".repeat(open);
        let note = if marked > 0 {
            format!(" {marked} stuck")
        } else {
            String::new()
        };
        writeln!(out, "{line}{}{note}", page.paint.dab(Ink::Warn, &rest))?;
    }
    Ok(())
}

/// Sessions of one frontend, backend, server or peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its sessions.
    pub sessions: u64,
    /// Those that are stuck.
    pub stuck: u64,
    /// The age of the oldest, by HAProxy's account.
    pub oldest: Option<Duration>,
}

/// What sessions are grouped by.
pub const GROUPINGS: [&str; 4] = ["frontend", "backend", "server", "peer"];

/// The groups of one kind, those with the most stuck sessions first, then the largest.
#[must_use]
pub fn grouped(rows: &[&SessionRow], by: &str, min: Duration) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for row in rows {
        let stream = &row.stream;
        let name = match by {
            "frontend" => stream.frontend.as_deref().map(str::to_owned),
            "backend" => stream.backend.as_deref().map(str::to_owned),
            "server" => match (&stream.backend, &stream.server) {
                (Some(backend), Some(server)) => Some(format!("{backend}/{server}")),
                _ => None,
            },
            _ => row.front.map(|front| front.endpoints.peer.ip().to_string()),
        };
        let Some(name) = name else { continue };
        let group = groups.entry(name.clone()).or_insert(Group {
            name,
            sessions: 0,
            stuck: 0,
            oldest: None,
        });
        group.sessions += 1;
        group.stuck += u64::from(stuck(row, min));
        group.oldest = group.oldest.max(stream.age);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse((group.stuck, group.sessions)));
    groups
}

fn groups(out: &mut dyn Write, rows: &[&SessionRow], context: &Context, page: &Page) -> io::Result<()> {
    for by in GROUPINGS {
        let groups = grouped(rows, by, context.min);
        if groups.is_empty() {
            continue;
        }
        let mut table = Table::new(&[
            ("SESSIONS", Align::Right),
            ("STUCK", Align::Right),
            ("OLDEST", Align::Right),
            ("NAME", Align::Left),
        ]);
        for group in groups.iter().take(GROUPS) {
            let ink = if group.stuck > 0 { Ink::Warn } else { Ink::Plain };
            table.push(vec![
                Cell::new(group.sessions),
                Cell::inked(ink, group.stuck),
                Cell::known(group.oldest.map(units::round)),
                Cell::new(words::clean(&group.name)),
            ]);
        }
        let more = groups.len().saturating_sub(GROUPS);
        let rest = if more > 0 {
            format!(", {GROUPS} of {}", groups.len())
        } else {
            String::new()
        };
        writeln!(out)?;
        writeln!(out, "{}", page.paint.dab(Ink::Head, &format!("By {by}{rest}:")))?;
        table.write(out, page.paint)?;
    }
    Ok(())
}

fn list(out: &mut dyn Write, rows: &[&SessionRow], context: &Context, page: &Page) -> io::Result<()> {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("SESSION", Left),
        ("AGE", Right),
        ("STUCK", Left),
        ("FRONTEND", Left),
        ("BACKEND/SERVER", Left),
        ("CLIENT", Left),
        ("FRONT", Left),
        ("BELIEVES", Left),
        ("BACK", Left),
        ("BELIEVES", Left),
    ]);
    for row in rows.iter().take(page.rows) {
        let stream = &row.stream;
        let marked = stuck(row, context.min);
        let server = match (&stream.backend, &stream.server) {
            (None, _) => "-".to_owned(),
            (Some(backend), None) => words::clean(backend),
            (Some(backend), Some(server)) => words::clean(&format!("{backend}/{server}")),
        };
        let peer = row.front.map(|front| front.endpoints.peer).or(stream.source);
        table.push_on(
            row.host.as_deref(),
            vec![
                Cell::new(stream.ptr),
                Cell::known(stream.age.map(units::round)),
                Cell::inked(Ink::Bad, if marked { "stuck" } else { "" }),
                Cell::known(stream.frontend.as_deref().map(words::clean)),
                Cell::new(server),
                Cell::known(peer),
                Cell::new(sock(row.front.as_ref())),
                Cell::new(believes(&stream.front)),
                Cell::new(sock(row.back.as_ref())),
                Cell::new(believes(&stream.back)),
            ],
        );
    }
    let head = if rows.len() > page.rows {
        format!(
            "The {} oldest of {} (-n all lists all); what the kernel has, what HAProxy believes:",
            page.rows,
            rows.len()
        )
    } else {
        "Oldest first; what the kernel has, what HAProxy believes:".to_owned()
    };
    writeln!(out)?;
    writeln!(out, "{}", page.paint.dab(Ink::Head, &head))?;
    table.write(out, page.paint)?;
    writeln!(
        out,
        "  eof: HAProxy has read the FIN; shut: HAProxy has sent its own; rex, wex: when it gives up waiting to read, to write"
    )
}

/// `FIN_WAIT2:3h02m`, `ESTABLISHED`, `-`.
fn sock(sock: Option<&SessionSock>) -> String {
    match sock {
        None => "-".to_owned(),
        Some(sock) => match sock.age {
            Some(age) => format!("{}:{}", sock.state, units::age_cell(age)),
            None => sock.state.to_string(),
        },
    }
}

/// `eof+shut,rex=never,wex=3s`: flags, then the timers. Only of a side that has a socket, or waits for one.
fn believes(end: &StreamEnd) -> String {
    let mut parts: Vec<String> = Vec::new();
    match (end.eof_read, end.shut_done) {
        (Some(true), Some(true)) => parts.push("eof+shut".to_owned()),
        (Some(true), _) => parts.push("eof".to_owned()),
        (_, Some(true)) => parts.push("shut".to_owned()),
        _ => {}
    }
    if end.state == hatrace_core::stream::EndState::Queued {
        parts.push("queued".to_owned());
    }
    if end.fd.is_some() {
        for (name, timer) in [("rex", end.read_expires), ("wex", end.write_expires)] {
            match timer {
                Expiry::Unknown => {}
                Expiry::Never => parts.push(format!("{name}=never")),
                Expiry::Past => parts.push(format!("{name}=past")),
                Expiry::In(left) => parts.push(format!("{name}={}", units::round(left))),
            }
        }
    }
    parts.join(",")
}

#[cfg(test)]
mod tests;
