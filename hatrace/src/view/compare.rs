//! `report --compare`: before and after, side by side; first, in one line, whether the change worked.

use std::io::{self, Write};
use std::time::Duration;

use hatrace_core::compare::{Comparison, Culprit, Figures, Outcome, Sessions, Times};
use hatrace_core::snapshot::{Dwell, Snapshot};
use hatrace_core::stream::ServiceKind;
use serde_json::{Value, json};

use super::columns::{Align, Cell, Table};
use super::page::Page;
use super::paint::Ink;
use super::{json, units, words};
use crate::port::Context;

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// What there was.
    pub snapshot: &'a Snapshot,
    /// Of whom, when, and how.
    pub context: &'a Context,
}

/// `FIN_WAIT2 of 10.0.0.7: 412 -> 3, p99 2h -> 30.0s: the change worked`.
#[must_use]
pub fn verdict(comparison: &Comparison) -> String {
    let said = match comparison.outcome {
        Outcome::Worked => "the change worked",
        Outcome::Better => "better, not gone",
        Outcome::Same => "no change",
        Outcome::Worse => "worse",
    };
    let (before, after) = comparison.lingering;
    match comparison
        .culprits
        .iter()
        .max_by_key(|culprit| culprit.before.open.max(culprit.after.open))
    {
        None => format!("lingering: {before} -> {after}: {said}"),
        Some(worst) => {
            let state = worst
                .party
                .state
                .map(|state| format!("{state} of "))
                .unwrap_or_default();
            let p99 = match (worst.before.p99, worst.after.p99) {
                (Some(before), Some(after)) => {
                    format!(", p99 {} -> {}", units::words(before), units::words(after))
                }
                _ => String::new(),
            };
            format!(
                "{state}{}: {} -> {}{p99}: {said}",
                worst.party.whom, worst.before.open, worst.after.open
            )
        }
    }
}

/// The whole view.
///
/// # Errors
/// The writer's.
pub fn write(
    out: &mut dyn Write,
    of: &Comparison,
    before: Sight<'_>,
    after: Sight<'_>,
    page: &Page,
) -> io::Result<()> {
    for (word, sight) in [("before", before), ("after ", after)] {
        let context = sight.context;
        let line = format!(
            "{word}: {} · since {:.0}, {}",
            words::who(context),
            context.started_at,
            units::words(sight.snapshot.watched)
        );
        writeln!(out, "{}", page.paint.dab(Ink::Faint, &line))?;
    }
    let ink = match of.outcome {
        Outcome::Worked | Outcome::Better => Ink::Good,
        Outcome::Same => Ink::Head,
        Outcome::Worse => Ink::Bad,
    };
    writeln!(out, "{}", page.paint.dab(ink, &verdict(of)))?;
    if !of.culprits.is_empty() {
        writeln!(out)?;
        culprits(&of.culprits, page).write(out, page.paint)?;
    }
    writeln!(out)?;
    times(&of.times).write(out, page.paint)?;
    let worth = |one: &&Sessions| one.before.unwrap_or(0).max(one.after.unwrap_or(0)) > 0;
    let told: Vec<&Sessions> = of.sessions.iter().filter(worth).take(page.rows).collect();
    if !told.is_empty() {
        writeln!(out)?;
        sessions(&told).write(out, page.paint)?;
    }
    Ok(())
}

/// HAProxy's own counts.
fn sessions(all: &[&Sessions]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("PROXY/SERVER", Left),
        ("KIND", Left),
        ("SCUR", Right),
        ("NOW", Right),
        ("CHANGE", Left),
    ]);
    for one in all {
        let place = [Some(&*one.proxy), one.server.as_deref()];
        let place: Vec<String> = place.into_iter().flatten().map(words::clean).collect();
        table.push(vec![
            Cell::new(place.join("/")),
            Cell::new(kind(one.kind)),
            Cell::known(one.before),
            Cell::known(one.after),
            Cell::new(one.change.name()),
        ]);
    }
    table
}

const fn kind(kind: ServiceKind) -> &'static str {
    match kind {
        ServiceKind::Frontend => "frontend",
        ServiceKind::Server => "server",
        ServiceKind::Backend => "backend",
    }
}

