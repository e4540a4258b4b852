//! docs/TRUST.md: what works where, each cell from a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::outcome::{Outcome, Verdict};
use super::plan::{TOPICS, WITHOUT};
use crate::process;
use crate::workspace::Workspace;

/// Checks of `doctor` that are about what a kernel can do.
const ABILITIES: [&str; 6] = [
    "programs",
    "timewait-ends",
    "resets-sent",
    "retransmits",
    "one-process",
    "sock_diag",
];

/// What the live tests of this machine say of HAProxy's versions: `fact: VERSION: WHAT: CELL`.
struct Facts(BTreeMap<String, BTreeMap<String, String>>);

pub(super) fn write(workspace: &Workspace, outcomes: &[Outcome]) -> Result<()> {
    let facts = Facts::gather(workspace)?;
    let path = workspace.root.join("docs/TRUST.md");
    std::fs::write(&path, page(outcomes, &facts)).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("vm: wrote {}", path.display());
    Ok(())
}

impl Facts {
    fn gather(workspace: &Workspace) -> Result<Self> {
        let file = workspace.target.join("facts.txt");
        std::fs::write(&file, "")?;
        eprintln!("vm: the tests of HAProxy's versions, on this machine");
        let mut cargo = workspace.cargo("test");
        cargo
            .args(["--release", "--package", "hatrace-tests", "--test", "live", "--"])
            .args(["sessions::", "--test-threads", "1"])
            .env("HATRACE_BIN", workspace.binary())
            .env("HATRACE_HAPROXY_DIR", workspace.target.join("haproxy"))
            .env("HATRACE_FACTS_FILE", &file);
        process::capture(&mut cargo)?;
        Ok(Self::parse(&std::fs::read_to_string(&file)?))
    }

    fn parse(text: &str) -> Self {
        let mut facts: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for line in text.lines() {
            let mut parts = line.splitn(3, ": ");
            if let (Some(version), Some(what), Some(cell)) = (parts.next(), parts.next(), parts.next()) {
                facts
                    .entry(version.to_owned())
                    .or_default()
                    .insert(what.to_owned(), cell.to_owned());
            }
        }
        Self(facts)
    }
}

fn page(outcomes: &[Outcome], facts: &Facts) -> String {
    let mut out = "# What can be trusted where\n\n\
        Written by `cargo xtask vm --all`; do not edit. Each cell is from a run: the live tests, with a real HAProxy, on Debian's kernels in \
        QEMU, and on this machine with several HAProxys. —: not run there (5.10 \
        can only poll, and has the tests of that; one that waits for a minute is run once).\n"
        .to_owned();
    kernels(outcomes, &mut out);
    abilities(outcomes, &mut out);
    verifier(outcomes, &mut out);
    joins(facts, &mut out);
    out
}

fn head(first: &str, columns: impl Iterator<Item = String>) -> String {
    let columns: Vec<String> = columns.collect();
    format!(
        "| {first} | {} |\n|---|{}\n",
        columns.join(" | "),
        "---|".repeat(columns.len())
    )
}

fn columns(outcomes: &[Outcome]) -> impl Iterator<Item = String> {
    outcomes.iter().map(|outcome| {
        outcome
            .release
            .clone()
            .unwrap_or_else(|| format!("{} (not run)", outcome.kernel.name))
    })
}

fn kernels(outcomes: &[Outcome], out: &mut String) {
    *out += "\n## Kernels\n\n";
    topics(outcomes, |outcome| &outcome.tests, out);
    let _ = write!(
        out,
        "\nThe same tests on the same kernels with everything switched off that some kernels lack (`--without {WITHOUT}`): what is told \
         then is told less exactly, and nothing else changes.\n\n"
    );
    topics(outcomes, |outcome| &outcome.without, out);
}

fn topics(outcomes: &[Outcome], results: impl Fn(&Outcome) -> &BTreeMap<String, Verdict>, out: &mut String) {
    *out += &head("what", columns(outcomes));
    for topic in &TOPICS {
        let cells: Vec<String> = outcomes
            .iter()
            .map(|outcome| {
                let cell = cell(results(outcome), topic.tests(outcome.kernel));
                match cell.as_str() {
                    "ok" if !outcome.kernel.traced => "ok, polled".to_owned(),
                    _ => cell,
                }
            })
            .collect();
        let _ = writeln!(out, "| {} | {} |", topic.name, cells.join(" | "));
    }
}

