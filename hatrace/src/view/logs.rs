//! `logs`: how sessions ended, counted and explained; what became more frequent first.

mod data;
mod kernel;
mod line;
mod places;
mod stickiness;

use std::io::{self, Write};

use hatrace_core::ending::{self, Code, Severity};
use hatrace_core::log::{Counted, Rise, Summary, Written};

use super::page::Page;
use super::paint::Ink;
use super::words;
pub use data::{write_csv, write_json};
pub use kernel::Kernel;
pub use line::{Prepared, alone, line, told};
use places::{networks, rate, servers, ways};
use stickiness::persistence;
pub use stickiness::verdicts;

/// What was read, beside what it says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// The files.
    pub files: Vec<String>,
    /// Lines with anything in them.
    pub lines: u64,
    /// Messages of HAProxy's about itself.
    pub messages: u64,
    /// Lines that were not understood.
    pub unknown: u64,
    /// Lines longer than any may be.
    pub too_long: u64,
    /// The first of those that were not understood, as they stand.
    pub examples: Vec<String>,
    /// Why not all of it could be read.
    pub failures: Vec<String>,
    /// The kernel's evidence beside it, by recording.
    pub kernel: Vec<Kernel>,
}

/// `2026-11-20 09:49:15`: by the clock of whoever wrote it.
#[must_use]
pub fn moment(at: Written) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(
        |_| "?".to_owned(),
        |at| {
            at.to_zoned(jiff::tz::TimeZone::UTC)
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    )
}

/// `48.2%`.
#[expect(clippy::cast_precision_loss, reason = "counts of log lines")]
fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let percent = part as f64 / whole as f64 * 100.0;
    if part > 0 && percent < 0.1 {
        "<0.1%".to_owned()
    } else {
        format!("{percent:.1}%")
    }
}

/// Counts as a small chart: a column each, as high as it is of the highest.
#[must_use]
pub fn chart(counts: &[u64]) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0);
    let column = |count: u64| match count {
        0 => '.',
        count => {
            let step = u128::from(count) * 8 / u128::from(most.max(1));
            let step = usize::try_from(step).unwrap_or(0).saturating_sub(1);
            STEPS.get(step).copied().unwrap_or('█')
        }
    };
    counts.iter().map(|count| column(*count)).collect()
}

/// The whole view.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, read: &Read, summary: &Summary, page: &Page) -> io::Result<()> {
    head(out, read, summary, page)?;
    let rises: Vec<&Counted> = rises(summary);
    for counted in rises.iter().take(page.rows) {
        writeln!(out, "{}", page.paint.dab(Ink::Bad, &rose(counted)))?;
    }
    let risen_too = summary.networks.iter().filter(|network| network.rise.is_some());
    for one in risen_too.take(5) {
        let what = format!("what ends as it shouldn't from {}", one.network);
        let line = risen(&what, one.rise, one.rose_at);
        writeln!(out, "{}", page.paint.dab(Ink::Bad, &line))?;
    }
    for counted in summary.ways.iter().filter(|way| way.severity == Severity::Alarm) {
        let line = format!(
            "alarm: {} of {} ended {}: {}",
            counted.count,
            words::clean(&counted.place),
            counted.code,
            counted.code.meaning()
        );
        writeln!(out, "{}", page.paint.dab(Ink::Bad, &line))?;
    }
    if summary.sessions == 0 {
        return unknown(out, read, page);
    }
    writeln!(out)?;
    ways(summary, page).write(out, page.paint)?;
    if summary.ways.len() > page.rows {
        writeln!(out, "... {} more: -n all", summary.ways.len() - page.rows)?;
    }
    explained(out, summary, page)?;
    servers(out, summary, page)?;
    networks(out, summary, page)?;
    persistence(out, &summary.persistence, page)?;
    for kernel in &read.kernel {
        kernel::write(out, kernel, page)?;
    }
    unknown(out, read, page)
}

