//! The same for programs: JSON and CSV.

use std::io::{self, Write};

use hatrace_core::log::{Busy, Counted, Entry, Network, Rate, Rise, Summary, Written};
use serde_json::{Value, json};

use super::{Read, moment, verdicts};
use crate::view::page::Page;

/// One object.
///
/// # Errors
/// The writer's.
pub fn write_json(out: &mut dyn Write, read: &Read, summary: &Summary, page: &Page) -> io::Result<()> {
    let codes = summary.codes.iter().map(|(code, count)| {
        json!({
            "code": code.to_string(),
            "count": count,
            "severity": code.severity().name(),
            "meaning": code.meaning(),
        })
    });
    let told = &summary.persistence;
    let object = json!({
        "schema": crate::view::json::SCHEMA,
        "view": "logs",
        "files": read.files,
        "lines": read.lines,
        "parsed": summary.sessions + summary.connections,
        "unparsed": read.unknown + read.too_long,
        "messages": read.messages,
        "failures": read.failures,
        "examples": read.examples,
        "sessions": summary.sessions,
        "connections": summary.connections,
        "early": summary.early,
        "truncated": summary.truncated,
        "without_code": summary.uncoded,
        "first": summary.first.map(moment),
        "last": summary.last.map(moment),
        "codes": codes.collect::<Vec<_>>(),
        "statuses": summary.statuses.iter().map(|(status, count)| json!({"status": status, "count": count})).collect::<Vec<_>>(),
        "frontends": summary.frontends.iter().map(|busy| self::busy("frontend", busy)).collect::<Vec<_>>(),
        "busy_servers": summary.servers.iter().take(page.rows).map(|busy| self::busy("server", busy)).collect::<Vec<_>>(),
        "servers": summary.by_server.iter().take(page.rows).map(|one| way("server", one)).collect::<Vec<_>>(),
        "endings": summary.ways.iter().take(page.rows).map(|one| way("frontend", one)).collect::<Vec<_>>(),
        "networks": summary.networks.iter().take(page.rows.min(1000)).map(network).collect::<Vec<_>>(),
        "unknown_networks": summary.unknown_networks,
        "kernel": read.kernel.iter().map(super::kernel::json).collect::<Vec<_>>(),
        "findings": read.kernel.iter().flat_map(super::kernel::findings_json).collect::<Vec<_>>(),
        "persistence": {
            "requests": told.requests,
            "pairs": told.pairs.iter().map(|(pair, count)| json!({
                "pair": pair.iter().map(|letter| char::from(*letter)).collect::<String>(),
                "count": count,
            })).collect::<Vec<_>>(),
            "verdicts": verdicts(told),
        },
    });
    writeln!(out, "{object}")
}

fn often(often: Option<Rate>) -> Value {
    often.map_or(Value::Null, |often| {
        json!({
            "average_per_s": often.average,
            "peak_per_s": often.peak,
            "peak_at": moment(often.peak_at),
            "peak_within_s": often.within / 1000,
        })
    })
}

fn busy(key: &str, busy: &Busy) -> Value {
    json!({key: busy.name, "count": busy.sessions, "rate": often(busy.rate)})
}

/// With when it became more frequent, and by how much; without: nothing in these keys.
fn with_rise(mut object: Value, rise: Option<Rise>, rose_at: Option<(Written, i64)>) -> Value {
    for (key, value) in [
        ("rose_at", json!(rose_at.map(|(at, _)| moment(at)))),
        ("rose_within_s", json!(rose_at.map(|(_, within)| within / 1000))),
        ("rose_fold", json!(rise.map(|rise| rise.fold))),
        ("rose_before", json!(rise.map(|rise| rise.before))),
        ("rose_after", json!(rise.map(|rise| rise.after))),
    ] {
        object[key] = value;
    }
    object
}

fn network(one: &Network) -> Value {
    let object = json!({
        "network": one.network.to_string(),
        "count": one.sessions,
        "odd": one.odd,
        "average_per_s": one.rate,
        "over_time": one.over_time,
        "codes": one.codes.iter().map(|(code, count)| json!({"code": code.to_string(), "count": count})).collect::<Vec<_>>(),
    });
    with_rise(object, one.rise, one.rose_at)
}

fn way(key: &str, way: &Counted) -> Value {
    let networks = way.networks.iter().take(20);
    let object = json!({
        key: way.place,
        "code": way.code.to_string(),
        "severity": way.severity.name(),
        "count": way.count,
        "of": way.of,
        "rate": often(way.rate),
        "over_time": way.over_time,
        "networks": networks.map(|(network, count)| json!({"network": network.to_string(), "count": count})).collect::<Vec<_>>(),
        "elsewhere": way.elsewhere,
        "queue_ms": way.queue.map(|queue| json!({"p50": queue.p50, "p90": queue.p90, "max": queue.max})),
    });
    with_rise(object, way.rise, way.rose_at)
}

/// A row for each frontend and ending, each server and ending, each network and ending that is not normal.
///
/// # Errors
/// The writer's.
pub fn write_csv(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record([
        "code",
        "severity",
        "frontend",
        "server",
        "network",
        "count",
        "of",
        "average_per_s",
        "peak_per_s",
        "peak_at",
        "rose_at",
        "rose_fold",
        "meaning",
    ])?;
    for (is_server, ways) in [(false, &summary.ways), (true, &summary.by_server)] {
        for way in ways {
            let (frontend, server) = match is_server {
                true => ("", way.place.as_str()),
                false => (way.place.as_str(), ""),
            };
            let often = |of: fn(Rate) -> String| way.rate.map(of).unwrap_or_default();
            csv.write_record([
                way.code.to_string().as_str(),
                way.severity.name(),
                frontend,
                server,
                "",
                &way.count.to_string(),
                &way.of.to_string(),
                &often(|often| format!("{:.4}", often.average)),
                &often(|often| format!("{:.4}", often.peak)),
                &often(|often| moment(often.peak_at)),
                &way.rose_at.map(|(at, _)| moment(at)).unwrap_or_default(),
                &way.rise
                    .map(|rise| format!("{:.2}", rise.fold))
                    .unwrap_or_default(),
                &way.code.meaning(),
            ])?;
        }
    }
    for one in &summary.networks {
        for (code, count) in &one.codes {
            csv.write_record([
                code.to_string().as_str(),
                code.severity().name(),
                "",
                "",
                &one.network.to_string(),
                &count.to_string(),
                &one.sessions.to_string(),
                "",
                "",
                "",
                "",
                "",
                &code.meaning(),
            ])?;
        }
    }
    csv.flush()
}

/// One session as it is followed.
pub(super) fn entry_json(entry: &Entry<'_>) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    json!({
        "schema": crate::view::json::SCHEMA,
        "view": "log-line",
        "ended": entry.ended().map(moment),
        "client": entry.client.map(|ip| ip.to_string()),
        "client_port": entry.client_port,
        "frontend": text(entry.frontend),
        "backend": text(entry.backend),
        "server": text(entry.server),
        "status": entry.status,
        "code": entry.code.map(|code| code.to_string()),
        "severity": entry.code.map(|code| code.severity().name()),
        "meaning": entry.code.map(|code| code.meaning()),
    })
}
