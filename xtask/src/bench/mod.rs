//! `bench`: what tracing costs, measured on this machine, with the noise of the measurement beside it.
//!
//! Everything runs in a network namespace of its own. Variants take turns within each round, in an order
//! that moves, so that a machine that grows warm or busy treats them alike; what counts are ratios within a
//! round. What could not be measured is a line of the result, not a gap in it.

mod asking;
mod bpfstats;
pub(crate) mod churn;
mod claims;
mod growth;
pub(crate) mod hold;
mod host;
mod inside;
mod json;
mod logs;
mod measure;
mod netns;
mod page;
mod recording;
mod results;
mod rig;
mod spread;
mod table;
mod tracer;

use anyhow::{Context, Result};

use crate::failure::Failure;
use crate::setup::{self, Purpose};
use crate::workspace::Workspace;
use crate::{build, process};
use results::Results;

/// How much of everything.
struct Effort {
    /// Connections per lap of the tight loop, and how often each variant has its turn.
    connections: u32,
    turns: usize,
    /// Rounds of a second each in which rates are compared: many short ones, because neighbours of this machine come and go; other
    /// people's tools take part in every so many.
    rounds: usize,
    peers_every: usize,
    /// Seconds per run of wrk where something else is measured.
    seconds: u32,
    /// Seconds of a run in which a tracer's own CPU and memory are measured, its beginning apart.
    long: u32,
    bpf_rounds: usize,
    /// Pairs of runs with HAProxy asked and not.
    asking: usize,
    /// Open sockets to grow to, and at which of them all are left to linger.
    sizes: &'static [usize],
    leaks: usize,
    /// Seconds for which each kind of traffic is recorded, and how often a million lives are read.
    recorded: u32,
    replays: usize,
}

const FULL: Effort = Effort {
    connections: 5_000,
    turns: 60,
    rounds: 60,
    peers_every: 20,
    seconds: 3,
    long: 15,
    bpf_rounds: 3,
    asking: 3,
    sizes: &[1_000, 10_000, 20_000, 50_000, 100_000],
    leaks: 20_000,
    recorded: 150,
    replays: 7,
};
const QUICK: Effort = Effort {
    connections: 5_000,
    turns: 2,
    rounds: 4,
    peers_every: 4,
    seconds: 2,
    long: 4,
    bpf_rounds: 1,
    asking: 1,
    sizes: &[1_000, 10_000],
    leaks: 10_000,
    recorded: 6,
    replays: 2,
};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Loop,
    Haproxy,
    Bpf,
    Asking,
    Growth,
    Recording,
    Logs,
    Inside,
}

/// The parts, as they are asked for.
const PARTS: [(&str, Part); 8] = [
    ("loop", Part::Loop),
    ("haproxy", Part::Haproxy),
    ("bpf", Part::Bpf),
    ("asking", Part::Asking),
    ("growth", Part::Growth),
    ("recording", Part::Recording),
    ("logs", Part::Logs),
    ("inside", Part::Inside),
];

struct Asked {
    quick: bool,
    /// None: everything.
    parts: Vec<Part>,
}

impl Asked {
    fn parse(args: &[String]) -> Result<Self> {
        let mut asked = Self {
            quick: false,
            parts: Vec::new(),
        };
        for arg in args {
            let part = PARTS.into_iter().find(|(name, _)| name == arg);
            match (arg.as_str(), part) {
                ("--quick", _) => asked.quick = true,
                (_, Some((_, part))) => asked.parts.push(part),
                (other, None) => return Err(Failure::unknown("bench", other)),
            }
        }
        Ok(asked)
    }

    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// The page is of everything, measured with patience.
    fn is_whole(&self) -> bool {
        !self.quick && self.parts.is_empty()
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
    let mut results = Results::new(host::describe(&workspace.binary()), asked.quick);
    if asked.wants(Part::Inside) {
        // Before the namespace: cargo may have to fetch.
        match inside::measure(workspace) {
            Ok(timed) => results.inside = timed,
            Err(error) => results.missing("single steps of the agent", &format!("{error:#}")),
        }
    }
    netns::enter()?;
    let bench = measure::Bench {
        hatrace: workspace.binary(),
        folder,
        effort: &effort,
    };
    run(&bench, &asked, &mut results)?;
    save(workspace, &asked, &results)
}

fn run(bench: &measure::Bench<'_>, asked: &Asked, results: &mut Results) -> Result<()> {
    if bpfstats::always_on() {
        results.missing(
            "rounds without BPF statistics",
            "kernel.bpf_stats_enabled is set here: costs look higher",
        );
    }
    if asked.wants(Part::Loop) {
        bench.tight_loop(results)?;
    }
    if asked.wants(Part::Haproxy) {
        bench.haproxy(results)?;
    }
    if asked.wants(Part::Bpf) {
        bench.bpf_time(results)?;
    }
    if asked.wants(Part::Asking)
        && let Err(error) = asking::measure(&bench.hatrace, &bench.folder, bench.effort.asking, results)
    {
        results.missing("HAProxy's side of being asked", &format!("{error:#}"));
    }
    if asked.wants(Part::Growth)
        && let Err(error) = growth::measure(bench, results)
    {
        results.missing("how cost grows, beyond what the table has", &format!("{error:#}"));
    }
    if asked.wants(Part::Recording)
        && let Err(error) = recording::measure(bench, results)
    {
        results.missing("recordings", &format!("{error:#}"));
    }
    if asked.wants(Part::Logs)
        && let Err(error) = logs::measure(bench, results)
    {
        results.missing("logs", &format!("{error:#}"));
    }
    Ok(())
}

fn save(workspace: &Workspace, asked: &Asked, results: &Results) -> Result<()> {
    print!("{}", table::table(results));
    let json = workspace.target.join("bench.json");
    let text = serde_json::to_string_pretty(&results.to_json()).context("writing JSON")? + "\n";
    std::fs::write(&json, text).with_context(|| format!("writing {}", json.display()))?;
    eprintln!("bench: wrote {}", json.display());
    if !asked.is_whole() {
        eprintln!("bench: docs/PERFORMANCE.md is of whole runs: left as it is");
        return Ok(());
    }
    let docs = workspace.root.join("docs");
    std::fs::create_dir_all(&docs).with_context(|| format!("making {}", docs.display()))?;
    let performance = docs.join("PERFORMANCE.md");
    std::fs::write(&performance, page::markdown(results))
        .with_context(|| format!("writing {}", performance.display()))?;
    eprintln!("bench: wrote {}", performance.display());
    Ok(())
}
