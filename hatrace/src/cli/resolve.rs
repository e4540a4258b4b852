//! From what clap read to what is to be done: defaults filled in, combinations that make no sense refused.

use std::collections::BTreeSet;
use std::time::Duration;

use hatrace_core::verdicts::By;

use super::args::{
    AdviseArgs, Args, ByArg, Command, CulpritsArgs, ExplainArgs, LogsArgs, ModeArg, ReportArgs, SelectArgs,
    SessionsArgs, SourceArgs, TraceArgs, WatchArgs,
};
use super::asked::{Asked, api, both, either_source, either_watch, output, refuse, without_duration};
use super::codes::bare;
use super::options::{
    AdviseOptions, ApiOptions, BenchOptions, DemoOptions, DoctorOptions, ExplainOptions, Invocation,
    LogsOptions, RecordOptions, SessionsOptions, Target, WatchOptions,
};
use super::recording::Recording;
use crate::error::Problem;
use crate::view::out::{Format, OutputOptions};

/// How long the demo runs: its slowest leak ends after 6 s, and a few of them are wanted.
const DEMO: Duration = Duration::from_secs(25);
/// Sockets in a JSON document.
const JSON_ROWS: usize = 10_000;
/// Sessions in a list that is read.
const SESSION_ROWS: usize = 20;
/// Ways to end in a page that is read.
const LOG_ROWS: usize = 20;
/// Sockets in a report that is read.
const REPORT_ROWS: usize = 10;

/// Resolves what was read.
///
/// # Errors
/// A combination that makes no sense.
pub(super) fn resolve(args: Args) -> Result<Invocation, Problem> {
    let without = args.common.without.iter().copied().collect();
    let recording = Recording::of(&args.common);
    recording.apply(invocation(args)?.without(without))
}

fn invocation(args: Args) -> Result<Invocation, Problem> {
    let output = output(&args.common)?;
    let api = api(&args.common)?;
    let target = target(args.common.pid)?;
    // Options of a command may stand before it: `hatrace -d 60 report`.
    let before = args.trace;
    match args.command {
        None => trace(before, target, api, output),
        Some(Command::Trace(own)) => {
            let merged = TraceArgs {
                source: either_source(own.source, before.source),
                watch: either_watch(own.watch, before.watch),
                all: own.all || before.all,
                select: both(own.select, before.select),
            };
            trace(merged, target, api, output)
        }
        Some(Command::Report(own)) => report(own, before, target, api, output),
        Some(Command::Culprits(own)) => culprits(own, before, target, api, output),
        Some(Command::Advise(own)) => advise(own, &before, target, api, output),
        Some(Command::Logs(own)) => logs(own, &before, target, api, output),
        Some(Command::Explain(own)) => explain(&own, &before, target, api, output),
        Some(Command::Stuck(own)) => {
            refuse(before.all, "-a/--all", "stuck")?;
            refuse(before.watch.duration.is_some(), "-d/--duration", "stuck")?;
            refuse(before.watch.interval.is_some(), "--interval", "stuck")?;
            let rows = own.rows.unwrap_or(match output.format {
                Format::Text => usize::MAX,
                Format::Json => JSON_ROWS,
            });
            let asked = Asked {
                source: either_source(own.source, before.source),
                watch: WatchArgs::default(),
                select: both(own.select, before.select),
            };
            let options = asked.options(target, rows, api, output)?;
            Ok(Invocation::Stuck(WatchOptions {
                at: own.at,
                ..options
            }))
        }
        Some(Command::Record(own)) => {
            refuse(
                before.select != SelectArgs::default(),
                "filters (a recording is of everything)",
                "record",
            )?;
            let asked = Asked {
                source: either_source(own.source, before.source),
                watch: either_watch(own.watch, before.watch),
                select: SelectArgs::default(),
            };
            let watch = WatchOptions {
                all: own.all || before.all,
                ..asked.options(target, JSON_ROWS, api, output)?
            };
            let command = own.command;
            Ok(Invocation::Record(RecordOptions { watch, command }))
        }
        Some(Command::Sessions(own)) => {
            refuse(before.all, "-a/--all", "sessions")?;
            refuse(api.off, "--no-api (there is nobody else to ask)", "sessions")?;
            if own.duration.is_some() && !own.servers {
                return Err(Problem::usage("-d is the time between the readings of --servers")
                    .remedy("hatrace sessions --servers -d 5s"));
            }
            sessions(own, before, target, api, output)
        }
        Some(Command::Doctor) => {
            refuse(before != TraceArgs::default(), "the options before it", "doctor")?;
            Ok(Invocation::Doctor(DoctorOptions {
                target,
                api,
                without: BTreeSet::new(),
                output,
            }))
        }
        Some(Command::Demo(own)) => {
            refuse(
                target.pids.is_some(),
                "--pid (it starts a HAProxy of its own)",
                "demo",
            )?;
            let duration = own.duration.or(before.watch.duration);
            let rest = without_duration(before);
            refuse(rest != TraceArgs::default(), "the options before it", "demo")?;
            Ok(Invocation::Demo(DemoOptions {
                duration: duration.unwrap_or(DEMO),
                output,
            }))
        }
        Some(Command::BenchEmpty(own)) => {
            let duration = own.duration.or(before.watch.duration);
            let rest = without_duration(before);
            refuse(
                rest != TraceArgs::default(),
                "the options before it",
                "bench-empty",
            )?;
            Ok(Invocation::BenchEmpty(BenchOptions {
                target,
                duration,
                output,
            }))
        }
    }
}

