//! `advise`: the configuration held against what is usual, and against what is stuck now, or was when it was recorded.

use std::path::PathBuf;
use std::time::Duration;

use hatrace_core::advice::{Host, Subject, Text, advise};
use hatrace_core::config::{Configuration, Proxy};
use hatrace_core::snapshot::Snapshot;
use hatrace_core::stream::Name;
use hatrace_core::what_if::{Line, Prediction, WhatIf};

use super::asker::Settle;
use super::drive::{look_at, survey};
use super::replay::{Wanted, replay_for};
use super::source::Watch;
use super::unless_gone;
use crate::cli::AdviseOptions;
use crate::error::Problem;
use crate::haproxy::{Whose, configured_by};
use crate::port::{Context, Depth};
use crate::target::{Proc, haproxy_version};
use crate::view::advise::{Looked, write, write_json};
use crate::view::out::Words;
use crate::view::{Format, Output, Page};

/// What is configured, as far as it can be read.
struct Configured {
    configuration: Configuration,
    text: Text,
    /// The files' paths, as HAProxy is given them.
    paths: Vec<String>,
    version: Option<(u32, u32)>,
    host: Host,
}

pub(super) async fn run(options: &AdviseOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.watch.output)?;
    let of_files = (!options.files.is_empty())
        .then(|| of_files(&options.files))
        .transpose()?;
    let seen = seen(options, words, of_files.is_some()).await?;
    let configured = match (of_files, &seen) {
        (Some(configured), _) => configured,
        (None, Some(seen)) => seen.configured()?,
        (None, None) => {
            return Err(
                Problem::usage("there is no configuration to look at").remedy("hatrace advise -f FILE")
            );
        }
    };
    has_sections(&configured.configuration, &options.what_if)?;
    let subject = Subject {
        configuration: &configured.configuration,
        text: &configured.text,
        version: configured.version,
        host: configured.host,
    };
    let all = advise(&subject, seen.as_ref().map(|seen| &seen.snapshot));
    let looked = Looked {
        paths: configured.paths.clone(),
        files: configured
            .configuration
            .files
            .iter()
            .map(ToString::to_string)
            .collect(),
        doubts: configured
            .configuration
            .doubts
            .iter()
            .map(ToString::to_string)
            .collect(),
        stuck: seen.as_ref().map(|seen| seen.snapshot.lingering.len() as u64),
        open: seen.as_ref().map(|seen| seen.snapshot.totals.sockets),
        predictions: seen
            .as_ref()
            .map(|seen| seen.predictions.clone())
            .unwrap_or_default(),
        context: seen.map(|seen| seen.context),
    };
    let page = Page::on(&output, options.watch.rows, options.watch.selection.clone());
    unless_gone(match options.watch.output.format {
        Format::Json => output.draw(|out| write_json(out, &all, &looked, &page)),
        Format::Text => output.draw(|out| write(out, &all, &looked, &page)),
    })
    .map(|_| ())
}

/// What there is to hold it against.
struct Seen {
    snapshot: Snapshot,
    context: Context,
    recorded: bool,
    /// What the lines that are supposed would have changed.
    predictions: Vec<(Option<Name>, Prediction)>,
}

impl Seen {
    /// By the worker that was looked at, or by the recording.
    fn configured(&self) -> Result<Configured, Problem> {
        let recorded = self
            .snapshot
            .configured
            .first()
            .map(|(_, configuration)| (**configuration).clone());
        if self.recorded {
            let none = || {
                Problem::cannot("the recording has no configuration")
                    .remedy("hatrace advise -f FILE --from RECORDING")
            };
            return Ok(Configured {
                configuration: recorded.ok_or_else(none)?,
                text: Text::default(),
                paths: vec!["FILE".to_owned()],
                version: self.context.version(),
                host: Host::default(),
            });
        }
        let worker = self
            .context
            .pids
            .iter()
            .filter_map(|pid| Proc::find(*pid))
            .find(Proc::is_haproxy);
        let worker = worker.ok_or_else(|| Problem::cannot("HAProxy has ended"))?;
        let whose = configured_by(&worker, haproxy_version(&worker));
        Ok(Configured {
            configuration: whose.configuration(),
            text: whose.text(),
            paths: paths(&whose),
            version: self.context.version(),
            host: crate::target::host(&worker),
        })
    }
}

async fn seen(options: &AdviseOptions, words: Words, alone: bool) -> Result<Option<Seen>, Problem> {
    let watch = &options.watch;
    if !watch.from.is_empty() {
        let replayed = replay_for(
            watch,
            Wanted {
                lines: options.what_if.clone(),
                ..Wanted::default()
            },
        )?;
        return Ok(Some(Seen {
            snapshot: replayed.snapshot,
            context: replayed.context,
            recorded: true,
            predictions: replayed.predictions,
        }));
    }
    // A file by itself is looked at by itself: without a HAProxy, and without rights.
    if alone && watch.target.pids.is_none() {
        return match options.what_if.is_empty() {
            true => Ok(None),
            false => Err(
                Problem::usage("--what-if is told from sockets that were seen, and there are none")
                    .remedy("--from RECORDING, or --pid for those that are stuck now"),
            ),
        };
    }
    let mut live = Watch::polled(watch, words, false)?;
    look_at(&mut live, Depth::Full)?;
    tokio::time::sleep(watch.min.min(Duration::from_secs(1)) + Duration::from_millis(20)).await;
    look_at(&mut live, Depth::Full)?;
    live.settle(Settle::Watched).await;
    survey(&mut live, true);
    let snapshot = live.snapshot();
    let supposed = (!options.what_if.is_empty()).then(|| {
        let mut what_if = WhatIf::new(options.what_if.clone(), live.context.version());
        what_if.watch(&live.engine, &[]);
        what_if.conclude(&live.engine, &snapshot)
    });
    Ok(Some(Seen {
        snapshot,
        context: live.context,
        recorded: false,
        predictions: supposed.map(|told| (None, told)).into_iter().collect(),
    }))
}

fn of_files(files: &[PathBuf]) -> Result<Configured, Problem> {
    let whose = Whose::of_files(files)?;
    Ok(Configured {
        configuration: whose.configuration(),
        text: whose.text(),
        paths: paths(&whose),
        version: None,
        host: Host::default(),
    })
}

/// As they stand on a command line.
fn paths(whose: &Whose) -> Vec<String> {
    let files = whose.arguments.files.iter();
    files.map(|file| file.display().to_string()).collect()
}

/// A section that isn't there would change nothing: better said than shown.
fn has_sections(configuration: &Configuration, lines: &[Line]) -> Result<(), Problem> {
    for (kind, name) in lines.iter().filter_map(|line| line.section.as_ref()) {
        let is = |proxy: &Proxy| proxy.kind == *kind && proxy.name == *name;
        if !configuration.proxies.iter().any(is) {
            let all: Vec<String> = configuration.proxies.iter().map(Proxy::section).collect();
            return Err(
                Problem::usage(format!("--what-if: there is no {} {name}", kind.keyword()))
                    .remedy(format!("one of: {}", all.join(", "))),
            );
        }
    }
    Ok(())
}
