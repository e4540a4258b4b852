//! The log held against the kernel's evidence.

use std::io::{self, Write};

use hatrace_core::log::Held;
use serde_json::{Value, json};

use super::{moment, share};
use crate::view::page::Page;
use crate::view::paint::Ink;
use crate::view::units;

/// What the kernel was watched with, and what came of holding the log against it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kernel {
    /// On which host.
    pub host: String,
    /// Ends of connections that it tells of.
    pub stories: u64,
    /// Of every connection; else only of those that lingered.
    pub whole: bool,
    /// What came of it.
    pub held: Held,
}

pub(super) fn write(out: &mut dyn Write, kernel: &Kernel, page: &Page) -> io::Result<()> {
    let held = &kernel.held;
    writeln!(out)?;
    let head = format!(
        "the kernel, on {}: {} of the {} lines of that time are joined to their client's socket ({}), {} to their server's",
        kernel.host,
        held.joined,
        held.lines,
        share(held.joined, held.lines),
        held.with_server
    );
    writeln!(out, "{}", page.paint.dab(Ink::Head, &head))?;
    if !kernel.whole {
        let text = "  the recording is of connections that lingered alone, without their beginnings: hatrace record -a is of all";
        writeln!(out, "{}", page.paint.dab(Ink::Warn, text))?;
    }
    if held.joined == 0 {
        return Ok(());
    }
    writeln!(out, "  {} say the same", held.agree)?;
    for (code, count) in &held.disagree {
        let line = format!("  {count} with {code} do not:");
        writeln!(out, "{}", page.paint.dab(Ink::Bad, &line))?;
        let some = held.disagreements.iter().filter(|one| one.code == *code);
        for one in some.take(page.rows.min(5)) {
            writeln!(
                out,
                "    {} {} {code}: {}",
                moment(one.ended + held.zone),
                one.client,
                one.kernel
            )?;
        }
    }
    for (code, (count, longest)) in &held.lingered {
        writeln!(
            out,
            "  {count} client's sockets lingered after their line said {code}, for up to {}",
            units::words(*longest)
        )?;
    }
    Ok(())
}

pub(super) fn json(kernel: &Kernel) -> Value {
    let held = &kernel.held;
    json!({
        "host": kernel.host,
        "stories": kernel.stories,
        "whole": kernel.whole,
        "lines": held.lines,
        "joined": held.joined,
        "joined_to_server": held.with_server,
        "agree": held.agree,
        "zone_s": held.zone / 1000,
        "disagree": held.disagree.iter().map(|(code, count)| json!({"code": code.to_string(), "count": count})).collect::<Vec<_>>(),
        "disagreements": held.disagreements.iter().map(|one| json!({
            "client": one.client.to_string(),
            "ended": moment(one.ended + held.zone),
            "code": one.code.to_string(),
            "kernel": one.kernel,
        })).collect::<Vec<_>>(),
        "lingered": held.lingered.iter().map(|(code, (count, longest))| json!({
            "code": code.to_string(),
            "count": count,
            "longest_s": units::seconds(*longest),
        })).collect::<Vec<_>>(),
    })
}