fn culprits(all: &[Culprit], page: &Page) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("PEER", Left),
        ("PROXY/SERVER", Left),
        ("SIDE", Left),
        ("STATE", Left),
        ("OPEN", Right),
        ("NOW", Right),
        ("HELD", Right),
        ("NOW", Right),
        ("p99", Right),
        ("NOW", Right),
        ("CHANGE", Left),
    ]);
    let time = |time: Option<Duration>| Cell::known(time.map(units::cell));
    for culprit in all.iter().take(page.rows) {
        let party = &culprit.party;
        let place = [party.proxy.as_deref(), party.server.as_deref()];
        let place: Vec<String> = place.into_iter().flatten().map(words::clean).collect();
        table.push(vec![
            Cell::new(party.whom.to_string().replace(' ', "-")),
            Cell::new(place.join("/")),
            Cell::new(party.side),
            Cell::known(party.state),
            Cell::new(culprit.before.open),
            Cell::new(culprit.after.open),
            Cell::new(units::cell(culprit.before.socket_seconds)),
            Cell::new(units::cell(culprit.after.socket_seconds)),
            time(culprit.before.p99),
            time(culprit.after.p99),
            Cell::new(culprit.change.name()),
        ]);
    }
    table
}

fn times(all: &[Times]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("SIDE", Left),
        ("STATE", Left),
        ("OPEN", Right),
        ("NOW", Right),
        ("ENDED", Right),
        ("NOW", Right),
        ("p50", Right),
        ("NOW", Right),
        ("p99", Right),
        ("NOW", Right),
        ("CHANGE", Left),
    ]);
    for row in all {
        let (before, after) = (row.before.as_ref(), row.after.as_ref());
        let count = |of: Option<&Dwell>, figure: fn(&Dwell) -> u64| Cell::new(of.map_or(0, figure));
        let time = |of: Option<&Dwell>, figure: fn(&Dwell) -> Duration| {
            let some = of.filter(|dwell| dwell.open + dwell.ended > 0);
            Cell::known(some.map(|dwell| units::cell(figure(dwell))))
        };
        table.push(vec![
            Cell::new(row.side),
            Cell::new(row.state),
            count(before, |dwell| dwell.open),
            count(after, |dwell| dwell.open),
            count(before, |dwell| dwell.ended),
            count(after, |dwell| dwell.ended),
            time(before, |dwell| dwell.p50),
            time(after, |dwell| dwell.p50),
            time(before, |dwell| dwell.p99),
            time(after, |dwell| dwell.p99),
            Cell::new(row.change.name()),
        ]);
    }
    table
}

/// The same as one object.
///
/// # Errors
/// The writer's.
pub fn write_json(
    out: &mut dyn Write,
    of: &Comparison,
    before: Sight<'_>,
    after: Sight<'_>,
    page: &Page,
) -> io::Result<()> {
    let side = |sight: Sight<'_>| {
        json!({
            "target": json::target_of(sight.context, sight.snapshot),
            "window": json::window(sight.context, sight.snapshot.watched),
            "lingering": sight.snapshot.lingering.len(),
        })
    };
    let object = json!({
        "schema": json::SCHEMA,
        "view": "compare",
        "before": side(before),
        "after": side(after),
        "verdict": { "outcome": of.outcome.name(), "text": verdict(of) },
        "culprits": of.culprits.iter().take(page.rows).map(culprit).collect::<Vec<_>>(),
        "dwell": of.times.iter().map(|row| json!({
            "side": row.side.name(),
            "state": row.state.name(),
            "before": row.before.as_ref().map(dwell),
            "after": row.after.as_ref().map(dwell),
            "change": row.change.name(),
        })).collect::<Vec<_>>(),
        "sessions": of.sessions.iter().map(|one| json!({
            "kind": kind(one.kind),
            "proxy": one.proxy,
            "server": one.server,
            "before": one.before,
            "after": one.after,
            "change": one.change.name(),
        })).collect::<Vec<_>>(),
    });
    writeln!(out, "{object}")
}

fn culprit(culprit: &Culprit) -> Value {
    let party = &culprit.party;
    let figures = |of: &Figures| {
        json!({
            "open": of.open,
            "ended": of.ended,
            "socket_seconds": units::seconds(of.socket_seconds),
            "p99_s": of.p99.map(units::seconds),
            "oldest_s": of.oldest.map(units::seconds),
        })
    };
    json!({
        "whom": party.whom.to_string(),
        "side": party.side.name(),
        "state": party.state.map(hatrace_core::tcp::TcpState::name),
        "proxy": party.proxy.as_deref(),
        "server": party.server.as_deref(),
        "verdict": culprit.verdict.code(),
        "before": figures(&culprit.before),
        "after": figures(&culprit.after),
        "change": culprit.change.name(),
    })
}

fn dwell(dwell: &Dwell) -> Value {
    let some = dwell.ended + dwell.open > 0;
    let time = |time: Duration| some.then(|| units::seconds(time));
    json!({
        "open": dwell.open,
        "ended": dwell.ended,
        "p50_s": time(dwell.p50),
        "p90_s": time(dwell.p90),
        "p99_s": time(dwell.p99),
        "max_s": time(dwell.max),
    })
}
