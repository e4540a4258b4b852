//! `stuck`: what lingers right now, by sock_diag and `/proc` alone. Nothing is loaded.

use std::time::Duration;

use hatrace_core::snapshot::Snapshot;

use super::asker::Settle;
use super::drive::{Signals, look_at, survey};
use super::source::Watch;
use super::unless_gone;
use crate::cli::WatchOptions;
use crate::clock;
use crate::error::Problem;
use crate::port::Depth;
use crate::view::out::Words;
use crate::view::{Format, Output, Page, json, stuck};

pub(super) async fn run(options: &WatchOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let mut signals = Signals::new()?;
    let mut watch = Watch::polled(options, words, false)?;
    look_at(&mut watch, Depth::Full)?;
    let mut snapshot = watch.engine.snapshot(clock::now());
    if undecided(&snapshot) {
        // Some have no lower bound of their age: a second look shows which of them stay.
        signals
            .wait(Some(
                options.min.min(Duration::from_secs(1)) + Duration::from_millis(20),
            ))
            .await;
        look_at(&mut watch, Depth::Full)?;
        snapshot = watch.engine.snapshot(clock::now());
    }
    if !snapshot.lingering.is_empty() {
        watch.settle(Settle::Lingering).await;
        survey(&mut watch, true);
        snapshot = watch.engine.snapshot(clock::now());
    }
    let page = Page::on(&output, options.rows, options.selection.clone());
    let (context, terminal) = (&watch.context, output.is_terminal());
    unless_gone(match options.output.format {
        Format::Json => output.draw(|out| json::write(out, "stuck", &snapshot, context, &page)),
        Format::Text if terminal => output.draw(|out| stuck::write(out, &snapshot, context, &page)),
        Format::Text => {
            let table = output.draw(|out| stuck::table(out, &snapshot, &page));
            words.draw(|out| stuck::footer(out, &snapshot, context, &page.painted(words.paint())));
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
