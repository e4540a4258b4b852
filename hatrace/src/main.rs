//! `hatrace`: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match hatrace::cli::parse() {
        Ok(invocation) => hatrace::app::run(invocation),
        Err(code) => code,
    }
}
