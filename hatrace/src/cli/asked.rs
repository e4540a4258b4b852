//! What several commands have in common: how they watch, which sockets they show, whom they ask, where they write.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hatrace_core::verdicts::By;

use super::args::{ColorArg, CommonArgs, FormatArg, ModeArg, SelectArgs, SourceArgs, TraceArgs, WatchArgs};
use super::options::{API_INTERVAL, ApiOptions, ModeChoice, Target, WatchOptions};
use crate::error::Problem;
use crate::view::out::{ColorChoice, Format, OutputOptions};
use crate::view::select::Selection;

/// What counts as lingering, where nothing else is asked for.
const MIN: Duration = Duration::from_secs(1);
/// The time between sweeps.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the watching commands have in common.
pub(super) struct Asked {
    pub(super) source: SourceArgs,
    pub(super) watch: WatchArgs,
    pub(super) select: SelectArgs,
}

impl Asked {
    pub(super) fn options(
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
                hosts: self.select.host,
                older,
            },
            by: By::Peer,
            resolve: false,
            api,
            without: BTreeSet::new(),
            record: Vec::new(),
            from: Vec::new(),
            compare: None,
            hlog: None,
            bundle: None,
            at: None,
            min_given: self.source.min,
            output,
        })
    }
}

pub(super) fn api(common: &CommonArgs) -> Result<ApiOptions, Problem> {
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

pub(super) fn output(common: &CommonArgs) -> Result<OutputOptions, Problem> {
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

pub(super) fn refuse(given: bool, what: &str, command: &str) -> Result<(), Problem> {
    if given {
        Err(Problem::usage(format!("{command} doesn't take {what}"))
            .remedy(format!("hatrace {command} --help")))
    } else {
        Ok(())
    }
}

pub(super) fn either_source(own: SourceArgs, before: SourceArgs) -> SourceArgs {
    SourceArgs {
        min: own.min.or(before.min),
        mode: own.mode.or(before.mode),
    }
}

pub(super) fn either_watch(own: WatchArgs, before: WatchArgs) -> WatchArgs {
    WatchArgs {
        duration: own.duration.or(before.duration),
        interval: own.interval.or(before.interval),
    }
}

pub(super) fn both(own: SelectArgs, before: SelectArgs) -> SelectArgs {
    SelectArgs {
        state: [before.state, own.state].concat(),
        side: [before.side, own.side].concat(),
        peer: [before.peer, own.peer].concat(),
        proxy: [before.proxy, own.proxy].concat(),
        server: [before.server, own.server].concat(),
        host: [before.host, own.host].concat(),
        older: own.older.or(before.older),
    }
}

pub(super) fn without_duration(args: TraceArgs) -> TraceArgs {
    TraceArgs {
        watch: WatchArgs {
            duration: None,
            ..args.watch
        },
        ..args
    }
}
