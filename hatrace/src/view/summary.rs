//! The summary of a watch: what Ctrl-C or the end of `-d` shows.

use std::io::{self, Write};

use hatrace_core::snapshot::{Dwell, Snapshot};

use super::columns::{Align, Cell, Table};
use super::page::Page;
use super::paint::Ink;
use super::{findings, units, words};
use crate::port::{Context, Mode};

/// Totals, dwell times by side and state, notices.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, snapshot: &Snapshot, context: &Context, page: &Page) -> io::Result<()> {
    writeln!(out, "{}", page.paint.dab(Ink::Head, &totals(snapshot, context)))?;
    let table = table(page.selection.dwell(snapshot));
    if table.is_empty() {
        writeln!(out, "no socket of HAProxy closed or began to close meanwhile")?;
    } else {
        table.write(out, page.paint)?;
    }
    between_sweeps(out, page.selection.dwell(snapshot), context, page)?;
    worst(out, snapshot, page)?;
    asked(out, snapshot, page)?;
    notices(out, snapshot, page)
}

/// A line for each finding that accuses, a few of them, and what to do next.
pub(super) fn worst(out: &mut dyn Write, snapshot: &Snapshot, page: &Page) -> io::Result<()> {
    const LINES: usize = 5;
    let (culprits, _) = findings::split(snapshot, page);
    for finding in culprits.iter().take(LINES) {
        let line = findings::sentence(finding, page);
        writeln!(out, "{}", page.paint.dab(Ink::Warn, &line))?;
        for fix in finding.fix.iter().take(1) {
            writeln!(out, "  fix {fix}")?;
        }
    }
    if let Some(first) = culprits.first() {
        let more = culprits.len().saturating_sub(LINES);
        let rest = if more > 0 {
            format!("{more} more; ")
        } else {
            String::new()
        };
        writeln!(
            out,
            "{rest}next: hatrace culprits, hatrace explain {}",
            first.verdict
        )?;
    }
    Ok(())
}

/// How many of what lingers have a session and why the rest has none; what the asking has cost.
pub(super) fn asked(out: &mut dyn Write, snapshot: &Snapshot, page: &Page) -> io::Result<()> {
    for line in [words::matched(snapshot), words::asked(snapshot)]
        .into_iter()
        .flatten()
    {
        writeln!(out, "{}", page.paint.dab(Ink::Faint, &line))?;
    }
    Ok(())
}

/// `34.2s · 1284 sockets (312 adopted) · 7702 transitions · 0 lost`.
#[must_use]
pub fn totals(snapshot: &Snapshot, context: &Context) -> String {
    let totals = &snapshot.totals;
    let mut parts = vec![
        units::words(snapshot.watched),
        format!("{} sockets ({} adopted)", totals.sockets, totals.adopted),
    ];
    parts.push(match context.mode {
        Mode::Traced { .. } => format!("{} transitions", totals.transitions),
        // Polls see states, not the transitions between them: a zero would be a claim.
        Mode::Polled { .. } => format!("states known to ±{}", units::round(context.sweep_interval)),
    });
    parts.push(format!("{} lost", totals.lost));
    if totals.evicted > 0 {
        parts.push(format!("{} evicted", totals.evicted));
    }
    parts.join(" · ")
}

/// The dwell times, a row for each side and state.
fn table<'a>(dwell: impl Iterator<Item = &'a Dwell>) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("SIDE", Left),
        ("STATE", Left),
        ("ENDED", Right),
        ("NOW", Right),
        ("p50", Right),
        ("p90", Right),
        ("p99", Right),
        ("MAX", Right),
    ]);
    for row in dwell {
        let some = row.ended + row.open > 0;
        let time = |time| Cell::known(some.then(|| units::cell(time)));
        let now = if row.open > 0 { Ink::Warn } else { Ink::Plain };
        table.push(vec![
            Cell::new(row.side),
            Cell::new(row.state),
            Cell::new(row.ended),
            Cell::inked(now, row.open),
            time(row.p50),
            time(row.p90),
            time(row.p99),
            time(row.max),
        ]);
    }
    table
}

