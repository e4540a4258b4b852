//! JSON, schema 1: one object for a whole view, or one a line for the stream.
//!
//! Keys are never renamed and never left out; what is not known is `null`. `clock` has `null` for its name where HAProxy holds the
//! socket and could not be asked. `session` is `null` where none is known, and where its pointer is another connection's by now;
//! `without_session` says which. `verdict` is that of the finding that a socket is under.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use hatrace_core::config::Configuration;
use hatrace_core::event::{Event, Next};
use hatrace_core::ids::Pid;
use hatrace_core::input::{ProcessChange, Transition};
use hatrace_core::naming::Asking;
use hatrace_core::snapshot::{Dwell, Notice, Percentiles, Snapshot, Spike};
use hatrace_core::sock::{BySide, Side};
use hatrace_core::stream::Access;
use hatrace_core::time::{Age, Mono};
use serde::Serialize;
use serde_json::{Value, json};

use self::socket::{Row, lingering};
use super::page::Page;
use super::{units, words};
use crate::ability::Ability;
use crate::port::{Context, Cost, Mode};

/// The schema's version.
pub const SCHEMA: u32 = 1;

/// A whole view (`report`, `stuck`, `trace`'s summary) as one object on one line.
///
/// # Errors
/// The writer's.
pub fn write(
    out: &mut dyn Write,
    view: &str,
    snapshot: &Snapshot,
    context: &Context,
    page: &Page,
) -> io::Result<()> {
    let wanted = page.selection.lingering(snapshot);
    // `culprits -n` is of culprits.
    let rows = if view == "culprits" { usize::MAX } else { page.rows };
    let cut = wanted.len().saturating_sub(rows);
    let verdicts = findings::verdicts(snapshot);
    let (culprits, remarks) = findings::split(snapshot, context, page);
    let document = Document {
        schema: SCHEMA,
        view,
        target: target(context, &snapshot.asking, &snapshot.configured, snapshot.watched),
        window: window(context, snapshot.watched),
        recordings: recordings(context),
        totals: totals(snapshot),
        without_session: snapshot
            .without_session
            .iter()
            .map(|(why, count)| json!({ "reason": why.code(), "text": words::without(*why), "count": count }))
            .collect(),
        selection: selection(page),
        dwell: page.selection.dwell(snapshot).map(dwell).collect(),
        lingering: wanted
            .into_iter()
            .take(rows)
            .map(|row| {
                lingering(row)
                    .on(context)
                    .under(verdicts.get(&(row.host.as_ref(), row.cookie)).copied())
            })
            .collect(),
        truncated: (cut > 0).then_some(cut),
        culprits,
        notices: remarks
            .into_iter()
            .chain(snapshot.notices.iter().map(notice))
            .collect(),
        ended_processes: snapshot.ended_processes.iter().map(|pid| pid.0).collect(),
        cost: cost(context.cost),
    };
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)
}

/// One event of the stream as one object on one line.
///
/// # Errors
/// The writer's.
pub fn event(out: &mut dyn Write, event: &Event, context: &Context) -> io::Result<()> {
    let line = |at: Mono, name: &str| json!({ "schema": SCHEMA, "view": "trace", "event": name, "at": context.wall(at).to_string() });
    let mut object = match event {
        Event::Lingers { at, .. } => line(*at, "lingers"),
        Event::Left { at, .. } => line(*at, "left"),
        Event::Transition { at, .. } => line(*at, "transition"),
        Event::Process { at, .. } => line(*at, "process"),
    };
    match event {
        Event::Lingers { row, .. } => object["socket"] = json!(lingering(row).on(context)),
        Event::Left { row, next, .. } => {
            object["socket"] = json!(lingering(row).on(context));
            object["next"] = json!({ "state": words::next(*next).0, "how": words::next_code(*next) });
            if let Next::ProcessEnded(pid) = next {
                object["next"]["pid"] = json!(pid.0);
            }
        }
        Event::Transition {
            transition: told,
            held,
            ..
        } => object["transition"] = transition(told, *held),
        Event::Process { change, .. } => {
            object["process"] = match change {
                ProcessChange::Born { pid, parent } => {
                    json!({ "change": "born", "pid": pid.0, "parent": parent.0 })
                }
                ProcessChange::Ended { pid } => json!({ "change": "ended", "pid": pid.0, "parent": null }),
            }
        }
    }
    serde_json::to_writer(&mut *out, &object)?;
    writeln!(out)
}

