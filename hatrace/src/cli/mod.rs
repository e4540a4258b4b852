//! The command line: what was asked, resolved.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod args;
mod asked;
mod codes;
mod help;
mod options;
mod recording;
mod resolve;
mod value;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

pub use options::{
    AdviseOptions, ApiOptions, BenchOptions, DemoOptions, DoctorOptions, ExplainOptions, Invocation,
    LogsOptions, ModeChoice, Moment, RecordOptions, SessionsOptions, Target, WatchOptions,
};

use crate::error::Exit;
use crate::view::out::{OutputOptions, Words};

/// Reads the process's own command line.
///
/// # Errors
/// The exit code of a process that has nothing to do: 0 after `--help` and `--version`, 2 after a command line that is
/// wrong. What there is to say has been said.
pub fn parse() -> Result<Invocation, ExitCode> {
    parse_from(std::env::args_os())
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// As [`parse`].
pub fn parse_from(line: impl IntoIterator<Item = OsString>) -> Result<Invocation, ExitCode> {
    let args = args::Args::try_parse_from(codes::shielded(line)).map_err(|error| {
        // A broken pipe while printing a help text is nobody's problem.
        let _ = error.print();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
            _ => ExitCode::from(Exit::Usage as u8),
        }
    })?;
    resolve::resolve(args).map_err(|problem| {
        Words::new(&OutputOptions::default()).fail(&problem);
        ExitCode::from(problem.exit as u8)
    })
}

#[cfg(test)]
mod tests;
