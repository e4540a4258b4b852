//! `advise --what-if`: what lines that are supposed would have freed, and whom they would have cut.

use std::io::{self, Write};

use hatrace_core::stream::Name;
use hatrace_core::what_if::{Cut, Prediction};
use serde_json::{Value, json};

use super::page::Page;
use super::paint::Ink;
use super::{units, words};

/// Of one recording, or of now.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, host: Option<&Name>, told: &Prediction, page: &Page) -> io::Result<()> {
    let on = host.map_or_else(String::new, |host| format!("on {host}, "));
    for (line, ended) in &told.lines {
        let head = format!(
            "{on}with `{}`: {ended} connections ended by it",
            words::clean(&line.text)
        );
        writeln!(out, "{}", page.paint.dab(Ink::Head, &head))?;
    }
    writeln!(
        out,
        "freed    {} sockets sooner than they were: {} that waited for their peer's FIN (of {} seen), {} in CLOSE_WAIT on the other side of these{}",
        told.freed(),
        told.waiting,
        told.waits,
        told.others,
        match told.idle {
            0 => String::new(),
            idle => format!(", {idle} connections idle for longer than that"),
        }
    )?;
    writeln!(
        out,
        "held     {} at the same time at most, {} with it; {} at the end, {} with it",
        told.peak_then, told.peak_now, told.left_then, told.left_now
    )?;
    cuts(out, told, page)?;
    if told.longer > 0 {
        let text = format!(
            "longer   {} were ended by a timeout that would be longer: for how long these would have been held isn't known",
            told.longer
        );
        writeln!(out, "{}", page.paint.dab(Ink::Warn, &text))?;
    }
    if told.untold > 0 {
        let text = format!(
            "unknown  of {} it isn't known which timeout was in force: they are counted as they were",
            told.untold
        );
        writeln!(out, "{}", page.paint.dab(Ink::Warn, &text))?;
    }
    writeln!(
        out,
        "{}",
        page.paint.dab(
            Ink::Faint,
            "the kernel keeps each that HAProxy closes before its peer for tcp_fin_timeout more; it costs HAProxy nothing"
        )
    )
}

fn cuts(out: &mut dyn Write, told: &Prediction, page: &Page) -> io::Result<()> {
    if told.cut == 0 {
        let text = "cut      none that was at work: nothing came on any of them afterwards";
        writeln!(out, "{}", page.paint.dab(Ink::Good, text))?;
    } else {
        let text = format!(
            "cut      {} that were at work: the peer went on sending after a pause",
            told.cut
        );
        writeln!(out, "{}", page.paint.dab(Ink::Bad, &text))?;
        let shown = told.cuts.len().min(page.rows);
        for cut in told.cuts.iter().take(shown) {
            writeln!(out, "           {}", one(cut))?;
        }
        if told.cut > shown as u64 {
            writeln!(out, "           ... {} more", told.cut - shown as u64)?;
        }
    }
    if told.perhaps_cut > 0 {
        writeln!(
            out,
            "         {} more may have been: they paused for about as long, between two looks",
            told.perhaps_cut
        )?;
    }
    Ok(())
}

fn one(cut: &Cut) -> String {
    let peer = cut
        .endpoints
        .map_or_else(|| "an unknown peer".to_owned(), |ends| ends.peer.to_string());
    let proxy = cut.proxy.as_deref().map_or_else(String::new, |proxy| {
        format!(" ({} of {})", cut.side, words::clean(proxy))
    });
    format!("{peer}{proxy} after {}", units::words(cut.pause))
}

/// The same for programs.
#[must_use]
pub fn json(host: Option<&Name>, told: &Prediction) -> Value {
    json!({
        "host": host,
        "lines": told.lines.iter().map(|(line, ended)| json!({"line": line.text, "ended": ended})).collect::<Vec<_>>(),
        "waits": told.waits,
        "freed": told.freed(),
        "freed_waiting": told.waiting,
        "freed_other_sides": told.others,
        "freed_idle": told.idle,
        "held_peak": {"then": told.peak_then, "now": told.peak_now},
        "held_at_end": {"then": told.left_then, "now": told.left_now},
        "cut": told.cut,
        "cut_perhaps": told.perhaps_cut,
        "cuts": told.cuts.iter().map(|cut| json!({
            "side": cut.side.name(),
            "peer": cut.endpoints.map(|ends| ends.peer.to_string()),
            "proxy": cut.proxy,
            "pause_s": cut.pause.as_secs_f64(),
        })).collect::<Vec<_>>(),
        "held_longer": told.longer,
        "unknown": told.untold,
    })
}