/// `--pid` takes what follows, so a mistyped command ends up among the pids.
fn target(pids: Option<Vec<String>>) -> Result<Target, Problem> {
    let words = pids
        .iter()
        .flatten()
        .flat_map(|given| given.split(|c: char| c == ',' || c.is_whitespace()));
    for word in words.filter(|word| !word.is_empty()) {
        if word.parse::<u32>().is_err() {
            return Err(Problem::usage(format!(
                "--pid was given `{word}`, which is neither a pid nor a command"
            ))
            .remedy("hatrace --pid $(pidof haproxy)")
            .remedy("hatrace --help, for the commands"));
        }
    }
    Ok(Target { pids })
}

fn report(
    own: ReportArgs,
    before: TraceArgs,
    target: Target,
    api: ApiOptions,
    output: OutputOptions,
) -> Result<Invocation, Problem> {
    refuse(before.all, "-a/--all", "report")?;
    let rows = own.rows.unwrap_or(match output.format {
        Format::Text => REPORT_ROWS,
        Format::Json => JSON_ROWS,
    });
    let asked = Asked {
        source: either_source(own.source, before.source),
        watch: either_watch(own.watch, before.watch),
        select: both(own.select, before.select),
    };
    let options = asked.options(target, rows, api, output)?;
    let mut compared = own.compare.into_iter();
    Ok(Invocation::Report(WatchOptions {
        compare: compared.next(),
        from: compared.collect(),
        hlog: own.hlog,
        bundle: own.bundle,
        ..options
    }))
}

fn advise(
    own: AdviseArgs,
    before: &TraceArgs,
    target: Target,
    api: ApiOptions,
    output: OutputOptions,
) -> Result<Invocation, Problem> {
    refuse(before.all, "-a/--all", "advise")?;
    refuse(
        before.watch != WatchArgs::default(),
        "-d and --interval",
        "advise",
    )?;
    refuse(
        before.select != SelectArgs::default(),
        "filters (a configuration is of all connections)",
        "advise",
    )?;
    let asked = Asked {
        source: either_source(
            SourceArgs {
                min: own.min,
                mode: None,
            },
            before.source,
        ),
        watch: WatchArgs::default(),
        select: SelectArgs::default(),
    };
    let watch = asked.options(target, own.rows.unwrap_or(usize::MAX), api, output)?;
    Ok(Invocation::Advise(AdviseOptions {
        files: own.file,
        what_if: own.what_if,
        watch,
    }))
}

/// Of commands that watch nothing.
fn nothing() -> Asked {
    Asked {
        source: SourceArgs::default(),
        watch: WatchArgs::default(),
        select: SelectArgs::default(),
    }
}

