//! How sessions ended, by frontend, by server, and by the clients' networks.

use std::io::{self, Write};

use hatrace_core::ending::Severity;
use hatrace_core::log::{Counted, Summary};
use hatrace_core::verdicts::Prefix;

use super::{chart, share};
use crate::view::columns::{Align, Cell, Table};
use crate::view::page::Page;
use crate::view::paint::Ink;
use crate::view::words;

/// `12.3/s`, `4.0/min`, `0.5/h`.
#[must_use]
pub(super) fn rate(a_second: f64) -> String {
    if a_second >= 1.0 || a_second <= 0.0 {
        format!("{a_second:.1}/s")
    } else if a_second >= 1.0 / 60.0 {
        format!("{:.1}/min", a_second * 60.0)
    } else {
        format!("{:.1}/h", a_second * 3600.0)
    }
}

fn name(text: &str) -> String {
    words::clean(text).replace(' ', "_")
}

const fn ink(severity: Severity) -> Ink {
    match severity {
        Severity::Normal | Severity::Meant => Ink::Plain,
        Severity::Anomaly => Ink::Warn,
        Severity::Alarm => Ink::Bad,
    }
}

/// The network most of them come from: `10.2.0.0/24:91.0%`.
fn from(way: &Counted) -> Option<String> {
    let (network, count) = way.networks.first()?;
    Some(format!(
        "{}:{}",
        Prefix::to_string(network),
        share(*count, way.count)
    ))
}

/// What each way to end came to.
fn cells(way: &Counted) -> Vec<Cell> {
    vec![
        Cell::inked(ink(way.severity), way.code),
        Cell::new(name(&way.place)),
        Cell::new(way.count),
        Cell::new(share(way.count, way.of)),
        Cell::known(way.rate.map(|often| rate(often.average))),
        Cell::known(way.rate.map(|often| rate(often.peak))),
        Cell::new(chart(&way.over_time)),
    ]
}

const COLUMNS: [(&str, Align); 5] = [
    ("COUNT", Align::Right),
    ("SHARE", Align::Right),
    ("RATE", Align::Right),
    ("PEAK", Align::Right),
    ("OVER TIME", Align::Left),
];

fn table(place: &'static str, more: &[(&'static str, Align)]) -> Table {
    let head = [("CODE", Align::Left), (place, Align::Left)];
    Table::new(&[&head, &COLUMNS[..], more].concat())
}

/// By frontend.
pub(super) fn ways(summary: &Summary, page: &Page) -> Table {
    let mut table = table("FRONTEND", &[("FROM", Align::Left), ("KIND", Align::Left)]);
    for way in summary.ways.iter().take(page.rows) {
        let mut row = cells(way);
        row.push(Cell::known(from(way)));
        row.push(Cell::new(way.severity.name()));
        table.push(row);
    }
    table
}

/// By server, where it is not normal.
pub(super) fn servers(out: &mut dyn Write, summary: &Summary, page: &Page) -> io::Result<()> {
    let mut table = table("SERVER", &[]);
    let odd = summary
        .by_server
        .iter()
        .filter(|way| way.severity >= Severity::Anomaly);
    for way in odd.take(page.rows) {
        table.push(cells(way));
    }
    if table.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table.write(out, page.paint)
}

/// By the clients' networks, where it is not normal.
pub(super) fn networks(out: &mut dyn Write, summary: &Summary, page: &Page) -> io::Result<()> {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("CLIENTS' NETWORK", Left),
        ("SESSIONS", Right),
        ("RATE", Right),
        ("ODD", Right),
        ("SHARE", Right),
        ("OVER TIME", Left),
        ("CODES", Left),
    ]);
    let odd = summary.networks.iter().filter(|network| network.odd > 0);
    for one in odd.take(page.rows.min(10)) {
        let codes: Vec<String> = one
            .codes
            .iter()
            .take(4)
            .map(|(code, count)| format!("{code}:{count}"))
            .collect();
        table.push(vec![
            Cell::new(one.network),
            Cell::new(one.sessions),
            Cell::new(rate(one.rate)),
            Cell::new(one.odd),
            Cell::new(share(one.odd, one.sessions)),
            Cell::new(chart(&one.over_time)),
            Cell::new(codes.join(",")),
        ]);
    }
    if table.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table.write(out, page.paint)?;
    if summary.unknown_networks > 0 {
        writeln!(
            out,
            "... {} sessions are of networks too many and too rare to be told apart",
            summary.unknown_networks
        )?;
    }
    Ok(())
}
