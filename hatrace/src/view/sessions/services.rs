//! What the guides have people watch by hand, per frontend, backend and server; beside it what the kernel counts.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use hatrace_core::snapshot::{ServiceRow, Snapshot};
use hatrace_core::stream::ServiceKind;

use crate::view::columns::{Align, Cell, Table};
use crate::view::page::Page;
use crate::view::paint::Ink;
use crate::view::{units, words};

/// Whether `scur` falls, from the first reading to the last: `falling`, `steady`, `rising`; `None` with one reading.
#[must_use]
pub fn trend(row: &ServiceRow) -> Option<&'static str> {
    let (_, before) = row.before?;
    let now = row.service.current?;
    Some(match now.cmp(&before) {
        std::cmp::Ordering::Less => "falling",
        std::cmp::Ordering::Equal => "steady",
        std::cmp::Ordering::Greater => "rising",
    })
}

/// The rows of the selected proxies: frontends, then each backend after its servers, in HAProxy's own order.
fn wanted<'a>(snapshot: &'a Snapshot, page: &'a Page) -> impl Iterator<Item = &'a ServiceRow> {
    let (proxies, servers) = (&page.selection.proxies, &page.selection.servers);
    snapshot.services.iter().filter(move |row| {
        let service = &row.service;
        let among = |wanted: &[String], name: &str| wanted.iter().any(|other| other == name);
        (proxies.is_empty() || among(proxies, &service.proxy))
            && (servers.is_empty()
                || service
                    .server
                    .as_deref()
                    .is_some_and(|server| among(servers, server)))
    })
}

/// The table, then how to prove it from the other end.
///
/// # Errors
/// The writer's.
pub(super) fn write(out: &mut dyn Write, snapshot: &Snapshot, page: &Page) -> io::Result<()> {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("KIND", Left),
        ("NAME", Left),
        ("STATUS", Left),
        ("SCUR", Right),
        ("TREND", Left),
        ("SMAX", Right),
        ("SLIM", Right),
        ("FULL", Right),
        ("QCUR", Right),
        ("SOCKETS", Left),
    ]);
    for row in wanted(snapshot, page) {
        let service = &row.service;
        let (kind, name) = match (service.kind, &service.server) {
            (ServiceKind::Frontend, _) => ("frontend", service.proxy.to_string()),
            (ServiceKind::Backend, _) => ("backend", service.proxy.to_string()),
            (ServiceKind::Server, server) => (
                "server",
                format!("{}/{}", service.proxy, server.as_deref().unwrap_or("?")),
            ),
        };
        let full = service
            .current
            .zip(service.limit.filter(|limit| *limit > 0))
            .map(|(now, limit)| now * 100 / limit);
        let ink = match full {
            Some(90..) => Ink::Bad,
            Some(70..) => Ink::Warn,
            _ => Ink::Plain,
        };
        let queued = if service.queued.is_some_and(|queued| queued > 0) {
            Ink::Warn
        } else {
            Ink::Plain
        };
        table.push_on(
            row.host.as_deref(),
            vec![
                Cell::new(kind),
                Cell::new(words::clean(&name)),
                Cell::new(words::clean(&service.status).replace(' ', "-")),
                Cell::known(service.current),
                Cell::known(trend_cell(row)),
                Cell::known(service.most),
                Cell::known(service.limit),
                Cell::inked(ink, full.map(|full| format!("{full}%")).unwrap_or_default()),
                Cell::inked(
                    queued,
                    service.queued.map(|count| count.to_string()).unwrap_or_default(),
                ),
                Cell::new(states(row)),
            ],
        );
    }
    if table.is_empty() {
        return writeln!(out, "no frontend, backend or server of that name");
    }
    writeln!(
        out,
        "{}",
        page.paint.dab(
            Ink::Head,
            "HAProxy's books (show stat), and the kernel's sockets of each:"
        )
    )?;
    table.write(out, page.paint)?;
    proofs(out, snapshot, page)
}

fn trend_cell(row: &ServiceRow) -> Option<String> {
    let (apart, before) = row.before?;
    let now = row.service.current?;
    // What it took to ask is no part of what was asked for.
    let apart = Duration::from_secs((apart.as_secs() + u64::from(apart.subsec_millis() >= 500)).max(1));
    Some(format!("{}:{before}>{now}/{}", trend(row)?, units::round(apart)))
}

fn states(row: &ServiceRow) -> String {
    let parts: Vec<String> = row
        .sockets
        .states
        .iter()
        .map(|(state, count)| format!("{state}:{count}"))
        .collect();
    parts.join(",")
}

/// What to run on a server's host to see the same connections from there.
#[must_use]
pub fn proof(row: &ServiceRow) -> Option<String> {
    let to: &SocketAddr = row.sockets.to.first()?;
    let from: Vec<String> = row.sockets.from.iter().map(|ip| format!("dst = {ip}")).collect();
    (row.service.kind == ServiceKind::Server && !from.is_empty()).then(|| {
        let from = if from.len() == 1 {
            from.join("")
        } else {
            format!("( {} )", from.join(" or "))
        };
        format!("ss -tanop 'sport = :{} and {from}'", to.port())
    })
}

fn proofs(out: &mut dyn Write, snapshot: &Snapshot, page: &Page) -> io::Result<()> {
    let mut head = false;
    for row in wanted(snapshot, page) {
        let (Some(server), Some(command)) = (&row.service.server, proof(row)) else {
            continue;
        };
        if !std::mem::replace(&mut head, true) {
            writeln!(out, "The same from the servers' own hosts:")?;
        }
        let name = words::clean(&format!("{}/{server}", row.service.proxy));
        writeln!(out, "  {name}: {command}")?;
    }
    Ok(())
}
