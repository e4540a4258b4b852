//! The log held against the kernel's evidence.

use std::io::{self, Write};

use hatrace_core::log::{Held, Saw};
use serde_json::{Value, json};

use super::{moment, share};
use crate::view::columns::{Align, Cell, Table};
use crate::view::page::Page;
use crate::view::paint::Ink;
use crate::view::{units, words};

/// What the kernel was watched with, and what came of holding the log against it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kernel {
    /// On which host.
    pub host: String,
    /// Connections that it tells of.
    pub stories: u64,
    /// Of every connection; else only of those that lingered.
    pub whole: bool,
    /// Records that there was no room for: of as many connections less is known, or nothing.
    pub lost: u64,
    /// What came of it.
    pub held: Held,
}

pub(super) fn write(out: &mut dyn Write, kernel: &Kernel, page: &Page) -> io::Result<()> {
    let held = &kernel.held;
    writeln!(out)?;
    let head = format!(
        "the kernel, on {}: {} of the {} lines of that time are joined to their client's socket ({}), {} to their server's",
        words::clean(&kernel.host),
        held.joined,
        held.lines,
        share(held.joined, held.lines),
        held.with_server
    );
    writeln!(out, "{}", page.paint.dab(Ink::Head, &head))?;
    unseen(out, kernel, page)?;
    if held.stories.is_empty() {
        return Ok(());
    }
    findings(out, held, page)?;
    writeln!(out, "  {} say the same", held.agree)?;
    stories(held, page).write(out, page.paint)
}

/// What could not be seen, and why.
fn unseen(out: &mut dyn Write, kernel: &Kernel, page: &Page) -> io::Result<()> {
    let held = &kernel.held;
    let mut say = |text: &str| writeln!(out, "  {}", page.paint.dab(Ink::Warn, text));
    if !kernel.whole {
        say(
            "the recording is of connections that lingered alone, without their beginnings: hatrace record -a is of all",
        )?;
    }
    if kernel.lost > 0 {
        say(&format!(
            "{} records found no room in the ring or the table: of as many connections less is known, or nothing",
            kernel.lost
        ))?;
    }
    if held.with_server == 0 && held.joined > 0 {
        say(
            "no server's socket is known: that takes %bi:%bp and %si:%sp in the format, or HAProxy's configuration and few connections",
        )?;
    }
    if held.unknown > 0 {
        say(&format!(
            "{} lines are of clients of which no socket was seen: another process's, or begun before",
            held.unknown
        ))?;
    }
    if held.disguised > 0 {
        say(&format!(
            "{} lines more have an address of the client's that is not its socket's (PROXY, set-src): they are joined by their server's alone, \
             where the format has %bi:%bp and %si:%sp; under set-src %[fc_src]:%[fc_src_port] has the socket's",
            held.disguised
        ))?;
    }
    Ok(())
}

/// Where the two stories can't both be true, and what was there long after its line said that it was over.
fn findings(out: &mut dyn Write, held: &Held, page: &Page) -> io::Result<()> {
    for (code, count) in &held.disagree {
        let line =
            format!("finding: of {count} lines with {code} the kernel saw what the code doesn't allow");
        writeln!(out, "  {}", page.paint.dab(Ink::Bad, &line))?;
        let some = held.disagreements.iter().filter(|one| one.code == *code);
        for one in some.take(page.rows.min(5)) {
            let at = moment(one.ended + held.zone);
            writeln!(out, "    {at} {} {code}: {}", one.client, one.kernel)?;
        }
    }
    for ((code, side), (count, longest)) in &held.lingered {
        let line = format!(
            "finding: {count} {side}'s sockets outlived their line, {code}, by up to {}",
            units::words(*longest)
        );
        writeln!(out, "  {}", page.paint.dab(Ink::Warn, &line))?;
    }
    if held.open > 0 {
        writeln!(out, "    {} of them are there still", held.open)?;
    }
    Ok(())
}

/// The two stories side by side.
fn stories(held: &Held, page: &Page) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("CODE", Left),
        ("LINES", Right),
        ("THE CLIENT'S SOCKET", Left),
        ("THE SERVER'S SOCKET", Left),
        ("ONE OF THEM", Left),
    ]);
    let mut all: Vec<_> = held.stories.iter().collect();
    all.sort_by_key(|((code, _), together)| (std::cmp::Reverse((code.severity(), together.count)), *code));
    for ((code, (client, server)), together) in all.into_iter().take(page.rows) {
        let (example, ended) = together.example;
        table.push(vec![
            Cell::new(code),
            Cell::new(together.count),
            Cell::known(client.map(Saw::words)),
            Cell::known(server.map(Saw::words)),
            Cell::new(format!("{} {example}", moment(ended + held.zone))),
        ]);
    }
    table
}

pub(super) fn json(kernel: &Kernel) -> Value {
    let held = &kernel.held;
    let stories = held.stories.iter().map(|((code, (client, server)), together)| {
        let (example, ended) = together.example;
        json!({
            "code": code.to_string(),
            "client": client.map(Saw::words),
            "server": server.map(Saw::words),
            "count": together.count,
            "example": {"client": example.to_string(), "ended": moment(ended + held.zone)},
        })
    });
    let disagreements = held.disagreements.iter().map(|one| {
        json!({
            "client": one.client.to_string(),
            "ended": moment(one.ended + held.zone),
            "code": one.code.to_string(),
            "kernel": one.kernel,
        })
    });
    json!({
        "host": kernel.host,
        "stories": kernel.stories,
        "whole": kernel.whole,
        "lost": kernel.lost,
        "lines": held.lines,
        "unknown": held.unknown,
        "disguised": held.disguised,
        "joined": held.joined,
        "joined_to_server": held.with_server,
        "agree": held.agree,
        "zone_s": held.zone / 1000,
        "disagree": held.disagree.iter().map(|(code, count)| json!({"code": code.to_string(), "count": count})).collect::<Vec<_>>(),
        "disagreements": disagreements.collect::<Vec<_>>(),
        "side_by_side": stories.collect::<Vec<_>>(),
        "lingered": held.lingered.iter().map(|((code, side), (count, longest))| json!({
            "code": code.to_string(),
            "side": side.to_string(),
            "count": count,
            "longest_s": units::seconds(*longest),
        })).collect::<Vec<_>>(),
        "still_there": held.open,
    })
}

/// The same as findings, for whoever reads nothing else.
pub(super) fn findings_json(kernel: &Kernel) -> Vec<Value> {
    let held = &kernel.held;
    let disagree = held.disagree.iter().map(|(code, count)| {
        let because = held.disagreements.iter().filter(|one| one.code == *code);
        json!({
            "finding": "log-contradicts-kernel",
            "host": kernel.host,
            "code": code.to_string(),
            "count": count,
            "because": because.take(5).map(|one| format!("{}: {}", one.client, one.kernel)).collect::<Vec<_>>(),
        })
    });
    let outlive = held.lingered.iter().map(|((code, side), (count, longest))| {
        json!({
            "finding": "socket-outlives-line",
            "host": kernel.host,
            "code": code.to_string(),
            "count": count,
            "because": [format!(
                "{} sockets of the {side} side were closing when their line was written, and there for up to {} more",
                count,
                units::words(*longest)
            )],
        })
    });
    disagree.chain(outlive).collect()
}
