//! `report`: findings, dwell times drawn, the oldest sockets; last, one line for an incident channel.

use std::io::{self, Write};

use hatrace_core::snapshot::{Bucket, Dwell, Lingering, Percentiles, Snapshot};

use super::page::Page;
use super::paint::Ink;
use super::{findings, rows, summary, tally, units, words};
use crate::port::{Context, Mode};

/// How many culprits are told at length.
const FINDINGS: usize = 5;
/// How many kinds the last line names.
const KINDS: usize = 4;
/// The longest bar.
const BAR: usize = 40;
/// What stands beside a bar.
const BESIDE_BAR: usize = 40;

/// The whole report.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, snapshot: &Snapshot, context: &Context, page: &Page) -> io::Result<()> {
    let who = format!("{} · since {}", words::who(context), since(context, page));
    writeln!(out, "{}", page.paint.dab(Ink::Faint, &who))?;
    writeln!(
        out,
        "{}",
        page.paint.dab(Ink::Head, &summary::totals(snapshot, context))
    )?;
    if !page.selection.is_everything() {
        let finer = if page.selection.is_finer_than_dwell() {
            "; dwell times are of all peers and ages"
        } else {
            ""
        };
        writeln!(out, "only {}{finer}", page.selection)?;
    }
    if !page.selection.lingering(snapshot).is_empty() || !page.selection.findings(snapshot).is_empty() {
        writeln!(out)?;
        findings::write(out, snapshot, context, page, FINDINGS)?;
    }
    for dwell in page.selection.dwell(snapshot) {
        writeln!(out)?;
        histogram(out, dwell, page)?;
        summary::between_sweeps(out, std::iter::once(dwell), context, page)?;
    }
    let lingering = page.selection.lingering(snapshot);
    writeln!(out)?;
    if lingering.is_empty() {
        writeln!(out, "Nothing lingers for {} or more.", units::round(context.min))?;
    } else {
        oldest(out, &lingering, page)?;
    }
    if !snapshot.asking.is_empty() {
        writeln!(out)?;
        summary::asked(out, snapshot, page)?;
    }
    if !snapshot.notices.is_empty() || !snapshot.ended_processes.is_empty() {
        writeln!(out)?;
        summary::notices(out, snapshot, page)?;
    }
    writeln!(out)?;
    writeln!(out, "{}", incident(snapshot, context, page))
}

