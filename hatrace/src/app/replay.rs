//! `--from`: recordings in place of a source.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hatrace_core::Engine;
use hatrace_core::log::Stories;
use hatrace_core::snapshot::Snapshot;
use hatrace_core::stream::Name;
use hatrace_core::time::Mono;
use hatrace_core::what_if::{Line, Prediction, WhatIf};
use jiff::Timestamp;

use super::tap::Tap;
use super::together::together;
use crate::cli::{Moment, WatchOptions};
use crate::error::Problem;
use crate::port::{Context, Interval};
use crate::tape::{Item, Plan, Recorded, Recorder, Redactor, Reel};

/// What recordings come to.
pub(super) struct Replayed {
    pub(super) snapshot: Snapshot,
    pub(super) context: Context,
    /// Names of peers, as they were when it was recorded.
    pub(super) hosts: BTreeMap<IpAddr, String>,
    /// What ended when, where that was asked for.
    pub(super) intervals: Vec<Interval>,
    /// The kernels it was on.
    pub(super) kernels: BTreeSet<String>,
    /// What was recorded of it again.
    pub(super) copies: Vec<Recorded>,
    /// What lines that were supposed would have changed, of each recording: of which host, where there are several.
    pub(super) predictions: Vec<(Option<Name>, Prediction)>,
    /// What the kernel saw of each connection's end, of each recording, where that was asked for; and when each of them was told of.
    pub(super) stories: Vec<(Stories, Context, Mono)>,
}

/// What is wanted of recordings beside the snapshot.
#[derive(Default)]
pub(super) struct Wanted {
    /// HAProxy's sessions themselves.
    pub(super) sessions: bool,
    /// Each is recorded again on the way, by one of these plans.
    pub(super) copies: Vec<Plan>,
    /// Lines that are supposed to be in the configuration.
    pub(super) lines: Vec<Line>,
    /// What the kernel saw of each connection's end.
    pub(super) stories: bool,
}

/// One recording, read to the moment asked for or to its end.
pub(super) struct Played {
    pub(super) snapshot: Snapshot,
    pub(super) context: Context,
    pub(super) hosts: BTreeMap<IpAddr, String>,
    pub(super) intervals: Vec<Interval>,
    pub(super) prediction: Option<Prediction>,
    pub(super) stories: Option<Stories>,
    pub(super) recording: String,
    pub(super) kernel: String,
    pub(super) boot: Option<String>,
    /// The moment it was wanted of is not in it.
    pub(super) elsewhen: bool,
    /// The last thing it tells of.
    pub(super) end: Timestamp,
}

/// Gives engines what the recordings have, up to the moment asked for, or to their ends.
///
/// # Errors
/// What can't be read, or not together; a moment that none of them is of.
pub(super) fn replay(options: &WatchOptions) -> Result<Replayed, Problem> {
    replay_for(options, Wanted::default())
}

/// The same, for more than the snapshot.
pub(super) fn replay_for(options: &WatchOptions, wanted: Wanted) -> Result<Replayed, Problem> {
    let reels = Reel::open(&options.from)?;
    let asked = Asked::of(options, &wanted, &reels);
    let mut plans = wanted.copies.into_iter();
    let (mut played, mut copies) = (Vec::new(), Vec::new());
    for reel in reels {
        let called = copies.last().and_then(|last: &Recorded| last.redactor.clone());
        let (one, copy) = play(reel, &asked, plans.next(), called)?;
        played.push(one);
        copies.extend(copy);
    }
    let together = together(played, options.at.is_some())?;
    Ok(Replayed { copies, ..together })
}

/// How many recordings files are of.
pub(super) fn recordings(options: &WatchOptions) -> Result<usize, Problem> {
    Ok(Reel::open(&options.from)?.len())
}

/// What is wanted of each.
struct Asked<'a> {
    options: &'a WatchOptions,
    sessions: bool,
    stories: bool,
    lines: Vec<Line>,
    /// What counts as lingering: in all of them the same.
    min: std::time::Duration,
    until: Option<Timestamp>,
}

