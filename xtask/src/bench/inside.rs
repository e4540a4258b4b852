//! What single steps of the agent take, by Criterion: `cargo bench`, read from what it leaves behind.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

/// A step and its time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timed {
    pub(super) what: String,
    /// The median, in nanoseconds.
    pub(super) ns: f64,
}

/// Runs them all.
pub(super) fn measure(workspace: &Workspace) -> Result<Vec<Timed>> {
    let results = workspace.target.join("criterion");
    // What is not there any more must not be read.
    if results.exists() {
        std::fs::remove_dir_all(&results).with_context(|| format!("emptying {}", results.display()))?;
    }
    let mut cargo = workspace.cargo("bench");
    cargo.args(["--package", "hatrace", "--bench", "inside", "--", "--quiet"]);
    process::run(cargo.env("CRITERION_HOME", &results))?;
    let mut timed = Vec::new();
    for entry in std::fs::read_dir(&results).with_context(|| format!("reading {}", results.display()))? {
        let folder = entry?.path().join("new");
        let read = |file: &str| -> Result<Value> {
            let path = folder.join(file);
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
        };
        if !folder.exists() {
            continue;
        }
        let what = read("benchmark.json")?["title"]
            .as_str()
            .unwrap_or("?")
            .to_owned();
        let ns = read("estimates.json")?["median"]["point_estimate"].as_f64();
        timed.push(Timed {
            what,
            ns: ns.context("Criterion left no median")?,
        });
    }
    timed.sort_by(|a, b| a.what.cmp(&b.what));
    Ok(timed)
}
