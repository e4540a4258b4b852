//! `test`: every test there is, and one last line that counts them.
//!
//! A test that could not run is *skipped* and says why; it is never counted as passed. libtest knows no such
//! thing, so a live test that cannot run returns quietly and adds the line `skipped: NAME: REASON` to the
//! file named by `HATRACE_SKIPPED_FILE`; here it moves from one count to the other.

mod stage;
mod tally;

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::failure::Failure;
use crate::process;
use crate::setup::{self, Purpose};
use crate::vm;
use crate::workspace::Workspace;
use stage::Stage;
use tally::Tally;

/// The package of the live tests, and how its integration tests that need root are called.
const LIVE_PACKAGE: &str = "hatrace-tests";
const LIVE: &str = "live";

pub(crate) fn command(workspace: &Workspace, args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    setup::ensure(&[Purpose::Build, Purpose::Test])?;
    setup::versions::ensure(workspace);
    build::build(workspace, false)?;

    let skipped_file = workspace.target.join("skipped.txt");
    std::fs::write(&skipped_file, "").with_context(|| format!("writing {}", skipped_file.display()))?;
    let mut total = Tally::default();
    for stage in stages(workspace, &options)? {
        total.add(stage.run(workspace, &skipped_file)?);
    }
    total.add(kernels(workspace, &options)?);
    let skipped = std::fs::read_to_string(&skipped_file)
        .with_context(|| format!("reading {}", skipped_file.display()))?;
    total.skip(&skipped);

    for reason in total.reasons() {
        println!("{reason}");
    }
    println!("{total}");
    if total.failed() > 0 {
        // The counts stay the last line of what is printed; the exit code says the rest.
        std::process::exit(1);
    }
    if total.is_empty() && options.filter.is_none() {
        bail!("no test ran at all");
    }
    Ok(())
}

/// The live tests on other kernels. What there is none of here is skipped, and says why.
fn kernels(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let mut tally = Tally::default();
    let lack = ["qemu-system-x86_64", "busybox", "xz"]
        .into_iter()
        .find(|tool| process::which(tool).is_none());
    if let Some(tool) = lack {
        tally.other(
            0,
            0,
            1,
            vec![format!("skipped: other kernels: {tool} isn't installed")],
        );
        return Ok(tally);
    }
    eprintln!("test: other kernels");
    for outcome in vm::test(workspace, options.filter.as_deref(), options.all)? {
        tally.other(
            outcome.passed(),
            outcome.failed(),
            outcome.skipped(),
            outcome.reasons(),
        );
    }
    Ok(tally)
}

struct Options {
    filter: Option<String>,
    all: bool,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self {
            filter: None,
            all: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match (arg.as_str(), arg.strip_prefix("--filter=")) {
                (_, Some(filter)) => options.filter = Some(filter.to_owned()),
                ("--filter", _) => {
                    let filter = args
                        .next()
                        .ok_or_else(|| Failure::usage("--filter wants a test's name"))?;
                    options.filter = Some(filter.clone());
                }
                ("--all", _) => options.all = true,
                (other, _) => return Err(Failure::unknown("test", other)),
            }
        }
        Ok(options)
    }

    /// What goes behind the `--` to libtest.
    fn harness(&self) -> Vec<String> {
        let mut words: Vec<String> = self.filter.iter().cloned().collect();
        if self.all {
            words.push("--include-ignored".to_owned());
        }
        words
    }
}

/// The engine is tested in debug: it is small, and overflow checks are half of what its property tests are
/// for. The rest shares the release build that hatrace itself needs, so that nothing is compiled twice.
fn stages(workspace: &Workspace, options: &Options) -> Result<Vec<Stage>> {
    let host = vec!["--release", "--package", "hatrace", "--package", "xtask"];
    let mut tests = vec!["--release", "--package", LIVE_PACKAGE, "--lib"];
    let mut live = vec!["--release", "--package", LIVE_PACKAGE];
    let targets = workspace.test_targets(LIVE_PACKAGE)?;
    for target in &targets {
        let stage = if target.starts_with(LIVE) {
            &mut live
        } else {
            &mut tests
        };
        stage.extend(["--test", target]);
    }
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let mut stages = vec![
        Stage::new(
            "engine",
            &["--package", "hatrace-core", "--package", "hatrace-common"],
            minutes(15),
        ),
        Stage::new("agent and xtask", &host, minutes(15)),
        Stage::new("architecture", &tests, minutes(10)),
    ];
    if targets.iter().any(|target| target.starts_with(LIVE)) {
        let mut stage = Stage::new("live", &live, minutes(if options.all { 60 } else { 25 }));
        stage.harness(&["--test-threads".to_owned(), at_a_time().to_string()]);
        stages.push(stage);
    }
    for stage in &mut stages {
        stage.harness(&options.harness());
    }
    Ok(stages)
}

/// How many live tests run at a time: they wait for timeouts, most of the time.
fn at_a_time() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors * 2).clamp(4, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_reach_the_harness() {
        let options = parse(&["--filter", "close_wait", "--all"]).unwrap();
        assert_eq!(options.harness(), ["close_wait", "--include-ignored"]);
        assert_eq!(parse(&["--filter=x"]).unwrap().harness(), ["x"]);
        assert!(parse(&["--filter"]).is_err());
        assert!(parse(&["close_wait"]).is_err());
    }
}
