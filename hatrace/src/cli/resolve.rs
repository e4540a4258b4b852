//! From what clap read to what is to be done: defaults filled in, combinations that make no sense refused.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hatrace_core::verdicts::By;

use super::args::{
    Args, ByArg, ColorArg, Command, CommonArgs, CulpritsArgs, FormatArg, ModeArg, SelectArgs, SessionsArgs,
    SourceArgs, TraceArgs, WatchArgs,
};
use super::options::{
    API_INTERVAL, ApiOptions, BenchOptions, DemoOptions, DoctorOptions, ExplainOptions, Invocation,
    ModeChoice, RecordOptions, SessionsOptions, Target, WatchOptions,
};
use super::recording::Recording;
use crate::error::Problem;
use crate::view::out::{ColorChoice, Format, OutputOptions};
use crate::view::select::Selection;

/// What counts as lingering, where nothing else is asked for.
const MIN: Duration = Duration::from_secs(1);
/// The time between sweeps.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the demo runs: its slowest leak ends after 6 s, and a few of them are wanted.
const DEMO: Duration = Duration::from_secs(25);
/// Sockets in a JSON document.
const JSON_ROWS: usize = 10_000;
/// Sessions in a list that is read.
const SESSION_ROWS: usize = 20;
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
        Some(Command::Report(own)) => {
            refuse(before.all, "-a/--all", "report")?;
            let rows = own.rows.unwrap_or(match output.format {
                Format::Text => REPORT_ROWS,
                Format::Json => JSON_ROWS,
            });
            let watch = either_watch(own.watch, before.watch);
            let asked = Asked {
                source: either_source(own.source, before.source),
                watch,
                select: both(own.select, before.select),
            };
            asked.options(target, rows, api, output).map(Invocation::Report)
        }
        Some(Command::Culprits(own)) => culprits(own, before, target, api, output),
        Some(Command::Explain(own)) => {
            refuse(before != TraceArgs::default(), "the options before it", "explain")?;
            refuse(target.pids.is_some(), "--pid (it needs no HAProxy)", "explain")?;
            Ok(Invocation::Explain(ExplainOptions {
                what: own.what,
                output,
            }))
        }
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
            refuse(before.all, "-a/--all", "record")?;
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
            let watch = asked.options(target, JSON_ROWS, api, output)?;
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

/// What the three watching commands have in common.
struct Asked {
    source: SourceArgs,
    watch: WatchArgs,
    select: SelectArgs,
}

impl Asked {
    fn options(
        self,
        target: Target,
        rows: usize,
        api: ApiOptions,
        output: OutputOptions,
    ) -> Result<WatchOptions, Problem> {
        let older = self.select.older;
        let min = match (self.source.min, older) {
            (Some(min), Some(older)) if older < min => {
                return Err(Problem::usage(
                    "--older is shorter than --min, below which nothing counts as lingering",
                )
                .remedy("leave out one of the two"));
            }
            (Some(min), _) => min,
            // Asked for what is older than 200 ms, what is that old has to count.
            (None, Some(older)) => MIN.min(older),
            (None, None) => MIN,
        };
        Ok(WatchOptions {
            target,
            mode: match self.source.mode {
                None | Some(ModeArg::Auto) => ModeChoice::Auto,
                Some(ModeArg::Traced) => ModeChoice::Traced,
                Some(ModeArg::Polled) => ModeChoice::Polled,
            },
            min,
            duration: self.watch.duration,
            interval: self.watch.interval.unwrap_or(INTERVAL),
            all: false,
            rows,
            selection: Selection {
                states: self.select.state,
                sides: self.select.side,
                peers: self.select.peer,
                proxies: self.select.proxy,
                servers: self.select.server,
                older,
            },
            by: By::Peer,
            resolve: false,
            api,
            without: BTreeSet::new(),
            record: None,
            from: Vec::new(),
            at: None,
            min_given: self.source.min,
            output,
        })
    }
}

fn api(common: &CommonArgs) -> Result<ApiOptions, Problem> {
    let clash = |with: &str| {
        Problem::usage(format!("--no-api and {with} contradict each other")).remedy("give one of them")
    };
    if common.no_api && common.socket.is_some() {
        return Err(clash("--socket"));
    }
    if common.no_api && common.api_interval.is_some() {
        return Err(clash("--api-interval"));
    }
    Ok(ApiOptions {
        off: common.no_api,
        socket: common.socket.clone(),
        interval: common.api_interval.unwrap_or(API_INTERVAL),
    })
}

fn output(common: &CommonArgs) -> Result<OutputOptions, Problem> {
    let clash = |a: &str, b: &str| {
        Err(Problem::usage(format!("{a} and {b} contradict each other")).remedy("give one of them"))
    };
    // Checked here and not by clap, whose conflicts don't see a global option on both sides of the command.
    if common.json && common.format == Some(FormatArg::Text) {
        return clash("--json", "--format text");
    }
    if common.no_color && matches!(common.color, Some(ColorArg::Always | ColorArg::Auto)) {
        return clash("--no-color", "--color");
    }
    if common.quiet && common.verbose > 0 {
        return clash("--quiet", "--verbose");
    }
    Ok(OutputOptions {
        format: match (common.json, common.format) {
            (true, _) | (_, Some(FormatArg::Json)) => Format::Json,
            (false, None | Some(FormatArg::Text)) => Format::Text,
        },
        file: common.output.clone().filter(|path| path != Path::new("-")),
        color: match (common.no_color, common.color) {
            (true, _) | (_, Some(ColorArg::Never)) => ColorChoice::Never,
            (false, Some(ColorArg::Always)) => ColorChoice::Always,
            (false, None | Some(ColorArg::Auto)) => ColorChoice::Auto,
        },
        quiet: common.quiet,
        verbose: common.verbose,
    })
}

fn refuse(given: bool, what: &str, command: &str) -> Result<(), Problem> {
    if given {
        Err(Problem::usage(format!("{command} doesn't take {what}"))
            .remedy(format!("hatrace {command} --help")))
    } else {
        Ok(())
    }
}

fn either_source(own: SourceArgs, before: SourceArgs) -> SourceArgs {
    SourceArgs {
        min: own.min.or(before.min),
        mode: own.mode.or(before.mode),
    }
}

fn either_watch(own: WatchArgs, before: WatchArgs) -> WatchArgs {
    WatchArgs {
        duration: own.duration.or(before.duration),
        interval: own.interval.or(before.interval),
    }
}

fn both(own: SelectArgs, before: SelectArgs) -> SelectArgs {
    SelectArgs {
        state: [before.state, own.state].concat(),
        side: [before.side, own.side].concat(),
        peer: [before.peer, own.peer].concat(),
        proxy: [before.proxy, own.proxy].concat(),
        server: [before.server, own.server].concat(),
        older: own.older.or(before.older),
    }
}

fn without_duration(args: TraceArgs) -> TraceArgs {
    TraceArgs {
        watch: WatchArgs {
            duration: None,
            ..args.watch
        },
        ..args
    }
}
