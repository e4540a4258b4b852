//! `logs`: lines read, counted and explained; followed as they come, and held against the kernel.

mod all;
mod count;
mod follow;
mod traced;

use std::io::IsTerminal;
use std::sync::Arc;

use hatrace_core::config::Configuration;

use self::count::{Count, Evidence};
use super::drive::Signals;
use super::replay::{Wanted, replay_for};
use super::unless_gone;
use crate::cli::LogsOptions;
use crate::error::Problem;
use crate::haproxy::{Whose, log_formats};
use crate::logs::input::{From, Pieces};
use crate::logs::{Format, named};
use crate::view::logs as view;
use crate::view::out::Words;
use crate::view::{Format as As, Output, Page};

pub(super) async fn run(options: &LogsOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let sources = sources(options)?;
    let formats = formats(options, words)?;
    let configured = configured(options)?;
    let evidence = evidence(options, configured.as_ref())?;
    let mut signals = Signals::new()?;
    let pieces = Pieces::open(&sources, options.follow)?;
    let page = Page::on(&output, options.seen.rows, crate::view::Selection::default());
    let count = Count::new(&formats, options, &evidence);
    let counted = if options.trace {
        traced::run(
            options,
            count,
            pieces,
            &mut signals,
            &mut output,
            &page,
            configured,
            words,
        )
        .await?
    } else if options.follow {
        follow::run(
            count,
            pieces,
            options.seen.duration,
            &mut signals,
            &mut output,
            &page,
        )
        .await?
    } else {
        Some(
            all::run(
                count::Workers::start(&formats, options, &evidence),
                pieces,
                &mut signals,
                words,
            )
            .await,
        )
    };
    let Some(Count {
        mut tally,
        mut read,
        lines,
        ..
    }) = counted
    else {
        return Ok(());
    };
    let held = evidence.iter().zip(lines).map(|(seen, lines)| seen.hold(lines));
    read.kernel.extend(held);
    read.files = sources.iter().map(name).collect();
    let summary = tally.summary();
    unless_gone(match (options.output.format, options.csv) {
        (_, true) => output.draw(|out| view::write_csv(out, &summary)),
        (As::Json, _) => output.draw(|out| view::write_json(out, &read, &summary, &page)),
        (As::Text, _) => output.draw(|out| view::write(out, &read, &summary, &page)),
    })
    .map(|_| ())?;
    match read.failures.first() {
        Some(why) => Err(Problem::failed(why.clone())),
        None => Ok(()),
    }
}

/// What was given as HAProxy's configuration.
fn configured(options: &LogsOptions) -> Result<Option<Configuration>, Problem> {
    if options.configuration.is_empty() {
        return Ok(None);
    }
    Ok(Some(Whose::of_files(&options.configuration)?.configuration()))
}

/// What the kernel saw, by recordings.
fn evidence(
    options: &LogsOptions,
    configured: Option<&Configuration>,
) -> Result<Arc<Vec<Evidence>>, Problem> {
    if options.seen.from.is_empty() {
        return Ok(Arc::new(Vec::new()));
    }
    let wanted = Wanted {
        stories: true,
        ..Wanted::default()
    };
    let stories = replay_for(&options.seen, wanted)?.stories.into_iter();
    let evidence = stories.map(|(mut stories, context, end)| {
        configured
            .into_iter()
            .for_each(|configured| stories.proxies.learn(configured));
        Evidence {
            stories,
            context,
            end,
        }
    });
    Ok(Arc::new(evidence.collect()))
}

fn sources(options: &LogsOptions) -> Result<Vec<From>, Problem> {
    if !options.files.is_empty() {
        return Ok(options.files.iter().map(|file| From::word(file)).collect());
    }
    if std::io::stdin().is_terminal() {
        return Err(Problem::usage("there is no log to read")
            .remedy("hatrace logs /var/log/haproxy.log")
            .remedy("journalctl -u haproxy -o short-iso | hatrace logs"));
    }
    Ok(vec![From::Stdin])
}

fn name(source: &From) -> String {
    match source {
        From::Stdin => "standard input".to_owned(),
        From::File(path) => path.display().to_string(),
    }
}

/// Those that were given, and those of the configuration.
fn formats(options: &LogsOptions, words: Words) -> Result<Vec<Format>, Problem> {
    let mut formats = Vec::new();
    for text in &options.formats {
        let wrong = |why| {
            Problem::usage(format!("--log-format: {why}")).remedy("--log-format '%ci:%cp [%t] %ft %b/%s %ts'")
        };
        formats.push(Format::parse("--log-format", text).map_err(wrong)?);
    }
    for (place, text) in log_formats(&options.configuration, &named())? {
        match Format::parse(&place, &text) {
            Ok(format) => formats.push(format),
            Err(why) => words.say(format!("{place}: {why}: that format is not known")),
        }
    }
    Ok(formats)
}
