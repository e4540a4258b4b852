//! `setup`: looks for what a purpose needs, and installs it where it knows how to: on Debian, as root.
//!
//! Looking is quick (files on PATH, no program is started but bpf-linker), so every command begins with it.

mod advice;
pub(crate) mod archive;
mod debian;
mod needs;
pub(crate) mod toolchain;
pub(crate) mod versions;

use anyhow::Result;

use crate::failure::Failure;
use crate::process;
use needs::Need;

/// What the machine is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Build,
    Demo,
    Test,
    Bench,
}

/// What is not there.
struct Missing {
    /// No toolchain can compile for BPF.
    toolchain: bool,
    tools: Vec<&'static Need>,
}

pub(crate) fn command(args: &[String]) -> Result<()> {
    let purposes = match args {
        [] => vec![Purpose::Build, Purpose::Demo, Purpose::Test, Purpose::Bench],
        [flag, what] if flag == "--for" => vec![purpose(what)?],
        [first, ..] => match first.strip_prefix("--for=") {
            Some(what) if args.len() == 1 => vec![purpose(what)?],
            _ => return Err(Failure::unknown("setup", first)),
        },
    };
    ensure(&purposes)?;
    match toolchain::find() {
        Ok(toolchain) => println!("setup: nothing is missing; the kernel half is compiled with {toolchain}"),
        Err(_) => println!("setup: nothing is missing"),
    }
    Ok(())
}

fn purpose(word: &str) -> Result<Purpose> {
    match word {
        "build" => Ok(Purpose::Build),
        "demo" => Ok(Purpose::Demo),
        "test" => Ok(Purpose::Test),
        "bench" => Ok(Purpose::Bench),
        other => Err(Failure::usage(format!(
            "setup --for takes build, demo, test or bench, not `{other}`"
        ))),
    }
}

/// Makes the machine ready, or says what the user must do and fails with exit code 3.
pub(crate) fn ensure(purposes: &[Purpose]) -> Result<()> {
    let missing = look(purposes);
    if missing.is_complete() {
        return Ok(());
    }
    if debian::is_debian() && process::is_root() {
        debian::install(&missing);
    } else {
        advice::print(&missing);
    }
    let still = look(purposes);
    if still.is_complete() {
        return Ok(());
    }
    // A tool that only adds to a comparison is named, and lived without.
    let required = still.required();
    if required.is_empty() {
        for need in still.tools {
            eprintln!("setup: without {}: {}", need.tool, need.why);
        }
        return Ok(());
    }
    if debian::is_debian() && process::is_root() {
        advice::print(&still);
    }
    Err(Failure::missing(format!(
        "still missing: {}",
        required.join(", ")
    )))
}

fn look(purposes: &[Purpose]) -> Missing {
    // Every purpose compiles hatrace first.
    Missing {
        toolchain: toolchain::find().is_err(),
        tools: needs::TOOLS
            .iter()
            .filter(|need| need.purposes.iter().any(|p| purposes.contains(p)))
            .filter(|need| process::which(need.tool).is_none())
            .collect(),
    }
}

impl Missing {
    fn is_complete(&self) -> bool {
        !self.toolchain && self.tools.is_empty()
    }

    fn required(&self) -> Vec<&'static str> {
        let toolchain = self.toolchain.then_some("a compiler for BPF");
        let tools = self
            .tools
            .iter()
            .filter(|need| !need.optional)
            .map(|need| need.tool);
        toolchain.into_iter().chain(tools).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_required_stops_a_command() {
        let optional: Vec<_> = needs::TOOLS.iter().filter(|need| need.optional).collect();
        let missing = Missing {
            toolchain: false,
            tools: optional,
        };
        assert!(!missing.is_complete());
        assert!(missing.required().is_empty());
        let missing = Missing {
            toolchain: true,
            tools: Vec::new(),
        };
        assert_eq!(missing.required(), ["a compiler for BPF"]);
    }

    #[test]
    fn arguments_are_checked() {
        for bad in [&["--for"][..], &["--for", "tea"], &["x"], &["--for=build", "x"]] {
            let args: Vec<String> = bad.iter().map(|s| (*s).to_owned()).collect();
            assert!(command(&args).is_err(), "{bad:?}");
        }
    }
}