fn head(out: &mut dyn Write, read: &Read, summary: &Summary, page: &Page) -> io::Result<()> {
    let span = match (summary.first, summary.last) {
        (Some(first), Some(last)) => {
            format!(" · {} to {} (the log's own clock)", moment(first), moment(last))
        }
        _ => String::new(),
    };
    let line = format!("{}{span}", words::clean(&read.files.join(", ")));
    writeln!(out, "{}", page.paint.dab(Ink::Faint, &line))?;
    let often = summary
        .frontends
        .iter()
        .filter_map(|frontend| Some(frontend.rate?.average));
    let often: f64 = often.sum();
    let mut parts = vec![format!("{} lines", read.lines)];
    parts.push(match summary.sessions {
        0 | 1 => format!("{} sessions", summary.sessions),
        many => format!("{many} sessions ({})", rate(often)),
    });
    for (count, what) in [
        (summary.connections, "connections that came to none"),
        (read.messages, "messages"),
        (summary.early, "logged before their end"),
        (summary.truncated, "cut off"),
        (summary.uncoded, "without a termination code"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    writeln!(out, "{}", page.paint.dab(Ink::Head, &parts.join(", ")))?;
    for failure in &read.failures {
        let line = format!("notice: not all of it was read: {}", words::clean(failure));
        writeln!(out, "{}", page.paint.dab(Ink::Warn, &line))?;
    }
    Ok(())
}

/// What became more frequent, the most of it first: by frontend, then by server.
fn rises(summary: &Summary) -> Vec<&Counted> {
    let mut all = Vec::new();
    for ways in [&summary.ways, &summary.by_server] {
        let mut rises: Vec<&Counted> = ways.iter().filter(|way| way.rise.is_some()).collect();
        rises.sort_by_key(|way| std::cmp::Reverse(way.rise.map_or(0, |rise| rise.after)));
        all.extend(rises);
    }
    all
}

/// `cD on fe_ws rose 12-fold at 14:02, 91.0% from 10.2.0.0/24`.
fn rose(counted: &Counted) -> String {
    let what = format!("{} on {}", counted.code, words::clean(&counted.place));
    let mut line = risen(&what, counted.rise, counted.rose_at);
    if let Some((network, count)) = counted.networks.first() {
        line.push_str(&format!(", {} from {network}", share(*count, counted.count)));
    }
    line
}

fn risen(what: &str, rise: Option<Rise>, rose_at: Option<(Written, i64)>) -> String {
    let Some(rise) = rise else {
        return String::new();
    };
    let at = rose_at.map_or_else(
        || "?".to_owned(),
        |(at, within)| {
            let within = std::time::Duration::from_millis(within.unsigned_abs());
            format!("{} (within {})", moment(at), super::units::round(within))
        },
    );
    let fold = if rise.before == 0 {
        "began".to_owned()
    } else {
        format!("rose {:.0}-fold", rise.fold)
    };
    format!(
        "{what} {fold} at {at}: {} since, {} before",
        rise.after, rise.before
    )
}

/// What the codes mean that matter, each once.
fn explained(out: &mut dyn Write, summary: &Summary, page: &Page) -> io::Result<()> {
    let mut told: Vec<Code> = Vec::new();
    for way in &summary.ways {
        if way.severity >= Severity::Anomaly && !told.contains(&way.code) {
            told.push(way.code);
        }
    }
    for code in told.iter().take(page.rows) {
        writeln!(out)?;
        let line = format!("{code}  {}", code.meaning());
        writeln!(out, "{}", page.paint.dab(Ink::Head, &line))?;
        if let Some(pair) = ending::pair(code.ending()) {
            if !pair.cause.is_empty() {
                writeln!(out, "    {}", pair.cause)?;
            }
            for act in pair.act {
                writeln!(out, "    do  {act}")?;
            }
        }
        let waits = summary.ways.iter().filter(|way| way.code == *code);
        for (way, queue) in waits.filter_map(|way| Some((way, way.queue?))) {
            writeln!(
                out,
                "    on {} they waited (Tw) {} ms in the middle, {} ms nine of ten, {} ms at most",
                words::clean(&way.place),
                queue.p50,
                queue.p90,
                queue.max
            )?;
        }
    }
    Ok(())
}

fn unknown(out: &mut dyn Write, read: &Read, page: &Page) -> io::Result<()> {
    if read.too_long > 0 {
        writeln!(
            out,
            "{} lines were longer than 1 MiB and passed over",
            read.too_long
        )?;
    }
    if read.unknown == 0 {
        return Ok(());
    }
    let line = format!(
        "{} lines were not understood{}",
        read.unknown,
        if read.examples.is_empty() {
            ": --unparsed shows them, --log-format or -f haproxy.cfg tells their format"
        } else {
            ""
        }
    );
    writeln!(out, "{}", page.paint.dab(Ink::Warn, &line))?;
    for example in &read.examples {
        writeln!(out, "  {}", words::clean(example))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hatrace_core::log::{Entry, Saw, Tally, Told};

    use super::*;

    #[test]
    fn a_terminal_is_not_spoken_to() {
        let mut tally = Tally::default();
        for code in [b"sD", b"RC", b"CT"] {
            tally.session(&Entry {
                frontend: b"fe\x1b[2J\n",
                backend: b"be\x9b1m",
                server: b"s\xe2\x80\xae1",
                code: Code::parse(code),
                accepted: Some(0),
                ..Entry::default()
            });
        }
        let read = Read {
            files: vec!["a\x1b]0;x".to_owned()],
            unknown: 1,
            examples: vec!["\x1b[31m\u{202e}".to_owned()],
            failures: vec!["\x1bc".to_owned()],
            ..Read::default()
        };
        let mut out = Vec::new();
        write(&mut out, &read, &tally.summary(), &Page::default()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
        let entry = Entry {
            frontend: b"fe\x1b[2J\n",
            code: Code::parse(b"sD"),
            ..Entry::default()
        };
        let line = line(&entry, &Page::default()).unwrap();
        assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
        // Nor by what becomes of it beside the kernel.
        let with = Prepared::of(&entry, &Page::default(), crate::view::Format::Text);
        for what in [
            Told::Line {
                with: with.clone(),
                sockets: (Some(Saw::PeerFin), None),
                contradiction: Some("why".to_owned()),
            },
            Told::Outlived {
                with,
                side: hatrace_core::sock::Side::Client,
                after: std::time::Duration::from_secs(58),
                open: false,
            },
        ] {
            let mut out = Vec::new();
            told(&mut out, &what, &Page::default(), crate::view::Format::Text).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(
                text.contains("sD") && text.chars().all(|c| c == '\n' || !c.is_control()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn charts_and_shares() {
        assert_eq!(chart(&[0, 1, 4, 8]), ".▁▄█");
        assert_eq!(chart(&[]), "");
        assert_eq!(chart(&[u64::MAX, 1]), "█▁");
        assert_eq!(share(1, 3), "33.3%");
        assert_eq!(share(1, 100_000), "<0.1%");
        assert_eq!(share(0, 0), "-");
        assert_eq!(moment(1_795_168_155_083), "2026-11-20 09:49:15");
        assert_eq!(moment(i64::MAX), "?");
    }
}