/// Says of which spans only an upper bound is known.
pub(super) fn between_sweeps<'a>(
    out: &mut dyn Write,
    dwell: impl Iterator<Item = &'a Dwell>,
    context: &Context,
    page: &Page,
) -> io::Result<()> {
    for row in dwell.filter(|row| row.between_sweeps > 0) {
        let line = format!(
            "{} more {} of the {} side began and ended between two looks, {} apart: not in the percentiles",
            row.between_sweeps,
            row.state,
            row.side,
            units::round(context.sweep_interval)
        );
        writeln!(out, "{}", page.paint.dab(Ink::Faint, &line))?;
    }
    Ok(())
}

/// What was not seen, and processes that ended.
pub(super) fn notices(out: &mut dyn Write, snapshot: &Snapshot, page: &Page) -> io::Result<()> {
    for notice in &snapshot.notices {
        writeln!(out, "{}", page.paint.dab(Ink::Warn, &words::notice(notice)))?;
    }
    if !snapshot.ended_processes.is_empty() {
        let pids: Vec<String> = snapshot.ended_processes.iter().map(ToString::to_string).collect();
        let line = format!(
            "notice: HAProxy processes that ended meanwhile: {}",
            pids.join(", ")
        );
        writeln!(out, "{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hatrace_core::ids::Pid;
    use hatrace_core::sock::Side;

    use super::*;
    use crate::view::sample::{self, text};

    #[test]
    fn totals_then_dwell_times_then_notices() {
        let mut snapshot = sample::snapshot();
        snapshot.ended_processes = vec![Pid(4000)];
        let written = text(|out| write(out, &snapshot, &sample::context(), &Page::default()));
        assert_eq!(
            written,
            "\
34.2s · 1284 sockets (312 adopted) · 7702 transitions · 2 lost
SIDE   STATE      ENDED NOW    p50    p90    p99    MAX
client FIN_WAIT2    212   3  5.96s  6.00s  6.00s 12m04s
server CLOSE_WAIT     1   0 2.00ms 2.00ms 2.00ms 2.00ms
4 more FIN_WAIT2 of the client side began and ended between two looks, 1s apart: not in the percentiles
peer-never-closes (certain): 10.0.0.7, client side of fe_http, 2 in FIN_WAIT2, the oldest for 12m 04s, keeping 1 more open, 212 ended; the peer must close
  fix timeout client-fin 30s (frontend fe_http, haproxy.cfg:12)
next: hatrace culprits, hatrace explain peer-never-closes
1 of 5 lingering sockets (20.0%) has a session; the others: 1 answered, the rest of the request being read off, 1 in the accept queue, which HAProxy doesn't see, 1 closed before HAProxy was asked, 1 of which two looks tell different things
HAProxy asked 3 times: 12.4ms, 0.04% of the time
notice: records-lost (2): the ring was full; the figures are short of 2 lives
notice: HAProxy processes that ended meanwhile: 4000
"
        );
    }

    #[test]
    fn nothing_is_said_in_words_and_polls_claim_no_transitions() {
        let mut context = sample::context();
        context.mode = Mode::Polled { why: None };
        let written = text(|out| write(out, &sample::quiet(), &context, &Page::default()));
        assert_eq!(
            written,
            "\
34.2s · 1284 sockets (312 adopted) · states known to ±1s · 0 lost
no socket of HAProxy closed or began to close meanwhile
"
        );
    }

    #[test]
    fn a_selection_leaves_rows_out() {
        let mut page = Page::default();
        page.selection.sides = vec![Side::Server];
        let written = text(|out| write(out, &sample::snapshot(), &sample::context(), &page));
        assert!(!written.contains("client FIN_WAIT2"), "{written}");
    }
}
