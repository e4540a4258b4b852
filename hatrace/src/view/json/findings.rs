//! Findings in JSON: `culprits`, and the remarks among `notices`.

use std::collections::BTreeMap;

use hatrace_core::ids::Cookie;
use hatrace_core::snapshot::Snapshot;
use hatrace_core::stream::Name;
use hatrace_core::verdicts::{Finding, Forecast, Whom};
use serde_json::{Value, json};

use super::socket::ClockRow;
use crate::port::Context;
use crate::view::page::Page;
use crate::view::{findings, units};

/// How many cookies of a finding are listed.
const COOKIES: usize = 10_000;

/// Those that accuse, ranked, and remarks.
pub(super) fn split(snapshot: &Snapshot, context: &Context, page: &Page) -> (Vec<Value>, Vec<Value>) {
    let (culprits, remarks) = findings::split(snapshot, page);
    let culprits = (1..)
        .zip(culprits.into_iter().take(page.rows))
        .map(|(rank, culprit)| finding(Some(rank), culprit, context, page))
        .collect();
    let remarks = remarks
        .into_iter()
        .map(|remark| finding(None, remark, context, page))
        .collect();
    (culprits, remarks)
}

/// Under which verdict each socket is.
pub(super) fn verdicts(snapshot: &Snapshot) -> BTreeMap<(Option<&Name>, Cookie), &'static str> {
    snapshot
        .findings
        .iter()
        .flat_map(|finding| {
            let (host, code) = (finding.host.as_ref(), finding.verdict.code());
            finding.sockets.iter().map(move |cookie| ((host, *cookie), code))
        })
        .collect()
}

fn finding(rank: Option<u32>, finding: &Finding, context: &Context, page: &Page) -> Value {
    let named = match &finding.whom {
        Whom::Address(address) => page.hosts.get(address),
        _ => None,
    };
    let addresses = match &finding.whom {
        Whom::Many(count) => Some(*count),
        _ => None,
    };
    let peer = match &finding.whom {
        Whom::Address(_) | Whom::Prefix(_) => Some(finding.whom.to_string()),
        Whom::Many(_) | Whom::Haproxy(_) => None,
    };
    let process = match &finding.whom {
        Whom::Haproxy(pid) => pid.map(|pid| pid.0),
        _ => None,
    };
    json!({
        "rank": rank,
        "host": finding.host.as_deref().unwrap_or(&context.host),
        "also_on": finding.also_on,
        "peer": peer,
        "peer_host": named,
        "peer_is": finding.known_as,
        "addresses": addresses,
        "pid": process,
        "proxy": finding.proxy.as_deref(),
        "server": finding.server.as_deref(),
        "side": finding.side.name(),
        "state": finding.state.map(hatrace_core::tcp::TcpState::name),
        "open": finding.open,
        "ended": finding.ended,
        "pinned": finding.pinned,
        "socket_seconds": units::seconds(finding.socket_seconds),
        "p99_s": finding.p99.map(units::seconds),
        "oldest_s": finding.oldest.map(units::seconds),
        "verdict": finding.verdict.code(),
        "responsible": finding.responsible.name(),
        "confidence": finding.confidence.name(),
        "clock": ClockRow::of(&finding.clock),
        "forecast": finding.forecast.iter().map(forecast).collect::<Vec<_>>(),
        "next_in_s": finding.next_in.map(units::seconds),
        "because": finding.because,
        "fix": finding.fix.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "sockets": finding.sockets.iter().take(COOKIES).map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn forecast(forecast: &Forecast) -> Value {
    json!({
        "of": forecast.of,
        "set_at": forecast.place.to_string(),
        "limit": forecast.limit,
        "used": forecast.used,
        "rate_per_s": forecast.rate,
        "full_in_s": units::seconds(forecast.full_in),
        "soonest_s": units::seconds(forecast.soonest),
        "latest_s": forecast.latest.map(units::seconds),
    })
}