impl<'a> Asked<'a> {
    fn of(options: &'a WatchOptions, wanted: &Wanted, reels: &[Reel]) -> Self {
        let own = reels.iter().map(|reel| reel.header().settings.min).max();
        let start = reels.iter().map(|reel| reel.context().started_at).min();
        let until = options.at.zip(start).map(|(moment, start)| match moment {
            Moment::After(span) => start.checked_add(span).unwrap_or(Timestamp::MAX),
            Moment::Wall(wall) => wall,
        });
        let min = options.min_given.or(own).unwrap_or(options.min);
        let shortest = wanted.lines.iter().map(|line| line.length).min();
        Self {
            options,
            sessions: wanted.sessions,
            stories: wanted.stories,
            lines: wanted.lines.clone(),
            // What a line would have ended must be told of.
            min: shortest.map_or(min, |shortest| shortest.min(min)),
            until,
        }
    }
}

fn play(
    mut reel: Reel,
    asked: &Asked<'_>,
    copy: Option<Plan>,
    called: Option<Redactor>,
) -> Result<(Played, Vec<Recorded>), Problem> {
    let header = reel.header().clone();
    let mut settings = header.settings;
    settings.by = asked.options.by;
    settings.sessions |= asked.sessions;
    settings.min = asked.min;
    let mut context = reel.context();
    context.min = settings.min;
    let until = asked.until.map(|until| context.mono(until));
    let copy = copy
        .map(|plan| Recorder::create(plan, header.clone()))
        .transpose()?
        .map(|recorder| match called {
            Some(called) => recorder.called_as_in(called),
            None => recorder,
        });
    let mut tap = Tap::new(Engine::new(settings, context.started_mono), copy);
    if asked.options.hlog.is_some() {
        tap.watch_intervals(&context);
    }
    let mut what_if = (!asked.lines.is_empty()).then(|| WhatIf::new(asked.lines.clone(), context.version()));
    if asked.stories {
        tap.watch_stories(None, None);
    }
    let mut hosts = BTreeMap::new();
    // A view that was drawn last is drawn again as it was; of a recording that was cut off, all there is.
    let (mut last, mut cut) = (context.started_mono, None);
    let mut beyond = false;
    while let Some(item) = reel.advance() {
        match item {
            Item::Input((at, _)) | Item::Cut(at) if until.is_some_and(|until| at > until) => {
                beyond = true;
                break;
            }
            Item::Input((at, input)) => {
                tap.handle(at, input);
                let events = tap.events();
                if let Some(what_if) = &mut what_if {
                    what_if.watch(&tap, &events);
                }
                (last, cut) = (last.max(at), None);
            }
            Item::Cut(at) => (last, cut) = (last.max(at), Some(at)),
            Item::Context(told) => {
                context = Context {
                    min: context.min,
                    ..*told
                };
                if let Some(what_if) = &mut what_if {
                    what_if.of_version(context.version());
                }
            }
            Item::Names(names) => hosts.extend(names),
        }
    }
    let now = until.or(cut).unwrap_or(last);
    let snapshot = tap.cut(now, &context);
    let intervals = tap.take_intervals(&snapshot);
    let prediction = what_if.map(|what_if| what_if.conclude(&tap, &snapshot));
    let stories = tap.take_stories();
    let copies = tap.finish()?;
    let played = Played {
        snapshot,
        hosts,
        intervals,
        prediction,
        stories,
        recording: header.recording,
        kernel: header.kernel,
        boot: header.boot,
        elsewhen: until.is_some_and(|until| elsewhen(until, context.started_mono, last, beyond)),
        end: context.wall(last),
        context,
    };
    Ok((played, copies))
}

/// Whether a moment is before or after all that is told. What ticks was told until a second before the end.
fn elsewhen(until: Mono, start: Mono, last: Mono, beyond: bool) -> bool {
    const TICK: std::time::Duration = std::time::Duration::from_secs(1);
    until < start || !beyond && until.since(last) > TICK
}
