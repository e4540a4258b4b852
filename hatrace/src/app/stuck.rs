//! `stuck`: what lingers right now, by sock_diag and `/proc` alone. Nothing is loaded.

use std::time::Duration;

use hatrace_core::snapshot::Snapshot;

use super::asker::Settle;
use super::drive::{Signals, look_at, survey};
use super::record::close;
use super::replay::replay;
use super::source::Watch;
use super::unless_gone;
use crate::cli::WatchOptions;
use crate::error::Problem;
use crate::port::{Context, Depth};
use crate::view::out::Words;
use crate::view::{Format, Output, Page, json, stuck};

pub(super) async fn run(options: &WatchOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    if !options.from.is_empty() {
        let replayed = replay(options)?;
        return draw(&mut output, options, &replayed.snapshot, &replayed.context, words);
    }
    let mut signals = Signals::new()?;
    let mut watch = Watch::polled(options, words, false)?;
    look_at(&mut watch, Depth::Full)?;
    let mut snapshot = watch.snapshot();
    if undecided(&snapshot) {
        // Some have no lower bound of their age: a second look shows which of them stay.
        signals
            .wait(Some(
                options.min.min(Duration::from_secs(1)) + Duration::from_millis(20),
            ))
            .await;
        look_at(&mut watch, Depth::Full)?;
        snapshot = watch.snapshot();
    }
    if !snapshot.lingering.is_empty() {
        watch.settle(Settle::Lingering).await;
        survey(&mut watch, true);
        snapshot = watch.snapshot();
    }
    let recorded = close(&mut watch, words);
    draw(&mut output, options, &snapshot, &watch.context, words)?;
    recorded
}

fn draw(
    output: &mut Output,
    options: &WatchOptions,
    snapshot: &Snapshot,
    context: &Context,
    words: Words,
) -> Result<(), Problem> {
    let page = Page::on(output, options.rows, options.selection.clone());
    let terminal = output.is_terminal();
    unless_gone(match options.output.format {
        Format::Json => output.draw(|out| json::write(out, "stuck", snapshot, context, &page)),
        Format::Text if terminal => output.draw(|out| stuck::write(out, snapshot, context, &page)),
        Format::Text => {
            let table = output.draw(|out| stuck::table(out, snapshot, &page));
            words.draw(|out| stuck::footer(out, snapshot, context, &page.painted(words.paint())));
            table
        }
    })
    .map(|_| ())
}

/// Whether there are sockets of which it can't be told yet whether they linger.
fn undecided(snapshot: &Snapshot) -> bool {
    let listed = snapshot.lingering.len() as u64;
    snapshot
        .dwell
        .iter()
        .filter(|dwell| dwell.state.lingers())
        .map(|dwell| dwell.open)
        .sum::<u64>()
        > listed
}
