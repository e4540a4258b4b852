//! The same for programs: JSON and CSV.

use std::io::{self, Write};

use hatrace_core::log::{Counted, Entry, Summary};
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
        "frontends": summary.by_frontend.iter().map(|(name, count)| json!({"frontend": name, "count": count})).collect::<Vec<_>>(),
        "servers": summary.by_server.iter().map(|(name, code, count)| json!({
            "server": name,
            "code": code.to_string(),
            "count": count,
        })).collect::<Vec<_>>(),
        "endings": summary.ways.iter().take(page.rows).map(way).collect::<Vec<_>>(),
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

fn way(way: &Counted) -> Value {
    let networks = way.networks.iter().take(20);
    json!({
        "frontend": way.frontend,
        "code": way.code.to_string(),
        "severity": way.severity.name(),
        "count": way.count,
        "of": way.of,
        "over_time": way.over_time,
        "rose_at": way.rose_at.map(|(at, _)| moment(at)),
        "rose_within_s": way.rose_at.map(|(_, within)| within / 1000),
        "rose_fold": way.rise.map(|rise| rise.fold),
        "rose_before": way.rise.map(|rise| rise.before),
        "rose_after": way.rise.map(|rise| rise.after),
        "networks": networks.map(|(network, count)| json!({"network": network.to_string(), "count": count})).collect::<Vec<_>>(),
        "elsewhere": way.elsewhere,
        "queue_ms": way.queue.map(|queue| json!({"p50": queue.p50, "p90": queue.p90, "max": queue.max})),
    })
}

/// A row for each frontend and ending.
///
/// # Errors
/// The writer's.
pub fn write_csv(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record([
        "code",
        "severity",
        "frontend",
        "count",
        "of",
        "rose_at",
        "rose_fold",
        "network",
        "network_count",
        "meaning",
    ])?;
    for way in &summary.ways {
        let (network, count) = match way.networks.first() {
            Some((network, count)) => (network.to_string(), count.to_string()),
            None => (String::new(), String::new()),
        };
        csv.write_record([
            way.code.to_string(),
            way.severity.name().to_owned(),
            way.frontend.clone(),
            way.count.to_string(),
            way.of.to_string(),
            way.rose_at.map(|(at, _)| moment(at)).unwrap_or_default(),
            way.rise
                .map(|rise| format!("{:.2}", rise.fold))
                .unwrap_or_default(),
            network,
            count,
            way.code.meaning(),
        ])?;
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
