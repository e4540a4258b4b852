//! `report`: watches, then draws.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use hatrace_core::Engine;
use hatrace_core::compare::compare;
use hatrace_core::snapshot::Snapshot;
use hatrace_core::time::Mono;

use super::bundle::{self, Bundle};
use super::drive::{Signals, Stop, drive, look_at};
use super::replay::{Replayed, Wanted, recordings, replay, replay_for};
use super::source::Watch;
use super::{record, unless_gone};
use crate::cli::WatchOptions;
use crate::clock;
use crate::error::Problem;
use crate::haproxy::Verbatim;
use crate::port::{Context, Depth, Interval};
use crate::tape::{Recorded, Redactor};
use crate::view::compare::{self as view, Sight};
use crate::view::out::Words;
use crate::view::{Format, Output, OutputOptions, Page, hlog, json, progress, report};

pub(super) async fn run(options: &WatchOptions, words: Words) -> Result<(), Problem> {
    let mut output = Output::open(&options.output)?;
    // What can't be read is better known before a long watch than after it.
    let before = before(options)?;
    let mut beside = Beside::open(options)?;
    if !options.from.is_empty() {
        return of_recordings(options, &mut output, before.as_ref(), beside, words);
    }
    let mut signals = Signals::new()?;
    let mut wanted = options.clone();
    wanted
        .record
        .extend(beside.bundle.as_ref().map(|bundle| bundle.plan(0)));
    let mut watch = Watch::begin(&wanted, words)?;
    if beside.hlog.is_some() {
        watch.engine.watch_intervals(&watch.context);
    }
    watch.open().await;
    look_at(&mut watch, Depth::Full)?;
    words.say(match options.duration {
        Some(_) => "attached; Ctrl-C reports at once",
        None => "attached; Ctrl-C reports",
    });
    let snapshot = watched(&mut watch, &mut signals, options.duration, words, "watching").await?;
    let intervals = watch.engine.take_intervals(&snapshot);
    let own_words = match &beside.bundle {
        Some(_) => bundle::words(&mut watch, &snapshot).await,
        None => Vec::new(),
    };
    let recorded = watch.engine.finish();
    show(&mut output, options, before.as_ref(), &snapshot, &watch.context)?;
    beside.log(&intervals, &watch.context)?;
    let mut recorded = recorded?;
    let of_bundle = beside.bundle.is_some().then(|| recorded.pop()).flatten();
    recorded.iter().for_each(|one| record::say(one, words));
    if let Some(mut of_bundle) = of_bundle {
        let redactor = of_bundle.redactor.take().unwrap_or_default();
        beside.pack(options, &[of_bundle], Some((own_words, redactor)), words)?;
    }
    Ok(())
}

/// The same of what was recorded.
fn of_recordings(
    options: &WatchOptions,
    output: &mut Output,
    before: Option<&Replayed>,
    mut beside: Beside,
    words: Words,
) -> Result<(), Problem> {
    let copies = match &beside.bundle {
        Some(bundle) => (0..recordings(options)?).map(|nth| bundle.plan(nth)).collect(),
        None => Vec::new(),
    };
    let replayed = replay_for(
        options,
        Wanted {
            copies,
            ..Wanted::default()
        },
    )?;
    show(output, options, before, &replayed.snapshot, &replayed.context)?;
    beside.log(&replayed.intervals, &replayed.context)?;
    beside.pack(options, &replayed.copies, None, words)
}

/// What it is to be held against.
fn before(options: &WatchOptions) -> Result<Option<Replayed>, Problem> {
    let of = |file: &PathBuf| {
        let earlier = WatchOptions {
            from: vec![file.clone()],
            hlog: None,
            ..options.clone()
        };
        replay(&earlier)
    };
    options.compare.as_ref().map(of).transpose()
}

/// The report, or how it differs from what was before.
fn show(
    output: &mut Output,
    options: &WatchOptions,
    before: Option<&Replayed>,
    snapshot: &Snapshot,
    context: &Context,
) -> Result<(), Problem> {
    let Some(before) = before else {
        return draw(output, options, snapshot, context);
    };
    let compared = compare(&before.snapshot, snapshot);
    let (earlier, later) = (
        Sight {
            snapshot: &before.snapshot,
            context: &before.context,
        },
        Sight { snapshot, context },
    );
    let page = Page::on(output, options.rows, options.selection.clone());
    unless_gone(match options.output.format {
        Format::Json => output.draw(|out| view::write_json(out, &compared, earlier, later, &page)),
        Format::Text => output.draw(|out| view::write(out, &compared, earlier, later, &page)),
    })
    .map(|_| ())
}

/// What a report can leave beside itself.
struct Beside {
    hlog: Option<Output>,
    bundle: Option<Bundle>,
}

impl Beside {
    /// Makes the files at once: what can't be written is better known before a long watch than after it.
    fn open(options: &WatchOptions) -> Result<Self, Problem> {
        let to = |file: &PathBuf| {
            Output::open(&OutputOptions {
                file: Some(file.clone()),
                ..OutputOptions::default()
            })
        };
        Ok(Self {
            hlog: options.hlog.as_ref().map(to).transpose()?,
            bundle: options.bundle.as_deref().map(Bundle::create).transpose()?,
        })
    }

    fn log(&mut self, intervals: &[Interval], context: &Context) -> Result<(), Problem> {
        match &mut self.hlog {
            Some(out) => unless_gone(out.draw(|out| hlog::write(out, intervals, context))).map(|_| ()),
            None => Ok(()),
        }
    }

    fn pack(
        self,
        options: &WatchOptions,
        recorded: &[Recorded],
        own_words: Option<(Vec<Verbatim>, Redactor)>,
        words: Words,
    ) -> Result<(), Problem> {
        if let Some(bundle) = self.bundle {
            let path = bundle.finish(options, recorded, own_words)?;
            words.say(format!(
                "bundled in {}: read it before you give it away",
                path.display()
            ));
        }
        Ok(())
    }
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