fn logs(
    own: LogsArgs,
    before: &TraceArgs,
    target: Target,
    api: ApiOptions,
    output: OutputOptions,
) -> Result<Invocation, Problem> {
    refuse(*before != TraceArgs::default(), "the options before it", "logs")?;
    let trace = own.trace || target.pids.is_some();
    if own.duration.is_some() && !own.follow && !trace {
        return Err(
            Problem::usage("-d is for how long a log is followed").remedy("hatrace logs -F -d 1m FILE")
        );
    }
    let rows = own.rows.unwrap_or(match output.format {
        Format::Text => LOG_ROWS,
        Format::Json => JSON_ROWS,
    });
    Ok(Invocation::Logs(LogsOptions {
        files: own.files,
        configuration: own.config,
        formats: own.log_format,
        // What is traced happens from now on.
        follow: own.follow || trace,
        unparsed: own.unparsed,
        csv: own.csv,
        trace,
        seen: WatchOptions {
            all: true,
            duration: own.duration,
            ..nothing().options(target, rows, api, output.clone())?
        },
        output,
    }))
}

fn explain(
    own: &ExplainArgs,
    before: &TraceArgs,
    target: Target,
    api: ApiOptions,
    output: OutputOptions,
) -> Result<Invocation, Problem> {
    refuse(
        *before != TraceArgs::default(),
        "the options before it",
        "explain",
    )?;
    refuse(target.pids.is_some(), "--pid (it needs no HAProxy)", "explain")?;
    Ok(Invocation::Explain(ExplainOptions {
        what: own.what.iter().map(|word| bare(word).to_owned()).collect(),
        seen: nothing().options(target, REPORT_ROWS, api, output.clone())?,
        output,
    }))
}

fn culprits(
    own: CulpritsArgs,
    before: TraceArgs,
    target: Target,
    api: ApiOptions,
    output: OutputOptions,
) -> Result<Invocation, Problem> {
    refuse(before.all, "-a/--all", "culprits")?;
    let rows = own.rows.unwrap_or(match output.format {
        Format::Text => REPORT_ROWS,
        Format::Json => JSON_ROWS,
    });
    let asked = Asked {
        source: either_source(own.source, before.source),
        watch: either_watch(own.watch, before.watch),
        select: both(own.select, before.select),
    };
    let options = asked.options(target, rows, api, output)?;
    Ok(Invocation::Culprits(WatchOptions {
        by: match own.by {
            None | Some(ByArg::Peer) => By::Peer,
            Some(ByArg::Prefix) => By::Prefix,
            Some(ByArg::Server) => By::Server,
            Some(ByArg::Proxy) => By::Proxy,
        },
        resolve: own.resolve,
        ..options
    }))
}

fn sessions(
    own: SessionsArgs,
    before: TraceArgs,
    target: Target,
    api: ApiOptions,
    output: OutputOptions,
) -> Result<Invocation, Problem> {
    let rows = own.rows.unwrap_or(match output.format {
        Format::Text => SESSION_ROWS,
        Format::Json => JSON_ROWS,
    });
    let select = both(own.select, before.select);
    // `--older` is of sessions here, not of states: it doesn't lower what counts as lingering.
    let older = select.older;
    let asked = Asked {
        source: either_source(
            SourceArgs {
                min: own.min,
                mode: None,
            },
            before.source,
        ),
        watch: WatchArgs {
            duration: own.duration.or(before.watch.duration),
            interval: None,
        },
        select: SelectArgs {
            older: None,
            ..select
        },
    };
    let mut watch = asked.options(target, rows, api, output)?;
    watch.selection.older = older;
    Ok(Invocation::Sessions(SessionsOptions {
        watch,
        servers: own.servers,
    }))
}

fn trace(
    args: TraceArgs,
    target: Target,
    api: ApiOptions,
    output: OutputOptions,
) -> Result<Invocation, Problem> {
    if args.all && args.source.mode == Some(ModeArg::Polled) {
        return Err(
            Problem::usage("-a shows every transition, and polls don't see transitions")
                .remedy("leave out --mode polled, or -a"),
        );
    }
    let all = args.all;
    let asked = Asked {
        source: args.source,
        watch: args.watch,
        select: args.select,
    };
    let options = asked.options(target, JSON_ROWS, api, output)?;
    Ok(Invocation::Trace(WatchOptions { all, ..options }))
}