/// The document; its fields' order is the order of the keys.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    view: &'a str,
    target: Value,
    window: Value,
    recordings: Vec<Value>,
    totals: Value,
    without_session: Vec<Value>,
    selection: Value,
    dwell: Vec<Value>,
    lingering: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<usize>,
    culprits: Vec<Value>,
    notices: Vec<Value>,
    ended_processes: Vec<u32>,
    cost: Value,
}

/// A lingering socket. There can be ten thousand: a structure, not a map.
fn cost(cost: Cost) -> Value {
    json!({
        "scan_s": units::seconds(cost.scan),
        "sweep_s": units::seconds(cost.sweep),
        "survey_s": units::seconds(cost.survey),
        "map_bytes": cost.map_bytes,
    })
}

/// Who was watched, how, and since when.
pub(super) fn target_of(context: &Context, snapshot: &Snapshot) -> Value {
    target(context, &snapshot.asking, &snapshot.configured, snapshot.watched)
}

pub(super) fn window(context: &Context, watched: Duration) -> Value {
    json!({ "started_at": context.started_at.to_string(), "seconds": units::seconds(watched) })
}

/// Each of the recordings that were put together.
fn recordings(context: &Context) -> Vec<Value> {
    let parts = context.parts.iter();
    parts
        .map(|part| {
            json!({
                "recording": part.recording,
                "window": window(&part.context, part.watched),
                "target": target(&part.context, &part.asking, &part.configured, part.watched),
                "recorded_again": part.past,
            })
        })
        .collect()
}

