//! `--from`: a recording in place of a source.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use hatrace_core::Engine;
use hatrace_core::snapshot::Snapshot;
use hatrace_core::time::Mono;

use crate::cli::{Moment, WatchOptions};
use crate::error::Problem;
use crate::port::Context;
use crate::tape::{Item, Tape};

/// What a recording comes to.
pub(super) struct Replayed {
    pub(super) snapshot: Snapshot,
    pub(super) context: Context,
    /// Names of peers, as they were when it was recorded.
    pub(super) hosts: BTreeMap<IpAddr, String>,
}

/// Gives an engine what the recording has, up to the moment asked for, or to its end. `sessions`: HAProxy's sessions are wanted themselves.
pub(super) fn replay(options: &WatchOptions, sessions: bool) -> Result<Replayed, Problem> {
    let mut tapes = opened(&options.from)?;
    let first = tapes[0].header();
    let mut settings = first.settings;
    settings.by = options.by;
    settings.sessions |= sessions;
    settings.min = options.min_given.unwrap_or(settings.min);
    let mut context = first.context.clone();
    context.min = settings.min;
    let until = options.at.map(|moment| moment_of(moment, &context));
    let mut engine = Engine::new(settings, context.started_mono);
    let mut hosts = BTreeMap::new();
    // A view that was drawn last is drawn again as it was; of a recording that was cut off, all there is.
    let (mut last, mut cut) = (context.started_mono, None);
    'tapes: for tape in &mut tapes {
        while let Some(item) = tape.advance() {
            match item {
                Item::Input((at, _)) | Item::Cut(at) if until.is_some_and(|until| at > until) => break 'tapes,
                Item::Input((at, input)) => {
                    engine.handle(at, input);
                    // Nobody reads them here.
                    engine.events();
                    (last, cut) = (last.max(at), None);
                }
                Item::Cut(at) => cut = Some(at),
                Item::Context(told) => {
                    context = Context {
                        min: context.min,
                        ..*told
                    }
                }
                Item::Names(names) => hosts.extend(names),
            }
        }
    }
    let now = until.or(cut).unwrap_or(last);
    Ok(Replayed {
        snapshot: engine.snapshot(now),
        context,
        hosts,
    })
}

/// The parts of one recording, in their order.
fn opened(files: &[PathBuf]) -> Result<Vec<Tape>, Problem> {
    let mut tapes = files
        .iter()
        .map(|file| Tape::open(file))
        .collect::<Result<Vec<_>, _>>()?;
    tapes.sort_by_key(|tape| tape.header().member);
    let of = |tape: &Tape| tape.header().recording.clone();
    if tapes.iter().any(|tape| of(tape) != of(&tapes[0])) {
        return Err(Problem::usage(
            "--from was given files of several recordings: one at a time can be read",
        ));
    }
    Ok(tapes)
}

fn moment_of(moment: Moment, context: &Context) -> Mono {
    match moment {
        Moment::After(span) => context.started_mono.plus(span),
        Moment::Wall(wall) => {
            let after = wall.as_nanosecond() - context.started_at.as_nanosecond();
            let ns = i128::from(context.started_mono.ns()) + after;
            Mono::from_ns(u64::try_from(ns.max(0)).unwrap_or(u64::MAX))
        }
    }
}
