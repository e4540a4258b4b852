//! `culprits`: whom sockets wait for, ranked by socket-seconds; then each finding at length.

use std::io::{self, Write};

use hatrace_core::snapshot::Snapshot;
use hatrace_core::verdicts::Finding;

use super::columns::{Align, Cell, Table};
use super::page::Page;
use super::paint::Ink;
use super::{clock, findings, report, summary, units, words};
use crate::port::Context;

/// The whole view.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, snapshot: &Snapshot, context: &Context, page: &Page) -> io::Result<()> {
    writeln!(out, "{}", page.paint.dab(Ink::Faint, &words::who(context)))?;
    writeln!(
        out,
        "{}",
        page.paint.dab(Ink::Head, &summary::totals(snapshot, context))
    )?;
    let (culprits, _) = findings::split(snapshot, page);
    if !culprits.is_empty() {
        writeln!(out)?;
        table(culprits.iter().copied().take(page.rows)).write(out, page.paint)?;
    }
    writeln!(out)?;
    findings::write(out, snapshot, context, page, page.rows)?;
    if !snapshot.notices.is_empty() || !snapshot.ended_processes.is_empty() {
        writeln!(out)?;
        summary::notices(out, snapshot, page)?;
    }
    writeln!(out)?;
    writeln!(out, "{}", report::incident(snapshot, context, page))
}

fn table<'a>(culprits: impl Iterator<Item = &'a Finding>) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("#", Right),
        ("PEER", Left),
        ("PROXY/SERVER", Left),
        ("SIDE", Left),
        ("STATE", Left),
        ("NOW", Right),
        ("ENDED", Right),
        ("HELD", Right),
        ("p99", Right),
        ("VERDICT", Left),
        ("SURE", Left),
        ("WHO", Left),
        ("CLOCK", Left),
    ]);
    for (rank, finding) in (1..).zip(culprits) {
        table.push_on(
            finding.host.as_deref(),
            vec![
                Cell::new(rank),
                Cell::new(finding.whom.to_string().replace(' ', "-")),
                Cell::known(findings::place(finding)),
                Cell::new(finding.side),
                Cell::known(finding.state),
                Cell::new(finding.open),
                Cell::new(finding.ended),
                Cell::new(units::cell(finding.socket_seconds)),
                Cell::known(finding.p99.map(units::cell)),
                Cell::new(finding.verdict),
                Cell::new(finding.confidence.name()),
                Cell::new(finding.responsible.name()),
                Cell::new(clock::cell(&finding.clock)),
            ],
        );
    }
    table
}
