//! The stream: a line for each socket that lingers, and for each that leaves a state it lingered in; the summary at the end.

use std::time::{Duration, Instant};

use hatrace_core::event::Event;

use super::drive::{Signals, Stop, drive, look_at};
use super::record::close;
use super::source::Watch;
use super::unless_gone;
use crate::cli::{BenchOptions, WatchOptions};
use crate::clock;
use crate::error::Problem;
use crate::port::{Context, Depth};
use crate::view::out::Words;
use crate::view::{Format, Output, OutputError, Page, json, stream, summary};

/// Lines a second beyond which a terminal is spared the rest.
const READABLE: usize = 100;

pub(super) async fn run(options: &WatchOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    let mut signals = Signals::new()?;
    let mut watch = Watch::begin(options, words)?;
    watch.open().await;
    look_at(&mut watch, Depth::Full)?;
    let page = Page::on(&output, options.rows, options.selection.clone());
    let said = page.painted(words.paint());
    words.draw(|out| stream::banner(out, &watch.engine.snapshot(clock::now()), &watch.context, &said));
    words.say("attached; Ctrl-C ends with a summary");
    let mut lines = Lines {
        format: options.output.format,
        spare: output.is_terminal() && !options.all,
        second: Instant::now(),
        told: 0,
        hidden: 0,
    };
    if lines.format == Format::Text && unless_gone(output.draw(|out| stream::header(out, &page)))?.is_break()
    {
        return Ok(());
    }
    let stop = drive(
        &mut watch,
        &mut signals,
        options.duration,
        |_, context, events| unless_gone(lines.write(&mut output, &events, context, &page)),
    )
    .await?;
    if stop == Stop::OutputGone || unless_gone(lines.tell_hidden(&mut output))?.is_break() {
        return close(&mut watch, words);
    }
    if stop == Stop::HaproxyGone {
        words.say("every HAProxy process that was followed has ended");
    }
    let snapshot = watch.snapshot();
    let recorded = close(&mut watch, words);
    let context = watch.context;
    let written = match options.output.format {
        Format::Json => output.draw(|out| json::write(out, "trace", &snapshot, &context, &page)),
        Format::Text if output.is_terminal() => {
            output.draw(|out| summary::write(out, &snapshot, &context, &page))
        }
        Format::Text => {
            words.draw(|out| summary::write(out, &snapshot, &context, &said));
            Ok(())
        }
    };
    let _ = unless_gone(written)?;
    recorded
}

/// Lines of the stream, no more a second on a terminal than one can read.
struct Lines {
    format: Format,
    spare: bool,
    second: Instant,
    told: usize,
    hidden: usize,
}

impl Lines {
    fn write(
        &mut self,
        output: &mut Output,
        events: &[Event],
        context: &Context,
        page: &Page,
    ) -> Result<(), OutputError> {
        let wanted: Vec<&Event> = events
            .iter()
            .filter(|event| page.selection.keeps_event(event))
            .collect();
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.second = Instant::now();
            self.told = 0;
            self.tell_hidden(output)?;
        }
        let room = if self.spare {
            READABLE.saturating_sub(self.told)
        } else {
            usize::MAX
        };
        self.hidden += wanted.len().saturating_sub(room);
        self.told += wanted.len().min(room);
        if wanted.is_empty() {
            return output.still_read();
        }
        let format = self.format;
        output.draw(|out| {
            wanted.iter().take(room).try_for_each(|event| match format {
                Format::Text => stream::event(out, event, context, page),
                Format::Json => json::event(out, event, context),
            })
        })
    }

    /// How many lines were not drawn since the last call.
    fn tell_hidden(&mut self, output: &mut Output) -> Result<(), OutputError> {
        let hidden = std::mem::take(&mut self.hidden);
        if hidden == 0 {
            return Ok(());
        }
        output.draw(|out| {
            writeln!(
                out,
                "... {hidden} more lines in that second; a pipe or -o FILE has them all"
            )
        })
    }
}

/// Empty programs on the hook of the busiest one, until a signal: the floor that the bench subtracts.
pub(super) async fn bench_empty(options: &BenchOptions, words: Words) -> Result<(), Problem> {
    let mut signals = Signals::new()?;
    let programs = crate::kernel::load_empty().map_err(|error| Problem::cannot(error.to_string()))?;
    words.say("attached");
    signals.wait(options.duration).await;
    drop(programs);
    Ok(())
}
