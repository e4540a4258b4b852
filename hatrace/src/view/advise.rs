//! `advise`: findings about the configuration, each with its line, why, the line to write; and how to put it into force.

use std::io::{self, Write};

use hatrace_core::advice::{Advice, Severity};
use hatrace_core::stream::Name;
use hatrace_core::what_if::Prediction;
use serde_json::json;

use super::page::Page;
use super::paint::Ink;
use super::{what_if, words};
use crate::port::Context;

/// What was looked at, and with what.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The files.
    pub files: Vec<String>,
    /// Their paths, as HAProxy is given them.
    pub paths: Vec<String>,
    /// Why they may not be what runs.
    pub doubts: Vec<String>,
    /// Sockets that are stuck now; `None`: nobody looked.
    pub stuck: Option<u64>,
    /// Connections that a restart would cut; `None`: not known.
    pub open: Option<u64>,
    /// What lines that were supposed would have changed, of each host where there are several. None: nothing was supposed.
    pub predictions: Vec<(Option<Name>, Prediction)>,
    /// Whose, where a HAProxy was looked at, or a recording of one.
    pub context: Option<Context>,
}

/// How a change is put into force, and what that does and doesn't do.
fn steps(looked: &Looked) -> Vec<String> {
    let files: Vec<String> = looked.paths.iter().map(|file| format!("-f {file}")).collect();
    let restart = match looked.open {
        Some(open) => {
            format!("a restart ends all of them, and cuts the {open} connections that are open now")
        }
        None => "a restart ends all of them, and cuts every connection".to_owned(),
    };
    vec![
        format!("check:  haproxy -c {}", files.join(" ")),
        "apply:  systemctl reload haproxy".to_owned(),
        "a reload doesn't change what is there: old workers keep their timeouts and their connections until these have ended, or hard-stop-after has".to_owned(),
        restart,
    ]
}

/// The whole view.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut dyn Write, all: &[Advice], looked: &Looked, page: &Page) -> io::Result<()> {
    if let Some(context) = &looked.context {
        writeln!(out, "{}", page.paint.dab(Ink::Faint, &words::who(context)))?;
    }
    for doubt in &looked.doubts {
        let line = format!("notice: configuration-doubtful: {}", words::clean(doubt));
        writeln!(out, "{}", page.paint.dab(Ink::Warn, &line))?;
    }
    if !looked.predictions.is_empty() {
        // A question was asked: this is its answer.
        let mut told = looked.predictions.iter();
        return told.try_for_each(|(host, told)| what_if::write(out, host.as_ref(), told, page));
    }
    let files = looked.files.join(", ");
    if all.is_empty() {
        return writeln!(
            out,
            "{}",
            page.paint
                .dab(Ink::Good, &format!("nothing to say against {files}"))
        );
    }
    let count = |severity| all.iter().filter(|advice| advice.severity == severity).count();
    let head = format!(
        "{files}: {} to fix, {} to consider, {} to know",
        count(Severity::Fix),
        count(Severity::Consider),
        count(Severity::Note)
    );
    writeln!(out, "{}", page.paint.dab(Ink::Head, &head))?;
    if let Some(stuck) = looked.stuck {
        writeln!(
            out,
            "{stuck} sockets are stuck now; what explains them comes first"
        )?;
    }
    for advice in all.iter().take(page.rows) {
        writeln!(out)?;
        one(out, advice, page)?;
    }
    if all.len() > page.rows {
        writeln!(out, "\n... {} more: -n all", all.len() - page.rows)?;
    }
    writeln!(out)?;
    steps(looked).iter().try_for_each(|step| writeln!(out, "{step}"))
}

fn one(out: &mut dyn Write, advice: &Advice, page: &Page) -> io::Result<()> {
    let place = advice
        .place
        .as_ref()
        .map_or_else(|| "this host".to_owned(), ToString::to_string);
    let stuck = match advice.evidence {
        Some(count) if count > 0 => format!(", {count} stuck now"),
        _ => String::new(),
    };
    let head = format!(
        "{place} ({}): {} [{}{stuck}]",
        words::clean(&advice.section),
        advice.rule,
        advice.severity.name()
    );
    let ink = match advice.severity {
        Severity::Fix => Ink::Warn,
        Severity::Consider | Severity::Note => Ink::Plain,
    };
    writeln!(out, "{}", page.paint.dab(ink, &head))?;
    writeln!(out, "  why    {}", words::clean(&advice.why))?;
    if let Some(write) = &advice.write {
        writeln!(out, "  write  {}", words::clean(write))?;
    }
    Ok(())
}

/// The same as one object.
///
/// # Errors
/// The writer's.
pub fn write_json(out: &mut dyn Write, all: &[Advice], looked: &Looked, page: &Page) -> io::Result<()> {
    let findings: Vec<_> = all
        .iter()
        .take(page.rows)
        .map(|advice| {
            json!({
                "rule": advice.rule,
                "severity": advice.severity.name(),
                "file": advice.place.as_ref().map(|place| &*place.file),
                "line": advice.place.as_ref().map(|place| place.line),
                "section": advice.section,
                "why": advice.why,
                "write": advice.write,
                "evidence": advice.evidence,
            })
        })
        .collect();
    let supposed = looked
        .predictions
        .iter()
        .map(|(host, told)| what_if::json(host.as_ref(), told));
    let supposed: Vec<_> = supposed.collect();
    let object = json!({
        "schema": super::json::SCHEMA,
        "view": "advise",
        "files": looked.files,
        "doubts": looked.doubts,
        "stuck": looked.stuck,
        "findings": findings,
        "what_if": supposed,
        "apply": steps(looked),
    });
    writeln!(out, "{object}")
}
