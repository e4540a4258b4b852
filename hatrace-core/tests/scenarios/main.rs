//! The engine held against stories: each file of `tests/scenarios` is one, a line an input, and after each
//! `snapshot` everything that the engine then says.
//!
//! The expectation is the whole page, so that nothing can slip in unseen. `HATRACE_BLESS=1` writes the pages anew, for a
//! reader to judge in the diff.

mod config;
mod line;
mod page;
mod rows;
mod talk;
mod world;

use std::path::Path;

fn scenario(path: &Path) -> datatest_stable::Result<()> {
    let script = std::fs::read_to_string(path)?;
    let told = tell(&script).map_err(|why| format!("{}: {why}", path.display()))?;
    if std::env::var_os("HATRACE_BLESS").is_some() {
        std::fs::write(path, &told)?;
        return Ok(());
    }
    if told == script {
        return Ok(());
    }
    let differing: Vec<String> = diff(&script, &told);
    Err(format!(
        "{} tells another story:\n{}",
        path.display(),
        differing.join("\n")
    )
    .into())
}

/// The script with the pages that the engine gives, in place of those that it had.
fn tell(script: &str) -> Result<String, String> {
    let mut world = world::World::new();
    let mut told = String::new();
    let mut snapshots = 0;
    for (index, text) in script.lines().enumerate() {
        let failed = |why: String| format!("line {}: {why}: {text}", index + 1);
        if text.trim_start().starts_with('|') {
            continue;
        }
        told.push_str(text);
        told.push('\n');
        let Some(line) = line::Line::parse(text).map_err(failed)? else {
            continue;
        };
        if line.verb == "snapshot" {
            snapshots += 1;
            for row in world.page(line.at).map_err(failed)? {
                told.push_str("    | ");
                told.push_str(&row);
                told.push('\n');
            }
        } else {
            world.take(&line).map_err(failed)?;
        }
    }
    if snapshots == 0 {
        return Err("no snapshot: nothing would be tested".to_owned());
    }
    Ok(told)
}

/// Lines of one that the other lacks.
fn diff(expected: &str, told: &str) -> Vec<String> {
    let side = |sign: char, mine: &str, other: &str| -> Vec<String> {
        mine.lines()
            .filter(|line| !other.lines().any(|there| there == *line))
            .map(|line| format!("{sign} {line}"))
            .collect()
    };
    let mut lines = side('-', expected, told);
    lines.extend(side('+', told, expected));
    if lines.is_empty() {
        lines.push("(the same lines in another order)".to_owned());
    }
    lines
}

datatest_stable::harness! {
    { test = scenario, root = "../tests/scenarios", pattern = r"\.txt$" },
}
