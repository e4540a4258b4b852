//! Findings in words: what is wrong, who must act, the evidence, the clock, what to change.

use std::io::{self, Write};

use hatrace_core::snapshot::Snapshot;
use hatrace_core::verdicts::{Confidence, Finding, Responsible, Verdict, Whom};

use super::page::Page;
use super::paint::Ink;
use super::{clock, units, words};
use crate::port::Context;

/// Those that accuse, ranked; then remarks, those that cost most first.
#[must_use]
pub fn split<'a>(snapshot: &'a Snapshot, page: &Page) -> (Vec<&'a Finding>, Vec<&'a Finding>) {
    page.selection
        .findings(snapshot)
        .into_iter()
        .partition(|finding| finding.accuses())
}

/// Every finding at length.
///
/// # Errors
/// The writer's.
pub fn write(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    context: &Context,
    page: &Page,
    most: usize,
) -> io::Result<()> {
    let (culprits, remarks) = split(snapshot, page);
    if culprits.is_empty() {
        let nothing = format!(
            "Nobody is to blame for anything that lingers for {} or more.",
            units::round(context.min)
        );
        writeln!(out, "{nothing}")?;
    }
    for (rank, finding) in (1..).zip(culprits.iter().take(most)) {
        let head = format!("{rank}. {}", sentence(finding, page));
        let ink = match finding.confidence {
            Confidence::Possible => Ink::Plain,
            Confidence::Likely | Confidence::Certain => Ink::Warn,
        };
        writeln!(out, "{}", page.paint.dab(ink, &head))?;
        details(out, finding)?;
    }
    if culprits.len() > most {
        writeln!(out, "... {} more: hatrace culprits -n all", culprits.len() - most)?;
    }
    // A few harmless ones are not worth a line.
    const FEW: u64 = 5;
    let worth = |finding: &&&Finding| finding.verdict != Verdict::Harmless || finding.open >= FEW;
    for finding in remarks.iter().filter(worth) {
        writeln!(out, "-  {}", sentence(finding, page))?;
        details(out, finding)?;
    }
    Ok(())
}

fn details(out: &mut dyn Write, finding: &Finding) -> io::Result<()> {
    for (nth, because) in finding.because.iter().enumerate() {
        let head = if nth == 0 { "because" } else { "" };
        writeln!(out, "     {head:<7} {because}")?;
    }
    // Mostly it is among the evidence already.
    let name = finding.clock.name.name().unwrap_or_default();
    let told = finding.because.iter().any(|because| because.contains(name));
    if let Some(clock) = clock::words(&finding.clock).filter(|_| !told) {
        writeln!(out, "     clock   {clock}")?;
    }
    for fix in &finding.fix {
        writeln!(out, "     fix     {fix}")?;
    }
    Ok(())
}

/// One sentence: the verdict, how sure, whom, how many, who must act.
#[must_use]
pub fn sentence(finding: &Finding, page: &Page) -> String {
    let mut line = format!(
        "{} ({}): {}",
        finding.verdict,
        finding.confidence.name(),
        whom(finding, page)
    );
    if let Some(place) = place(finding) {
        line.push_str(&format!(", {} side of {place}", finding.side));
    }
    if let Some(host) = &finding.host {
        line.push_str(&format!(", on {}", words::clean(host)));
    }
    let what = what(finding);
    if !what.is_empty() {
        line.push_str(&format!(", {what}"));
    }
    if !finding.also_on.is_empty() {
        line.push_str(&format!(
            ", also on {}",
            words::clean(&finding.also_on.join(", "))
        ));
    }
    line.push_str(&format!("; {}", must(finding)));
    line
}

/// Whom it points at, with a name where one is known.
#[must_use]
pub fn whom(finding: &Finding, page: &Page) -> String {
    let mut text = finding.whom.to_string();
    let mut also: Vec<String> = Vec::new();
    if let Whom::Address(address) = &finding.whom {
        also.extend(page.hosts.get(address).cloned());
    }
    also.extend(finding.known_as.clone());
    if !also.is_empty() {
        text.push_str(&format!(" ({})", also.join(", ")));
    }
    text
}

/// `fe`, `be/srv1`.
#[must_use]
pub fn place(finding: &Finding) -> Option<String> {
    match (&finding.proxy, &finding.server) {
        (Some(proxy), Some(server)) => Some(format!("{proxy}/{server}")),
        (Some(proxy), None) => Some(proxy.to_string()),
        (None, Some(server)) => Some(server.to_string()),
        (None, None) => None,
    }
}

fn what(finding: &Finding) -> String {
    let state = finding
        .state
        .map(|state| format!(" in {state}"))
        .unwrap_or_default();
    let mut parts = Vec::new();
    if finding.open > 0 {
        parts.push(format!("{}{state}", finding.open));
        if let Some(oldest) = finding.oldest {
            parts.push(format!("the oldest for {}", units::words(oldest)));
        }
    }
    if finding.pinned > 0 {
        parts.push(format!("keeping {} more open", finding.pinned));
    }
    if finding.ended > 0 {
        let state = if finding.open > 0 { "" } else { &state };
        parts.push(format!("{} ended{state}", finding.ended));
    }
    parts.join(", ")
}

/// Who must do what.
const fn must(finding: &Finding) -> &'static str {
    match (finding.verdict, finding.responsible) {
        (Verdict::PeerNeverCloses | Verdict::HalfClosedPair | Verdict::SelfLoop, Responsible::Server) => {
            "the server must close"
        }
        (Verdict::PeerNeverCloses | Verdict::HalfClosedPair | Verdict::SelfLoop, _) => "the peer must close",
        (Verdict::SlowReader, Responsible::Server) => "the server must read",
        (Verdict::SlowReader, _) => "the peer must read",
        (Verdict::UnreadFin, Responsible::Server) => "the server must answer",
        (Verdict::ConnectUnanswered, _) => "the server must answer",
        (Verdict::Unexplained, _) => "HAProxy must close",
        (_, Responsible::Path) => "the path, or a host that is gone",
        (_, Responsible::Haproxy) => "HAProxy's configuration or limits",
        (_, Responsible::Kernel) => "the kernel's limits",
        (_, Responsible::Nobody) => "nobody has to do anything",
        (_, Responsible::Server) => "the server",
        (_, Responsible::Peer) => "the peer",
    }
}