fn since(context: &Context, page: &Page) -> String {
    let start = context.started_at.to_zoned(page.zone.clone());
    start.strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// One row of dwell times: a sentence, then its histogram with ended and open spans apart.
fn histogram(out: &mut dyn Write, dwell: &Dwell, page: &Page) -> io::Result<()> {
    let Dwell { side, state, .. } = dwell;
    let mut line = format!("{state}, {side} side: {} ended, {} open", dwell.ended, dwell.open);
    if dwell.ended + dwell.open > 0 {
        line.push_str(&format!("; {}", percentiles(&all(dwell))));
    }
    writeln!(out, "{}", page.paint.dab(Ink::Head, &line))?;
    writeln!(out, "  {}", words::dwell_meaning(*state))?;
    if dwell.buckets.is_empty() {
        return Ok(());
    }
    let total = dwell
        .buckets
        .iter()
        .map(|bucket| bucket.ended + bucket.open)
        .sum::<u64>();
    let most = dwell
        .buckets
        .iter()
        .map(|bucket| bucket.ended + bucket.open)
        .max();
    let longest = page
        .width
        .map_or(BAR, |width| width.saturating_sub(BESIDE_BAR).clamp(8, BAR));
    let heads = format!("  {:>14} {:>7} {:>6} {:>6}", "HELD", "ENDED", "OPEN", "SHARE");
    writeln!(out, "{}", page.paint.dab(Ink::Faint, &heads))?;
    for bucket in &dwell.buckets {
        let count = bucket.ended + bucket.open;
        let bar = Bar::new(bucket, most.unwrap_or(0), longest);
        let line = format!(
            "  {:>14} {:>7} {:>6} {:>6} |{}",
            range(bucket),
            bucket.ended,
            bucket.open,
            percent(count, total),
            bar.ended,
        );
        writeln!(out, "{line}{}", page.paint.dab(Ink::Warn, &bar.open))?;
    }
    spikes(out, dwell, total, page)?;
    if dwell.open > 0 {
        writeln!(out, "  {:>38}█ ended  ▒ open, and getting older", "|")?;
    }
    if let (Some(ended), Some(open)) = (&dwell.ended_only, &dwell.open_only) {
        writeln!(out, "  ended: {}", percentiles(ended))?;
        writeln!(out, "  open:  {}, so far", percentiles(open))?;
    }
    Ok(())
}

/// Which clock ended those that ended at the same age.
fn spikes(out: &mut dyn Write, dwell: &Dwell, total: u64, page: &Page) -> io::Result<()> {
    for spike in &dwell.spikes {
        let line = format!(
            "  {:>14} {:>7} {:>13} | <- {}",
            units::round(spike.at),
            spike.count,
            percent(spike.count, total),
            super::clock::names(&spike.clocks)
        );
        writeln!(out, "{}", page.paint.dab(Ink::Head, &line))?;
    }
    Ok(())
}

const fn all(dwell: &Dwell) -> Percentiles {
    Percentiles {
        p50: dwell.p50,
        p90: dwell.p90,
        p99: dwell.p99,
        max: dwell.max,
    }
}

fn percentiles(of: &Percentiles) -> String {
    format!(
        "p50 {}, p90 {}, p99 {}, max {}",
        units::words(of.p50),
        units::words(of.p90),
        units::words(of.p99),
        units::words(of.max)
    )
}

/// `<100ms`, `100ms..1s`, `≥1h`.
fn range(bucket: &Bucket) -> String {
    match bucket.high {
        None => format!("≥{}", units::round(bucket.low)),
        Some(high) if bucket.low.is_zero() => format!("<{}", units::round(high)),
        Some(high) => format!("{}..{}", units::round(bucket.low), units::round(high)),
    }
}

/// A part of a whole, in percent with one place.
pub(super) fn percent(count: u64, total: u64) -> String {
    // In thousandths, rounded; a share that exists is never shown as nothing.
    let thousandths = (u128::from(count) * 2000 + u128::from(total)) / (u128::from(total).max(1) * 2);
    if count > 0 && thousandths == 0 {
        return "<0.1%".to_owned();
    }
    format!("{}.{}%", thousandths / 10, thousandths % 10)
}

/// Cells of a bar for `count` where `most` has `longest`. What exists is drawn.
pub(super) fn proportional(count: u64, most: u64, longest: usize) -> usize {
    let longest = u128::try_from(longest).unwrap_or(0);
    let cells = (u128::from(count) * longest).div_ceil(u128::from(most.max(1)));
    usize::try_from(cells).unwrap_or(0)
}

struct Bar {
    ended: String,
    open: String,
}

impl Bar {
    /// A bar as long, beside the longest, as its bucket is full beside the fullest. What exists is drawn: few stuck sockets
    /// among very many ended ones are what the reader looks for.
    fn new(bucket: &Bucket, most: u64, longest: usize) -> Self {
        let whole = proportional(bucket.ended + bucket.open, most, longest);
        let open = proportional(bucket.open, most, longest).min(whole);
        let ended = (whole - open).max(usize::from(bucket.ended > 0));
        Self {
            ended: "█".repeat(ended),
            open: "▒".repeat(open),
        }
    }
}

fn oldest(out: &mut dyn Write, lingering: &[&Lingering], page: &Page) -> io::Result<()> {
    let shown = lingering.len().min(page.rows);
    let which = if shown < lingering.len() {
        format!("the {shown} oldest (-n all lists all)")
    } else {
        "oldest first".to_owned()
    };
    let line = format!("Lingering now: {}; {which}:", lingering.len());
    writeln!(out, "{}", page.paint.dab(Ink::Head, &line))?;
    rows::table(lingering.iter().copied().take(shown)).write(out, page.paint)
}

/// The one line to paste into an incident channel: never coloured, whole in itself.
#[must_use]
pub fn incident(snapshot: &Snapshot, context: &Context, page: &Page) -> String {
    let lingering = page.selection.lingering(snapshot);
    let mut line = format!(
        "hatrace {} haproxy {}: ",
        units::round(snapshot.watched),
        words::holders(context)
    );
    match lingering.first() {
        None => line.push_str(&format!("nothing lingers over {}", units::round(context.min))),
        Some(oldest) => {
            let kinds = tally::kinds(&lingering);
            let mut named: Vec<String> = kinds
                .iter()
                .take(KINDS)
                .map(|kind| format!("{}/{}/{} {}", kind.state, kind.holder, kind.side, kind.open))
                .collect();
            if kinds.len() > KINDS {
                let rest: u64 = kinds.iter().skip(KINDS).map(|kind| kind.open).sum();
                named.push(format!("others {rest}"));
            }
            line.push_str(&format!(
                "{} lingering ({}), oldest {}",
                lingering.len(),
                named.join(", "),
                units::age_words(oldest.age)
            ));
        }
    }
    let (culprits, _) = findings::split(snapshot, page);
    if let Some(worst) = culprits.first() {
        line.push_str(&format!("; {}", findings::sentence(worst, page)));
        if let Some(fix) = worst.fix.first() {
            line.push_str(&format!("; fix: {fix}"));
        }
        if culprits.len() > 1 {
            let more = culprits.len() - 1;
            line.push_str(&format!(
                "; {more} more finding{}",
                if more == 1 { "" } else { "s" }
            ));
        }
    }
    if !page.selection.is_everything() {
        line.push_str(&format!(" [{}]", page.selection));
    }
    if !snapshot.asking.is_empty() && !lingering.is_empty() {
        let named = |row: &&&Lingering| row.naming.session.is_some() && row.naming.without.is_none();
        let (named, all) = (lingering.iter().filter(named).count(), lingering.len());
        line.push_str(&format!("; {named} of {all} with a session"));
    }
    line.push_str(&format!(
        "; {} sockets, {} lost",
        snapshot.totals.sockets, snapshot.totals.lost
    ));
    if matches!(context.mode, Mode::Polled { .. }) {
        line.push_str(&format!(", polled ±{}", units::round(context.sweep_interval)));
    }
    line
}

#[cfg(test)]
mod tests;
