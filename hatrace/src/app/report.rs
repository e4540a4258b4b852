//! `report`: watches, then draws.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::time::Duration;

use hatrace_core::Engine;
use hatrace_core::snapshot::Snapshot;
use hatrace_core::time::Mono;

use super::drive::{Signals, Stop, drive, look_at};
use super::record::close;
use super::replay::replay;
use super::source::Watch;
use super::unless_gone;
use crate::cli::WatchOptions;
use crate::clock;
use crate::error::Problem;
use crate::port::{Context, Depth};
use crate::view::out::Words;
use crate::view::{Format, Output, Page, json, progress, report};

pub(super) async fn run(options: &WatchOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    if !options.from.is_empty() {
        let replayed = replay(options, false)?;
        return draw(&mut output, options, &replayed.snapshot, &replayed.context);
    }
    let mut signals = Signals::new()?;
    let mut watch = Watch::begin(options, words)?;
    watch.open().await;
    look_at(&mut watch, Depth::Full)?;
    words.say(match options.duration {
        Some(_) => "attached; Ctrl-C reports at once",
        None => "attached; Ctrl-C reports",
    });
    let snapshot = watched(&mut watch, &mut signals, options.duration, words, "watching").await?;
    let recorded = close(&mut watch, words);
    draw(&mut output, options, &snapshot, &watch.context)?;
    recorded
}

/// Watches to the end, with a bar on a terminal.
pub(super) async fn watched(
    watch: &mut Watch,
    signals: &mut Signals,
    length: Option<Duration>,
    words: Words,
    doing: &str,
) -> Result<Snapshot, Problem> {
    let start = clock::now();
    let mut bar = Bar {
        length: length.filter(|_| std::io::stderr().is_terminal()),
        start,
        drawn: None,
    };
    let stop = drive(watch, signals, length, |engine, _, _| {
        bar.draw(engine, words, doing);
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    bar.clear(words);
    if stop == Stop::HaproxyGone {
        words.say("every HAProxy process that was followed has ended");
    }
    Ok(watch.snapshot())
}

pub(super) fn draw(
    output: &mut Output,
    options: &WatchOptions,
    snapshot: &Snapshot,
    context: &Context,
) -> Result<(), Problem> {
    let page = Page::on(output, options.rows, options.selection.clone());
    unless_gone(match options.output.format {
        Format::Json => output.draw(|out| json::write(out, "report", snapshot, context, &page)),
        Format::Text => output.draw(|out| report::write(out, snapshot, context, &page)),
    })
    .map(|_| ())
}

/// Columns the bar takes at most: every terminal has them.
const WIDTH: usize = 78;

/// The bar on stderr: at most two a second, gone before the report.
struct Bar {
    length: Option<Duration>,
    start: Mono,
    drawn: Option<Mono>,
}

impl Bar {
    fn draw(&mut self, engine: &Engine, words: Words, doing: &str) {
        let Some(length) = self.length else { return };
        let now = clock::now();
        if self
            .drawn
            .is_some_and(|drawn| now.since(drawn) < Duration::from_millis(500))
        {
            return;
        }
        self.drawn = Some(now);
        let lingering = engine.lingering(now);
        let text = format!("{doing}: {lingering} lingering");
        words.draw(|out| {
            write!(
                out,
                "\r{}\x1b[K",
                progress::bar(now.since(self.start), length, WIDTH, &text)
            )
        });
    }

    fn clear(&self, words: Words) {
        if self.drawn.is_some() {
            words.draw(|out| write!(out, "\r\x1b[K"));
        }
    }
}
