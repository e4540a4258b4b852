//! `doctor`: what this host allows, what it costs to lack, what to do.

use std::io::{self, Write};

use serde::Serialize;

use super::json::SCHEMA;
use super::page::Page;
use super::paint::Ink;
use super::words::clean;
use crate::port::{Check, Status};

impl Status {
    const fn ink(self) -> Ink {
        match self {
            Self::Ok => Ink::Good,
            Self::Warn => Ink::Warn,
            Self::Fail => Ink::Bad,
        }
    }
}

/// The worst of them; `Ok` of none.
#[must_use]
pub fn worst(checks: &[Check]) -> Status {
    checks
        .iter()
        .map(|check| check.status)
        .max()
        .unwrap_or(Status::Ok)
}

/// A line for each check, and below it what it costs and what to do.
///
/// # Errors
/// The writer's.
pub fn text(out: &mut dyn Write, checks: &[Check], page: &Page) -> io::Result<()> {
    let width = checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    for check in checks {
        let status = format!("{:<4}", check.status.name());
        let status = page.paint.dab(check.status.ink(), &status);
        writeln!(out, "{status} {:<width$} {}", check.name, clean(&check.found))?;
        let more = [("costs:", &check.costs), ("try:", &check.remedy)];
        for (label, text) in more
            .into_iter()
            .filter_map(|(label, text)| Some((label, text.as_ref()?)))
        {
            writeln!(
                out,
                "     {:width$} {} {text}",
                "",
                page.paint.dab(Ink::Faint, label)
            )?;
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let conclusion = match worst(checks) {
        Status::Ok => "everything is there",
        Status::Warn => "hatrace works here, with what is said above",
        Status::Fail => "tracing can't be had here as things are",
    };
    let line = format!(
        "{} ok, {} warn, {} fail: {conclusion}",
        count(Status::Ok),
        count(Status::Warn),
        count(Status::Fail)
    );
    writeln!(out, "{}", page.paint.dab(worst(checks).ink(), &line))
}

/// The same as one object.
///
/// # Errors
/// The writer's.
pub fn json(out: &mut dyn Write, checks: &[Check]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        view: &'static str,
        worst: Status,
        checks: &'a [Check],
    }
    let document = Document {
        schema: SCHEMA,
        view: "doctor",
        worst: worst(checks),
        checks,
    };
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::view::sample;

    fn checks() -> Vec<Check> {
        vec![
            Check {
                name: "kernel".to_owned(),
                status: Status::Ok,
                found: "Linux 6.18.0 with BTF".to_owned(),
                costs: None,
                remedy: None,
                figures: BTreeMap::new(),
            },
            Check {
                name: "timewaits".to_owned(),
                status: Status::Warn,
                found: "fentry does not load".to_owned(),
                costs: Some("the end of an orphaned FIN_WAIT2 is known to ±1s".to_owned()),
                remedy: Some("a kernel with CONFIG_FUNCTION_TRACER=y".to_owned()),
                figures: BTreeMap::new(),
            },
        ]
    }

    #[test]
    fn a_line_each_with_cost_and_remedy() {
        let written = sample::text(|out| text(out, &checks(), &Page::default()));
        assert_eq!(
            written,
            "\
ok   kernel    Linux 6.18.0 with BTF
warn timewaits fentry does not load
               costs: the end of an orphaned FIN_WAIT2 is known to ±1s
               try: a kernel with CONFIG_FUNCTION_TRACER=y
1 ok, 1 warn, 0 fail: hatrace works here, with what is said above
"
        );
    }

    #[test]
    fn the_same_as_json() {
        let written = sample::text(|out| json(out, &checks()));
        let parsed: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(parsed["worst"], "warn");
        assert_eq!(parsed["checks"][0]["remedy"], serde_json::Value::Null);
        assert_eq!(parsed["checks"][1]["name"], "timewaits");
        assert_eq!(worst(&[]), Status::Ok);
    }
}
