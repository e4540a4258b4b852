//! The only loop: pulls from a source, pushes into the engine, hands snapshots to views.

mod advise;
mod asker;
mod bundle;
mod culprits;
mod demo;
mod doctor;
mod drive;
mod explain;
mod intervals;
mod logs;
#[cfg(test)]
mod nonsense;
mod record;
mod replay;
mod report;
mod sessions;
mod source;
mod stuck;
mod tap;
mod together;
mod trace;

use std::process::ExitCode;

use crate::cli::Invocation;
use crate::error::Problem;
use crate::view::out::Words;
use crate::view::{OutputError, OutputOptions};

/// Does what was asked; what goes wrong is said, and is the exit code.
#[must_use]
pub fn run(invocation: Invocation) -> ExitCode {
    let output = output_of(&invocation).clone();
    let words = Words::new(&output);
    log_words(output.verbose, words);
    let done = runtime().and_then(|runtime| runtime.block_on(dispatch(invocation, words)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            words.fail(&problem);
            ExitCode::from(problem.exit as u8)
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    // One thread: the work is a few milliseconds a second, and HAProxy wants the other cores.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::failed(format!("the runtime can't be started: {error}")))
}

async fn dispatch(invocation: Invocation, words: Words) -> Result<(), Problem> {
    match invocation {
        Invocation::Trace(options) => trace::run(&options, words).await,
        Invocation::Report(options) => report::run(&options, words).await,
        Invocation::Record(options) => record::run(&options, words).await,
        Invocation::Culprits(options) => culprits::run(&options, words).await,
        Invocation::Advise(options) => advise::run(&options, words).await,
        Invocation::Explain(options) => explain::run(&options),
        Invocation::Logs(options) => logs::run(&options, words).await,
        Invocation::Stuck(options) => stuck::run(&options, words).await,
        Invocation::Sessions(options) => sessions::run(&options, words).await,
        Invocation::Doctor(options) => doctor::run(&options).await,
        Invocation::Demo(options) => demo::run(&options, words).await,
        Invocation::BenchEmpty(options) => trace::bench_empty(&options, words).await,
    }
}

const fn output_of(invocation: &Invocation) -> &OutputOptions {
    match invocation {
        Invocation::Trace(options)
        | Invocation::Report(options)
        | Invocation::Culprits(options)
        | Invocation::Stuck(options) => &options.output,
        Invocation::Advise(options) => &options.watch.output,
        Invocation::Explain(options) => &options.output,
        Invocation::Logs(options) => &options.output,
        Invocation::Sessions(options) => &options.watch.output,
        Invocation::Record(options) => &options.watch.output,
        Invocation::Doctor(options) => &options.output,
        Invocation::Demo(options) => &options.output,
        Invocation::BenchEmpty(options) => &options.output,
    }
}

/// `-v`: the kernel half's rare words and what was done without; `-vv`: more of it.
fn log_words(verbose: u8, words: Words) {
    let level = match verbose {
        0 => tracing::Level::ERROR,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(words.paint().colours())
        .with_writer(std::io::stderr)
        .try_init();
}

/// An output that nobody reads any more is the quiet end of the work.
fn unless_gone(written: Result<(), OutputError>) -> Result<std::ops::ControlFlow<()>, Problem> {
    match written {
        Ok(()) => Ok(std::ops::ControlFlow::Continue(())),
        Err(OutputError::Gone) => Ok(std::ops::ControlFlow::Break(())),
        Err(OutputError::Failed(problem)) => Err(problem),
    }
}
