//! Sessions in JSON: as facts about a socket, and as a view of their own.

use std::io::{self, Write};

use hatrace_core::naming::Session;
use hatrace_core::snapshot::{ServiceRow, SessionRow, SessionSock, Snapshot};
use hatrace_core::stream::{EndState, Expiry, ServiceKind, StreamEnd};
use serde_json::{Value, json};

use super::{SCHEMA, notice, recordings, selection, target, window};
use crate::port::Context;
use crate::view::page::Page;
use crate::view::sessions::{BUCKETS, GROUPINGS, bucket, grouped, proof, stuck, trend};
use crate::view::units;

/// The view `sessions` as one object on one line.
///
/// # Errors
/// The writer's.
pub fn sessions(out: &mut dyn Write, snapshot: &Snapshot, context: &Context, page: &Page) -> io::Result<()> {
    let rows = page.selection.sessions(snapshot);
    let marked = |rows: &[&SessionRow]| rows.iter().filter(|row| stuck(row, context.min)).count();
    let cut = rows.len().saturating_sub(page.rows);
    let ages: Vec<Value> = BUCKETS
        .iter()
        .enumerate()
        .map(|(index, (_, low, high))| {
            let within: Vec<&SessionRow> = rows
                .iter()
                .copied()
                .filter(|row| row.stream.age.is_some_and(|age| bucket(age) == index))
                .collect();
            json!({ "low_s": low, "high_s": high, "sessions": within.len(), "stuck": marked(&within) })
        })
        .collect();
    let by: serde_json::Map<String, Value> = GROUPINGS
        .iter()
        .map(|by| {
            let groups = grouped(&rows, by, context.min);
            let groups = groups.iter().map(|group| {
                json!({
                    "name": group.name,
                    "sessions": group.sessions,
                    "stuck": group.stuck,
                    "oldest_s": group.oldest.map(units::seconds),
                })
            });
            ((*by).to_owned(), groups.collect())
        })
        .collect();
    let mut document = json!({
        "schema": SCHEMA,
        "view": "sessions",
        "target": target(context, &snapshot.asking, &snapshot.configured, snapshot.watched),
        "window": window(context, snapshot.watched),
        "recordings": recordings(context),
        "totals": { "sessions": rows.len(), "stuck": marked(&rows) },
        "selection": selection(page),
        "ages": ages,
        "by": by,
        "sessions": rows.iter().take(page.rows).map(|row| session(row, context)).collect::<Vec<_>>(),
        "services": snapshot.services.iter().map(|row| service(row, context)).collect::<Vec<_>>(),
        "notices": snapshot.notices.iter().map(notice).collect::<Vec<_>>(),
    });
    if cut > 0 {
        document["truncated"] = cut.into();
    }
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)
}

fn session(row: &SessionRow, context: &Context) -> Value {
    let stream = &row.stream;
    json!({
        "host": row.host.as_deref().unwrap_or(&context.host),
        "pid": row.pid.0,
        "session": stream.ptr.to_string(),
        "age_s": stream.age.map(units::seconds),
        "stuck": stuck(row, context.min),
        "frontend": stream.frontend.as_deref(),
        "backend": stream.backend.as_deref(),
        "server": stream.server.as_deref(),
        "source": stream.source,
        "front": { "socket": row.front.as_ref().map(sock), "believes": end(&stream.front) },
        "back": { "socket": row.back.as_ref().map(sock), "believes": end(&stream.back) },
    })
}

fn sock(sock: &SessionSock) -> Value {
    json!({
        "cookie": sock.cookie.to_string(),
        "state": sock.state.name(),
        "age_s": sock.age.map(|age| units::seconds(age.at_least)),
        "age_bound": sock.age.map(|age| age.bound.as_str()),
        "age_max_s": sock.age.and_then(|age| age.at_most).map(units::seconds),
        "local": sock.endpoints.local,
        "peer": sock.endpoints.peer,
    })
}

fn service(row: &ServiceRow, context: &Context) -> Value {
    let service = &row.service;
    let kind = match service.kind {
        ServiceKind::Frontend => "frontend",
        ServiceKind::Server => "server",
        ServiceKind::Backend => "backend",
    };
    let states: serde_json::Map<String, Value> = row
        .sockets
        .states
        .iter()
        .map(|(state, count)| (state.name().to_owned(), (*count).into()))
        .collect();
    json!({
        "host": row.host.as_deref().unwrap_or(&context.host),
        "pid": row.pid.0,
        "kind": kind,
        "proxy": &*service.proxy,
        "server": service.server.as_deref(),
        "status": service.status,
        "scur": service.current,
        "scur_before": row.before.map(|(_, before)| before),
        "apart_s": row.before.map(|(apart, _)| units::seconds(apart)),
        "trend": trend(row),
        "smax": service.most,
        "slim": service.limit,
        "qcur": service.queued,
        "stot": service.total,
        "sockets": states,
        "prove_with": proof(row),
    })
}

/// What HAProxy said of the session that holds a socket.
pub(super) fn facts(session: &Session) -> Value {
    let facts = &session.facts;
    json!({
        "pid": facts.pid.0,
        "frontend": facts.frontend.as_deref(),
        "backend": facts.backend.as_deref(),
        "server": facts.server.as_deref(),
        // The client as HAProxy calls it, where that isn't the socket's peer.
        "source": facts.called,
        "age_s": facts.age.map(units::seconds),
        "id": facts.identity.as_ref().map(|(id, _)| id),
        "accepted": facts.identity.as_ref().map(|(_, accepted)| accepted),
        "streams": facts.streams.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "believes": end(&session.believed),
    })
}

/// What HAProxy believes of one side.
fn end(end: &StreamEnd) -> Value {
    json!({
        "state": state(end.state),
        "eof_read": end.eof_read,
        "shut_done": end.shut_done,
        "read_expires": expiry(end.read_expires),
        "write_expires": expiry(end.write_expires),
    })
}

/// Seconds, `"never"`, `"past"`; `null` where it isn't told.
fn expiry(expiry: Expiry) -> Value {
    match expiry {
        Expiry::Unknown => Value::Null,
        Expiry::Never => "never".into(),
        Expiry::Past => "past".into(),
        Expiry::In(left) => units::seconds(left).into(),
    }
}

fn state(state: EndState) -> Value {
    match state {
        EndState::Initial => "INI".into(),
        EndState::Requested => "REQ".into(),
        EndState::Queued => "QUE".into(),
        EndState::TryAgain => "TAR".into(),
        EndState::Assigned => "ASS".into(),
        EndState::Connecting => "CON".into(),
        EndState::ConnectFailed => "CER".into(),
        EndState::Ready => "RDY".into(),
        EndState::Established => "EST".into(),
        EndState::Disconnected => "DIS".into(),
        EndState::Closed => "CLO".into(),
        EndState::Other(number) => number.into(),
    }
}
