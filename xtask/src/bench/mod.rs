//! `bench`: what tracing costs, measured on this machine, with the noise of the measurement beside it.
//!
//! Everything runs in a network namespace of its own. Variants take turns within each round, in an order
//! that moves, so that a machine that grows warm or busy treats them alike; what counts are ratios within a
//! round. What could not be measured is a line of the result, not a gap in it.

mod asking;
mod bpfstats;
pub(crate) mod churn;
mod host;
mod measure;
mod netns;
mod page;
mod results;
mod rig;
mod tracer;

use anyhow::{Context, Result};

use crate::failure::Failure;
use crate::setup::{self, Purpose};
use crate::workspace::Workspace;
use crate::{build, process};
use results::Results;

/// How much of everything.
struct Effort {
    quick: bool,
    /// Connections per lap of the tight loop, and how often each variant has its turn.
    connections: u32,
    turns: usize,
    /// Seconds per run of wrk, and how many rounds.
    seconds: u32,
    rounds: usize,
}

const FULL: Effort = Effort {
    quick: false,
    connections: 20_000,
    turns: 5,
    seconds: 4,
    rounds: 6,
};
const QUICK: Effort = Effort {
    quick: true,
    connections: 5_000,
    turns: 2,
    seconds: 2,
    rounds: 2,
};

/// What of it is to be measured.
struct Asked {
    quick: bool,
    /// None: everything.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The tight loop.
    Loop,
    /// HAProxy under load, and what the kernel says of it.
    Haproxy,
    /// The kernel's account alone.
    Bpf,
    /// What being asked costs HAProxy.
    Asking,
}

impl Asked {
    fn parse(args: &[String]) -> Result<Self> {
        let mut asked = Self {
            quick: false,
            parts: Vec::new(),
        };
        for arg in args {
            match arg.as_str() {
                "--quick" => asked.quick = true,
                "loop" => asked.parts.push(Part::Loop),
                "haproxy" => asked.parts.push(Part::Haproxy),
                "bpf" => asked.parts.push(Part::Bpf),
                "asking" => asked.parts.push(Part::Asking),
                other => return Err(Failure::unknown("bench", other)),
            }
        }
        Ok(asked)
    }

    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

pub(crate) fn command(workspace: &Workspace, args: &[String]) -> Result<()> {
    let asked = Asked::parse(args)?;
    let effort = if asked.quick { QUICK } else { FULL };
    setup::ensure(&[Purpose::Build, Purpose::Bench])?;
    build::build(workspace, false)?;
    if !process::is_root() {
        return Err(Failure::missing(
            "the bench makes a network namespace and traces in it, as root
  \
             try: sudo -E env PATH=\"$PATH\" cargo xtask bench",
        ));
    }
    let folder = workspace.target.join("bench-run");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    netns::enter()?;

    let bench = measure::Bench {
        hatrace: workspace.binary(),
        folder,
        effort: &effort,
    };
    let mut results = Results::new(host::describe(&bench.hatrace), effort.quick);
    if bpfstats::always_on() {
        results.missing(
            "rounds without BPF statistics",
            "kernel.bpf_stats_enabled is set here: costs look higher",
        );
    }
    if asked.wants(Part::Loop) {
        bench.churn(&mut results)?;
    }
    if asked.wants(Part::Haproxy) {
        bench.rig(&mut results)?;
    }
    if asked.wants(Part::Bpf) {
        bench.bpf_time(&mut results)?;
    }
    let turns = if effort.quick { 1 } else { 3 };
    if asked.wants(Part::Asking)
        && let Err(error) = asking::measure(&bench.hatrace, &bench.folder, turns, &mut results)
    {
        results.missing("HAProxy's side of being asked", &format!("{error:#}"));
    }

    print!("{}", page::table(&results));
    let json = workspace.target.join("bench.json");
    let text = serde_json::to_string_pretty(&results.to_json()).context("writing JSON")? + "\n";
    std::fs::write(&json, text).with_context(|| format!("writing {}", json.display()))?;
    eprintln!("bench: wrote {}", json.display());
    if effort.quick {
        eprintln!("bench: --quick is for trying it out: docs/PERFORMANCE.md is left as it is");
        return Ok(());
    }
    let docs = workspace.root.join("docs");
    std::fs::create_dir_all(&docs).with_context(|| format!("making {}", docs.display()))?;
    let performance = docs.join("PERFORMANCE.md");
    std::fs::write(&performance, page::markdown(&results))
        .with_context(|| format!("writing {}", performance.display()))?;
    eprintln!("bench: wrote {}", performance.display());
    Ok(())
}
