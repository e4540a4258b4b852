//! Several recordings as one: of several hosts, of several processes, of one process again and again.

use std::collections::BTreeSet;

use hatrace_core::log::Stories;
use hatrace_core::merge::{Part as Merged, again, merge};
use hatrace_core::snapshot::Notice;
use hatrace_core::stream::Name;
use hatrace_core::time::Mono;
use jiff::Timestamp;

use super::replay::{Played, Replayed};
use crate::error::Problem;
use crate::port::{Context, Cost, Interval, Mode, Part};

/// One as it is; several with their hosts told apart. `of_a_moment`: those that aren't of it are left out.
pub(super) fn together(mut played: Vec<Played>, of_a_moment: bool) -> Result<Replayed, Problem> {
    let elsewhen: Vec<String> = played.iter().filter(|part| part.elsewhen).map(span).collect();
    if of_a_moment && elsewhen.len() == played.len() {
        return Err(Problem::usage(format!(
            "--at is not in what was recorded: {}",
            elsewhen.join("; ")
        ))
        .remedy("--at with a time between these"));
    }
    played.retain(|part| !part.elsewhen);
    let stories = stories(&mut played);
    let mut replayed = match played.len() {
        1 => played.pop().map(alone),
        _ => several(played),
    }
    .ok_or_else(|| Problem::usage("--from was given no file"))?;
    replayed.stories = stories;
    for span in elsewhen {
        replayed.snapshot.notices.push(Notice {
            code: "recording-part",
            count: 1,
            text: format!("nothing is known of the moment asked for from the recording of {span}."),
        });
    }
    Ok(replayed)
}

/// Those of each recording, with whose and up to when they are.
fn stories(played: &mut [Played]) -> Vec<(Stories, Context, Mono)> {
    let told = played.iter_mut();
    told.filter_map(|part| Some((part.stories.take()?, part.context.clone(), part.snapshot.at)))
        .collect()
}

/// `lb1, 2026-11-21T03:12:00Z to 2026-11-21T03:22:00Z`.
fn span(part: &Played) -> String {
    let Context { host, started_at, .. } = &part.context;
    format!("{host}, {started_at:.0} to {:.0}", part.end)
}

fn alone(part: Played) -> Replayed {
    Replayed {
        snapshot: part.snapshot,
        context: part.context,
        hosts: part.hosts,
        intervals: part.intervals,
        kernels: [part.kernel].into(),
        copies: Vec::new(),
        predictions: part.prediction.map(|told| (None, told)).into_iter().collect(),
        stories: Vec::new(),
    }
}

fn several(played: Vec<Played>) -> Option<Replayed> {
    let past: Vec<bool> = played
        .iter()
        .map(|part| played.iter().any(|other| follows(other, part)))
        .collect();
    let ends = || played.iter().map(|part| part.context.wall(part.snapshot.at));
    let start = played.iter().map(|part| part.context.started_at).min()?;
    let watched = ends().max()?.duration_since(start).unsigned_abs();
    let mut whole = Replayed {
        snapshot: merge(
            played
                .iter()
                .zip(&past)
                .map(|(part, past)| Merged {
                    host: part.context.host.as_str().into(),
                    snapshot: part.snapshot.clone(),
                    past: *past,
                })
                .collect(),
            watched,
        )?,
        context: context(&played, &past, start)?,
        hosts: played.iter().flat_map(|part| part.hosts.clone()).collect(),
        intervals: Vec::new(),
        kernels: played.iter().map(|part| part.kernel.clone()).collect(),
        copies: Vec::new(),
        predictions: Vec::new(),
        stories: Vec::new(),
    };
    for host in whole.context.hosts() {
        let of = |part: &&Part| part.past && part.context.host == host;
        let count = whole.context.parts.iter().filter(of).count() as u64;
        if count > 0 {
            whole.snapshot.notices.push(again(host, count));
        }
    }
    for part in played {
        let host = Name::from(part.context.host.as_str());
        let prediction = part.prediction.map(|told| (Some(host.clone()), told));
        whole.predictions.extend(prediction);
        let told = part.intervals.into_iter();
        whole.intervals.extend(told.map(|interval| Interval {
            host: Some(host.clone()),
            ..interval
        }));
    }
    whole.intervals.sort_by_key(|interval| interval.start);
    Some(whole)
}

/// Whether the first tells what became of what the second saw last: it is of the same processes and ends later, or of the same host and
/// begins when the second has ended.
fn follows(later: &Played, earlier: &Played) -> bool {
    let end = |part: &Played| part.context.wall(part.snapshot.at);
    let key = |part: &Played| (end(part), part.context.started_at, part.recording.clone());
    let boot = later.boot.is_some() && later.boot == earlier.boot;
    let host = boot || later.context.host == earlier.context.host;
    let pids: BTreeSet<_> = later.context.pids.iter().collect();
    let same = boot && earlier.context.pids.iter().any(|pid| pids.contains(pid));
    let afterwards = host && later.context.started_at >= end(earlier);
    (same || afterwards) && key(later) > key(earlier)
}

/// What is true of all of them.
fn context(played: &[Played], past: &[bool], started_at: Timestamp) -> Option<Context> {
    let first = &played.first()?.context;
    let all = || played.iter().map(|part| &part.context);
    let now = || {
        all()
            .zip(past)
            .filter(|(_, past)| !**past)
            .map(|(context, _)| context)
    };
    let versions: BTreeSet<&str> = now()
        .filter_map(|context| context.haproxy_version.as_deref())
        .collect();
    let hosts: BTreeSet<&str> = all().map(|context| context.host.as_str()).collect();
    let polled = all().find(|context| matches!(context.mode, Mode::Polled { .. }));
    let cost = |of: fn(&Cost) -> std::time::Duration| all().map(|context| of(&context.cost)).max();
    Some(Context {
        host: hosts.into_iter().collect::<Vec<_>>().join(", "),
        pids: now().flat_map(|context| context.pids.clone()).collect(),
        master: None,
        haproxy_version: (!versions.is_empty()).then(|| versions.into_iter().collect::<Vec<_>>().join(", ")),
        // Together they are as exact as the least exact.
        mode: polled.unwrap_or(first).mode.clone(),
        started_at,
        started_mono: first.started_mono,
        sweep_interval: all().map(|context| context.sweep_interval).max()?,
        min: first.min,
        cost: Cost {
            scan: cost(|cost| cost.scan)?,
            sweep: cost(|cost| cost.sweep)?,
            survey: cost(|cost| cost.survey)?,
            map_bytes: all().map(|context| context.cost.map_bytes).sum(),
        },
        parts: played
            .iter()
            .zip(past)
            .map(|(part, past)| Part {
                recording: part.recording.clone(),
                context: part.context.clone(),
                watched: part.snapshot.watched,
                asking: part.snapshot.asking.clone(),
                configured: part.snapshot.configured.clone(),
                past: *past,
            })
            .collect(),
    })
}
