//! `sessions`: HAProxy's sessions now, each beside its sockets. Nothing is loaded.

use std::time::Duration;

use hatrace_core::snapshot::Snapshot;
use hatrace_core::stream::Access;

use super::asker::{Settle, refusal};
use super::drive::{Signals, look_at};
use super::record::close;
use super::replay::{Wanted, replay_for};
use super::source::Watch;
use super::unless_gone;
use crate::cli::SessionsOptions;
use crate::error::Problem;
use crate::port::{Context, Depth};
use crate::view::out::Words;
use crate::view::{Format, Output, Page, json, sessions};

/// The time between the two readings of `--servers`, unless told otherwise.
const APART: Duration = Duration::from_secs(2);

pub(super) async fn run(options: &SessionsOptions, words: Words) -> Result<(), Problem> {
    let asked = &options.watch;
    let mut output = Output::open(&asked.output)?;
    if !asked.from.is_empty() {
        let replayed = replay_for(
            asked,
            Wanted {
                sessions: true,
                ..Wanted::default()
            },
        )?;
        return draw(&mut output, options, &replayed.snapshot, &replayed.context, words);
    }
    let mut signals = Signals::new()?;
    let mut watch = Watch::polled(asked, words.hushed(), true)?;
    look_at(&mut watch, Depth::Full)?;
    let what = Settle::Sessions {
        figures: options.servers,
    };
    watch.settle(what).await;
    if options.servers {
        signals.wait(Some(asked.duration.unwrap_or(APART))).await;
        look_at(&mut watch, Depth::Full)?;
        watch.settle(what).await;
    }
    let snapshot = watch.snapshot();
    let recorded = close(&mut watch, words);
    draw(&mut output, options, &snapshot, &watch.context, words)?;
    recorded
}

fn draw(
    output: &mut Output,
    options: &SessionsOptions,
    snapshot: &Snapshot,
    context: &Context,
    words: Words,
) -> Result<(), Problem> {
    let asked = &options.watch;
    somebody_answered(snapshot, words)?;
    let page = Page::on(output, asked.rows, asked.selection.clone());
    unless_gone(match asked.output.format {
        Format::Json => output.draw(|out| json::sessions(out, snapshot, context, &page)),
        Format::Text => output.draw(|out| sessions::write(out, snapshot, context, &page, options.servers)),
    })
    .map(|_| ())
}

/// Without any answer there is nothing to list; one process that doesn't answer among others is worth a warning.
fn somebody_answered(snapshot: &Snapshot, words: Words) -> Result<(), Problem> {
    let answers = |access: &Option<Access>| matches!(access, Some(Access::Ready { .. }));
    let refused: Vec<Problem> = snapshot.asking.iter().filter_map(refusal).collect();
    if snapshot.asking.iter().any(|asking| answers(&asking.access)) {
        for problem in &refused {
            words.warn(problem);
        }
        return Ok(());
    }
    let nothing = || Problem::cannot("HAProxy's command line did not answer in time");
    let problem = refused.into_iter().next().unwrap_or_else(nothing);
    Err(problem.remedy("hatrace stuck: what lingers, by the kernel alone"))
}
