//! `vm`: the live tests on other kernels than this machine's: Debian's, in QEMU.

mod boot;
mod image;
mod kernels;
mod outcome;
mod plan;
mod trust;
mod verified;

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::failure::Failure;
use crate::setup::{self, Purpose};
use crate::workspace::Workspace;
use crate::{build, process};
use kernels::{KERNELS, Kernel};
use outcome::Outcome;

/// A guest that has not powered off by then hangs.
const LIMIT: Duration = Duration::from_secs(15 * 60);

struct Asked {
    kernels: Vec<&'static Kernel>,
    filter: Option<String>,
    /// The whole set, and what follows from it: docs/TRUST.md and the counts of the verifier.
    all: bool,
}

impl Asked {
    fn parse(args: &[String]) -> Result<Self> {
        let mut asked = Self {
            kernels: Vec::new(),
            filter: None,
            all: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let kernel = KERNELS.iter().find(|kernel| kernel.name == arg);
            match (arg.as_str(), kernel) {
                ("--all", _) => asked.all = true,
                ("--filter", _) => {
                    let filter = args
                        .next()
                        .ok_or_else(|| Failure::usage("--filter wants a test's name"))?;
                    asked.filter = Some(filter.clone());
                }
                (_, Some(kernel)) => asked.kernels.push(kernel),
                (other, None) => return Err(Failure::unknown("vm", other)),
            }
        }
        if asked.kernels.is_empty() {
            asked.kernels = KERNELS
                .iter()
                .filter(|kernel| kernel.usual || asked.all)
                .collect();
        }
        Ok(asked)
    }

    /// What it comes to is of everything there is.
    fn is_whole(&self) -> bool {
        self.all && self.filter.is_none() && self.kernels.len() == KERNELS.len()
    }
}

pub(crate) fn command(workspace: &Workspace, args: &[String]) -> Result<()> {
    let asked = Asked::parse(args)?;
    setup::ensure(&[Purpose::Build, Purpose::Test])?;
    build::build(workspace, false)?;
    let outcomes = boot(workspace, &asked.kernels, asked.filter.as_deref(), asked.all)?;
    for outcome in &outcomes {
        print!("{}", outcome.summary());
    }
    let record = verified::Record::read(workspace)?;
    for line in record.differences(&outcomes) {
        println!("{line}");
    }
    if asked.is_whole() {
        verified::Record::of(&outcomes).write(workspace)?;
        trust::write(workspace, &outcomes)?;
    }
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| outcome.failed() > 0)
        .map(|outcome| outcome.kernel.name)
        .collect();
    if !failed.is_empty() {
        bail!("not everything passed on Linux {}", failed.join(", "));
    }
    Ok(())
}

/// What `cargo xtask test` runs: the usual kernels or all of them, and one line of reason for each that can't be had.
pub(crate) fn test(workspace: &Workspace, filter: Option<&str>, all: bool) -> Result<Vec<Outcome>> {
    let kernels: Vec<&Kernel> = KERNELS.iter().filter(|kernel| kernel.usual || all).collect();
    let mut outcomes = boot(workspace, &kernels, filter, all)?;
    let record = verified::Record::read(workspace)?;
    for outcome in &mut outcomes {
        outcome.hold_against(&record);
    }
    Ok(outcomes)
}

fn boot(
    workspace: &Workspace,
    kernels: &[&'static Kernel],
    filter: Option<&str>,
    whole: bool,
) -> Result<Vec<Outcome>> {
    let kernels: Vec<&Kernel> = kernels
        .iter()
        .copied()
        .filter(|kernel| !plan::tests(kernel, filter).is_empty())
        .collect();
    if kernels.is_empty() {
        return Ok(Vec::new());
    }
    let folder = workspace.target.join("vm");
    let live = live_test(workspace)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let base = image::base(
        &[("hatrace", &workspace.binary()), ("live", &live)],
        &workspace.target.join("haproxy"),
        &folder,
    )
    .context("making what the virtual machines run from")?;
    let next = Mutex::new(kernels.iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_a_time() {
            scope.spawn(|| {
                loop {
                    let Some(kernel) = next.lock().ok().and_then(|mut next| next.next().copied()) else {
                        return;
                    };
                    let start = Instant::now();
                    let outcome = one(kernel, &base, &folder, (filter, whole))
                        .unwrap_or_else(|error| Outcome::broken(kernel, &error));
                    eprintln!(
                        "vm: Linux {}: {}, {:.0} s",
                        kernel.name,
                        outcome.counts(),
                        start.elapsed().as_secs_f64()
                    );
                    if let Ok(mut done) = done.lock() {
                        done.push(outcome);
                    }
                }
            });
        }
    });
    let mut outcomes = done.into_inner().unwrap_or_default();
    outcomes.sort_by_key(|outcome: &Outcome| {
        KERNELS
            .iter()
            .position(|kernel| kernel.name == outcome.kernel.name)
    });
    Ok(outcomes)
}

fn one(
    kernel: &'static Kernel,
    base: &std::path::Path,
    folder: &std::path::Path,
    (filter, whole): (Option<&str>, bool),
) -> Result<Outcome> {
    let unpacked = match kernel.ensure(&folder.join("kernels")) {
        Ok(unpacked) => unpacked,
        Err(error) => return Ok(Outcome::absent(kernel, &error)),
    };
    let own = folder.join(kernel.name);
    std::fs::create_dir_all(&own)?;
    let image = image::with(
        base,
        &unpacked.modules,
        &plan::script(kernel, filter, whole),
        &own,
    )?;
    eprintln!("vm: Linux {} ({})", kernel.name, unpacked.version);
    let name = kernel.name;
    let console = boot::run(&unpacked.image, &image, LIMIT, |line| {
        if line.starts_with("test ") {
            eprintln!("vm: {name}: {line}");
        }
    })?;
    std::fs::write(own.join("console"), console.lines.join("\n"))?;
    Ok(Outcome::of(kernel, &console))
}

/// How many guests run at a time. Each emulates two processors, and what its tests see must not wait for another guest's.
fn at_a_time() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / 2).clamp(1, 5)
}

/// The compiled live tests.
fn live_test(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo("test");
    cargo.args([
        "--release",
        "--package",
        "hatrace-tests",
        "--test",
        "live",
        "--no-run",
        "--message-format=json",
    ]);
    let told = process::capture(&mut cargo)?;
    told.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "live")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo names no executable of the live tests")
}