fn target(
    context: &Context,
    asking: &[Asking],
    configured: &[(Pid, Arc<Configuration>)],
    watched: Duration,
) -> Value {
    let why = match &context.mode {
        Mode::Traced { .. } => None,
        Mode::Polled { why } => why.as_deref(),
    };
    let timewaits = if context.mode.exact_timewaits() {
        "exact"
    } else {
        "polled"
    };
    let lacking = match &context.mode {
        Mode::Traced { abilities } => abilities.lacking().map(lack).collect(),
        Mode::Polled { .. } => Vec::new(),
    };
    json!({
        "hosts": context.hosts(),
        "pids": context.pids.iter().map(|pid| pid.0).collect::<Vec<_>>(),
        "master": context.master.map(|pid| pid.0),
        "haproxy_version": context.haproxy_version,
        "mode": context.mode.name(),
        "mode_because": why,
        "timewaits": timewaits,
        "lacking": lacking,
        "sweep_interval_s": units::seconds(context.sweep_interval),
        "min_s": units::seconds(context.min),
        "configuration": configured.iter().map(|(pid, configuration)| json!({
            "pid": pid.0,
            "files": configuration.files.iter().map(|file| &**file).collect::<Vec<_>>(),
            "doubts": configuration.doubts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "api": asking.iter().map(|asking| api(asking, watched)).collect::<Vec<_>>(),
    })
}

/// What this kernel doesn't allow.
fn lack((ability, why): (Ability, &str)) -> Value {
    json!({ "ability": ability.name(), "because": why, "costs": ability.costs() })
}

/// How the asking of one process went.
fn api(asking: &Asking, watched: Duration) -> Value {
    let (state, through, why, remedy) = match &asking.access {
        None => ("unknown", None, None, None),
        Some(Access::Off) => ("api-off", None, None, None),
        Some(Access::Ready { through }) => ("ready", Some(through.as_str()), None, None),
        Some(Access::Refused { code, why, remedy }) => {
            (code.code(), None, Some(why.as_str()), remedy.as_deref())
        }
    };
    json!({
        "pid": asking.pid.0,
        "state": state,
        "socket": through,
        "because": why,
        "fix": remedy,
        "questions": asking.questions,
        "seconds": units::seconds(asking.took),
        "longest_s": units::seconds(asking.longest),
        "share": words::share_of(asking.took, watched),
    })
}

fn totals(snapshot: &Snapshot) -> Value {
    let totals = &snapshot.totals;
    json!({
        "sockets": totals.sockets,
        "adopted": totals.adopted,
        "transitions": totals.transitions,
        "lost": totals.lost,
        "missed_runs": totals.missed_runs,
        "with_session": totals.with_session,
        "seen": by_side(&totals.seen),
        "counted": by_side(&totals.counted),
        "delivered": by_side(&totals.delivered),
        "lost_lives": by_side(&totals.lost_lives),
        "open_lives": by_side(&totals.open),
        "evicted": totals.evicted,
    })
}

/// For each side: `seen = counted + delivered + lost_lives + open_lives`.
fn by_side(figures: &BySide<u64>) -> Value {
    Side::ALL
        .into_iter()
        .map(|side| (side.name().to_owned(), figures.get(side).into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn selection(page: &Page) -> Value {
    let wanted = &page.selection;
    json!({
        "states": wanted.states.iter().map(|state| state.name()).collect::<Vec<_>>(),
        "sides": wanted.sides.iter().map(|side| side.name()).collect::<Vec<_>>(),
        "peers": wanted.peers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "proxies": wanted.proxies,
        "servers": wanted.servers,
        "hosts": wanted.hosts,
        "older_s": wanted.older.map(units::seconds),
    })
}

/// Spans that ended when a clock fires.
fn spike(spike: &Spike) -> Value {
    let clocks: Vec<Value> = spike
        .clocks
        .iter()
        .map(|(name, source)| json!({ "name": name.name(), "source": source.to_string() }))
        .collect();
    json!({ "at_s": units::seconds(spike.at), "ended": spike.count, "clocks": clocks })
}

/// A row of dwell times. Percentiles of nothing are `null`, not zero.
fn dwell(row: &Dwell) -> Value {
    let some = row.ended + row.open > 0;
    let time = |time: Duration| some.then(|| units::seconds(time));
    let buckets: Vec<Value> = row
        .buckets
        .iter()
        .map(|bucket| {
            json!({
                "low_s": units::seconds(bucket.low),
                "high_s": bucket.high.map(units::seconds),
                "ended": bucket.ended,
                "open": bucket.open,
            })
        })
        .collect();
    json!({
        "side": row.side.name(),
        "state": row.state.name(),
        "ended": row.ended,
        "open": row.open,
        "between_sweeps": row.between_sweeps,
        "p50_s": time(row.p50),
        "p90_s": time(row.p90),
        "p99_s": time(row.p99),
        "max_s": time(row.max),
        "ended_only": row.ended_only.as_ref().map(percentiles),
        "open_only": row.open_only.as_ref().map(percentiles),
        "buckets": buckets,
        "spikes": row.spikes.iter().map(spike).collect::<Vec<_>>(),
    })
}

fn percentiles(of: &Percentiles) -> Value {
    json!({
        "p50_s": units::seconds(of.p50),
        "p90_s": units::seconds(of.p90),
        "p99_s": units::seconds(of.p99),
        "max_s": units::seconds(of.max),
    })
}

/// A notice has a culprit's keys, so that a program reads both alike.
fn notice(notice: &Notice) -> Value {
    json!({
        "verdict": notice.code,
        "count": notice.count,
        "because": [notice.text],
        "fix": [],
        "rank": null,
        "host": null,
        "also_on": [],
        "peer": null,
        "proxy": null,
        "server": null,
        "side": null,
        "state": null,
        "open": null,
        "ended": null,
        "socket_seconds": null,
        "p99_s": null,
        "responsible": null,
        "confidence": null,
    })
}

fn transition(told: &Transition, held: Option<Age>) -> Value {
    json!({
        "cookie": told.cookie.map(|cookie| cookie.to_string()),
        "side": told.side.name(),
        "from": told.from.name(),
        "to": told.to.name(),
        "local": told.endpoints.local,
        "peer": told.endpoints.peer,
        "pid": told.pid.map(|pid| pid.0),
        "held_s": held.map(|held| units::seconds(held.at_least)),
        "held_bound": held.map(|held| held.bound.as_str()),
        "held_max_s": held.and_then(|held| held.at_most).map(units::seconds),
    })
}

mod findings;
mod sessions;
mod socket;

pub use sessions::sessions;

#[cfg(test)]
mod tests;
