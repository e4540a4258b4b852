//! `cargo xtask`: everything one does with a clone of hatrace, as one program that needs nothing but Rust.
//!
//! One file per command. What is missing on the machine is installed or named, never silently skipped.

mod bench;
mod build;
mod demo;
mod failure;
mod lint;
mod process;
mod setup;
mod test;
mod vm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::failure::Failure;
use crate::workspace::Workspace;

const USAGE: &str = "\
cargo xtask COMMAND

  setup [--for build|demo|test|bench]   install what is missing (Debian, root) or say what to install
  build [--debug]                       the kernel half, then hatrace: target/release/hatrace
  test  [--filter NAME] [--all]         every test, the live ones too; --all adds the slow ones
  vm    [--filter NAME] [--all] [KERNEL...]   the live tests on other kernels, in QEMU: 5.10 6.1 6.12 6.18 newest;
                                        none: the usual ones; --all writes docs/TRUST.md
  lint                                  formatting, clippy, docs, licences, the architecture's own test
  demo  [ARGS]                          a real HAProxy with a leaky peer, traced (root)
  bench [--quick] [PART...]             what tracing costs, measured here: docs/PERFORMANCE.md (root)
                                        parts: loop haproxy bpf asking growth recording logs inside; none: all

Exit codes: 0 done, 1 failed, 2 usage, 3 something this machine lacks.";

fn main() -> ExitCode {
    // The bench runs a copy of this program under the name `haproxy`, because hatrace traces nothing else.
    if let Some(code) = bench::churn::as_haproxy() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    // And others of it, to hold the ends of connections.
    let done = bench::hold::as_holder(&args).unwrap_or_else(|| dispatch(&args));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.downcast_ref::<Failure>().map_or(1, Failure::exit_code);
            eprintln!("error: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else {
        return Err(Failure::usage(USAGE));
    };
    match command.as_str() {
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        "setup" => setup::command(rest),
        "build" => build::command(&Workspace::find()?, rest),
        "test" => test::command(&Workspace::find()?, rest),
        "lint" => lint::command(&Workspace::find()?, rest),
        "vm" => vm::command(&Workspace::find()?, rest),
        "demo" => demo::command(&Workspace::find()?, rest),
        "bench" => bench::command(&Workspace::find()?, rest),
        other => Err(Failure::usage(format!("no command `{other}`\n\n{USAGE}"))),
    }
}
