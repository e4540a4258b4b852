//! What of a word there is in recordings: sockets in that state, with that holder or clock; findings with that verdict.

use std::io::{self, Write};

use hatrace_core::snapshot::{Lingering, Snapshot};
use hatrace_core::verdicts::Finding;
use serde_json::{Value, json};

use super::{Entry, Kind, all, find};
use crate::port::Context;
use crate::view::page::Page;
use crate::view::{findings, rows, units, words};

/// What of one word there is.
struct Seen<'a> {
    rows: Vec<&'a Lingering>,
    findings: Vec<&'a Finding>,
}

impl<'a> Seen<'a> {
    fn of(entry: &Entry, snapshot: &'a Snapshot) -> Self {
        let finding = |finding: &&Finding| finding.verdict.code() == entry.name;
        let findings: Vec<&Finding> = snapshot.findings.iter().filter(finding).collect();
        let row = |row: &&Lingering| match entry.kind {
            Kind::Verdict => findings
                .iter()
                .any(|finding| finding.host == row.host && finding.sockets.contains(&row.cookie)),
            Kind::State => row.state.name() == entry.name,
            Kind::Holder => row.holder.name() == entry.name,
            Kind::Timeout | Kind::Kernel => {
                let clock = row.clock.name.name().and_then(find);
                clock.is_some_and(|clock| clock.name == entry.name)
            }
        };
        Self {
            rows: snapshot.lingering.iter().filter(row).collect(),
            findings,
        }
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.findings.is_empty()
    }
}

/// Below an entry: what of it there is.
///
/// # Errors
/// The writer's.
pub fn write(
    out: &mut dyn Write,
    entry: &Entry,
    snapshot: &Snapshot,
    context: &Context,
    page: &Page,
) -> io::Result<()> {
    let seen = Seen::of(entry, snapshot);
    writeln!(out, "\n{}", words::who(context))?;
    if seen.is_empty() {
        return writeln!(
            out,
            "nothing of that lingered for {} or more",
            units::round(context.min)
        );
    }
    for finding in &seen.findings {
        writeln!(out, "{}", findings::sentence(finding, page))?;
    }
    let count = seen.rows.len();
    if count > page.rows {
        writeln!(out, "{count} sockets, the {} oldest:", page.rows)?;
    }
    if count == 0 {
        return Ok(());
    }
    rows::table(seen.rows.into_iter().take(page.rows)).write(out, page.paint)
}

/// Every word of which there is something, with how much.
///
/// # Errors
/// The writer's.
pub fn list(out: &mut dyn Write, snapshot: &Snapshot, context: &Context) -> io::Result<()> {
    writeln!(out, "{}", words::who(context))?;
    let mut none = true;
    for entry in all() {
        let seen = Seen::of(entry, snapshot);
        if !seen.is_empty() {
            none = false;
            writeln!(
                out,
                "{:>7} {} ({})",
                seen.rows.len(),
                entry.name,
                entry.kind.name()
            )?;
        }
    }
    if none {
        return writeln!(out, "nothing lingered for {} or more", units::round(context.min));
    }
    writeln!(out, "hatrace explain WORD --from FILE")
}

/// The same for programs: of one word.
pub(super) fn value(entry: &Entry, snapshot: &Snapshot, context: &Context) -> Value {
    let seen = Seen::of(entry, snapshot);
    json!({
        "hosts": context.hosts(),
        "sockets": seen.rows.len(),
        "oldest_s": seen.rows.first().map(|row| units::seconds(row.age.at_least)),
        "cookies": seen.rows.iter().take(10_000).map(|row| row.cookie.to_string()).collect::<Vec<_>>(),
        "findings": seen.findings.iter().map(|finding| json!({
            "host": finding.host.as_deref().unwrap_or(&context.host),
            "whom": finding.whom.to_string(),
            "proxy": finding.proxy.as_deref(),
            "side": finding.side.name(),
            "open": finding.open,
            "ended": finding.ended,
            "confidence": finding.confidence.name(),
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample::{self, text};

    fn told(word: &str) -> String {
        let entry = find(word).unwrap();
        text(|out| {
            write(
                out,
                entry,
                &sample::snapshot(),
                &sample::context(),
                &Page::default(),
            )
        })
    }

    #[test]
    fn each_kind_of_word_finds_its_sockets() {
        let count = |word: &str| Seen::of(find(word).unwrap(), &sample::snapshot()).rows.len();
        assert_eq!(count("FIN_WAIT2"), 3);
        assert_eq!(count("unaccepted"), 1);
        assert_eq!(count("peer-never-closes"), 3);
        assert_eq!(count("client-fin"), 1);
        assert_eq!(count("tcp_fin_timeout"), 1);
        assert_eq!(count("LAST_ACK"), 0);
    }

    #[test]
    fn what_there_is_stands_below_and_what_there_is_not_is_said() {
        let of = told("peer-never-closes");
        assert!(of.contains("peer-never-closes (certain): 10.0.0.7"), "{of}");
        assert_eq!(
            of.lines().filter(|line| line.contains("10.0.0.7:51234")).count(),
            2,
            "{of}"
        );
        assert!(told("LAST_ACK").ends_with("nothing of that lingered for 1s or more\n"));
        let all = text(|out| list(out, &sample::snapshot(), &sample::context()));
        assert!(all.contains("\n      3 FIN_WAIT2 (TCP state)\n"), "{all}");
    }
}
