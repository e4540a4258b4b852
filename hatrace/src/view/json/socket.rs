//! One lingering socket in JSON, and its clock.

use std::net::SocketAddr;

use hatrace_core::clock::{Clock, ClockSource};
use hatrace_core::naming::{Tie, Without};
use hatrace_core::snapshot::Lingering;
use serde::Serialize;
use serde_json::{Value, json};

use crate::port::Context;
use crate::view::units;

/// A lingering socket.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    host: Option<&'a str>,
    cookie: String,
    side: &'static str,
    state: &'static str,
    holder: &'static str,
    age_s: f64,
    age_bound: &'static str,
    age_max_s: Option<f64>,
    end: &'static str,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    netns: Option<u32>,
    proxy: Option<&'a str>,
    server: Option<&'a str>,
    pid: Option<u32>,
    fd: Option<u32>,
    session: Option<String>,
    session_state: Option<&'static str>,
    session_facts: Option<Value>,
    without_session: Option<&'static str>,
    pair: Option<Value>,
    unread_bytes: Option<u32>,
    unacked_bytes: Option<u32>,
    retransmits: u32,
    first_fin: &'static str,
    adopted: bool,
    clock: ClockRow,
    verdict: Option<&'static str>,
}

impl<'a> Row<'a> {
    /// On the host it is known to be on, or the only one.
    pub(super) fn on(mut self, context: &'a Context) -> Self {
        self.host = self.host.or(Some(&context.host));
        self
    }

    /// Under a finding's verdict.
    pub(super) fn under(mut self, verdict: Option<&'static str>) -> Self {
        self.verdict = verdict;
        self
    }
}

/// The clock that will end a socket.
#[derive(Serialize)]
pub(super) struct ClockRow {
    name: Option<&'static str>,
    source: Option<String>,
    fires_in_s: Option<f64>,
    length_s: Option<f64>,
    certain: bool,
}

impl ClockRow {
    pub(super) fn of(clock: &Clock) -> Self {
        Self {
            name: clock.name.name(),
            source: (clock.source != ClockSource::Unknown).then(|| clock.source.to_string()),
            fires_in_s: clock.fires_in.map(units::seconds),
            length_s: clock.length.map(units::seconds),
            certain: clock.certain,
        }
    }
}

/// As the contract has it.
pub(super) fn lingering(row: &Lingering) -> Row<'_> {
    let naming = &row.naming;
    let shown = naming
        .session
        .as_ref()
        .filter(|session| session.tie != Tie::Reused);
    Row {
        host: row.host.as_deref(),
        cookie: row.cookie.to_string(),
        side: row.side.name(),
        state: row.state.name(),
        holder: row.holder.name(),
        age_s: units::seconds(row.age.at_least),
        age_bound: row.age.bound.as_str(),
        age_max_s: row.age.at_most.map(units::seconds),
        end: if row.end_polled { "polled" } else { "exact" },
        local: row.endpoints.map(|ends| ends.local),
        peer: row.endpoints.map(|ends| ends.peer),
        netns: row.netns.map(|netns| netns.0),
        proxy: naming.proxy.as_deref(),
        server: naming.server.as_deref(),
        pid: row.pid.map(|pid| pid.0),
        fd: row.fd.map(|fd| fd.0),
        session: shown.map(|session| session.ptr.to_string()),
        session_state: naming.session.as_ref().map(|session| session.tie.name()),
        session_facts: shown.map(super::sessions::facts),
        without_session: naming.without.map(Without::code),
        pair: naming.pair.map(|pair| {
            json!({ "cookie": pair.cookie.to_string(), "state": pair.state.name(), "side": pair.side.name() })
        }),
        unread_bytes: row.unread,
        unacked_bytes: row.unacked,
        retransmits: row.retransmits,
        first_fin: row.first_fin.name(),
        adopted: row.adopted,
        clock: ClockRow::of(&row.clock),
        verdict: None,
    }
}