/// What several tests came to.
fn cell(results: &BTreeMap<String, Verdict>, tests: &[&str]) -> String {
    let found: Vec<&Verdict> = tests.iter().filter_map(|name| results.get(*name)).collect();
    if found.is_empty() {
        return "—".to_owned();
    }
    let failed = found
        .iter()
        .filter(|verdict| **verdict == &Verdict::Failed)
        .count();
    let skipped = found.iter().find_map(|verdict| match verdict {
        Verdict::Skipped(why) => Some(why.as_str()),
        Verdict::Passed | Verdict::Failed => None,
    });
    match (failed, skipped, tests.len() - found.len()) {
        (0, None, 0) => "ok".to_owned(),
        (0, Some(why), 0) => format!("not there: {why}"),
        (0, _, silent) => format!("**{silent} NOT RUN**"),
        (failed, ..) => format!("**{failed} FAILED**"),
    }
}

fn abilities(outcomes: &[Outcome], out: &mut String) {
    *out += "\n## What each kernel allows\n\nBy `hatrace doctor`, which tries each of them once.\n\n";
    *out += &head("ability", columns(outcomes));
    for name in ABILITIES {
        let cells: Vec<String> = outcomes
            .iter()
            .map(|outcome| match outcome.check(name) {
                None => "—".to_owned(),
                Some(check) if check["status"] == "ok" => "ok".to_owned(),
                Some(check) => format!(
                    "no: {}. It costs: {}",
                    check["found"].as_str().unwrap_or("?"),
                    check["costs"].as_str().unwrap_or("?")
                ),
            })
            .map(|cell| cell.replace('|', "\\|"))
            .collect();
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    }
}

fn verifier(outcomes: &[Outcome], out: &mut String) {
    *out += "\n## What the verifier looks at\n\nInstructions, along all the ways that it follows; a million is its limit. \
             `tests/verified.json` has them for the next run.\n\n";
    *out += &head("program", columns(outcomes));
    let all: Vec<BTreeMap<String, u64>> = outcomes.iter().map(Outcome::verified).collect();
    let mut names: Vec<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    for name in names {
        let cells: Vec<String> = all
            .iter()
            .map(|programs| programs.get(name).map_or("—".to_owned(), u64::to_string))
            .collect();
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    }
}

fn joins(facts: &Facts, out: &mut String) {
    *out += "\n## HAProxy's versions\n\n\
             Sockets that hatrace gave a session, held against HAProxy's own `show sess all`: how many of how many are right. Twice each, \
             by `stuck` and by a traced `report`; a wrong one fails the test.\n\n";
    *out += &head(
        "whose sockets",
        facts.0.keys().map(|version| format!("HAProxy {version}")),
    );
    let mut rows: Vec<&String> = facts.0.values().flat_map(BTreeMap::keys).collect();
    rows.sort();
    rows.dedup();
    for row in rows {
        let cells: Vec<&str> = facts
            .0
            .values()
            .map(|cells| cells.get(row).map_or("—", String::as_str))
            .collect();
        let _ = writeln!(out, "| {row} | {} |", cells.join(" | "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_what_its_tests_came_to() {
        let results = BTreeMap::from([
            ("a".to_owned(), Verdict::Passed),
            ("b".to_owned(), Verdict::Failed),
            ("c".to_owned(), Verdict::Skipped("no MPTCP".to_owned())),
        ]);
        assert_eq!(cell(&results, &["a"]), "ok");
        assert_eq!(cell(&results, &["a", "b"]), "**1 FAILED**");
        assert_eq!(cell(&results, &["a", "c"]), "not there: no MPTCP");
        assert_eq!(cell(&results, &["d"]), "—");
        assert_eq!(cell(&results, &["a", "d"]), "**1 NOT RUN**");
    }

    #[test]
    fn facts_are_by_version() {
        let facts = Facts::parse("2.6.12: TLS: 1 of 1\n3.0.11: TLS: 1 of 1\n");
        let mut out = String::new();
        joins(&facts, &mut out);
        assert!(out.contains("| HAProxy 2.6.12 | HAProxy 3.0.11 |"), "{out}");
        assert!(out.contains("| TLS | 1 of 1 | 1 of 1 |"), "{out}");
    }
}
