//! What if: how many sockets a line of the configuration would have freed, how many would have been held at most, and which connections
//! at work it would have cut. Told by replaying the lives that were seen.
//!
//! It looks over the engine's shoulder: beside it, after each input, at what it knows. What can't be told is counted, not guessed.

mod force;
mod held;
mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use force::Line;
use force::{Force, Where};
use held::Held;
use wait::{Strike, Wait};

use crate::clock::Proxies;
use crate::config::{Proxy, ProxyMode, TimeoutKind};
use crate::engine::Engine;
use crate::event::Event;
use crate::ids::Cookie;
use crate::ledger::Entry;
use crate::snapshot::{Lingering, Snapshot};
use crate::sock::{Endpoints, Holder, Side};
use crate::stream::Name;
use crate::survey::Standing;
use crate::tcp::TcpState;
use crate::time::Mono;

/// Connections that were cut, listed at most.
const CUTS: usize = 20;

/// What would have been.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// The lines, and how many connections each would have ended.
    pub lines: Vec<(Line, u64)>,
    /// Connections seen that waited for their peer's FIN, HAProxy holding them.
    pub waits: u64,
    /// Of those, the ones that would have been freed sooner than they were.
    pub waiting: u64,
    /// The other sides of their sessions, in CLOSE_WAIT: freed with them.
    pub others: u64,
    /// Connections that were idle for longer than a line allows, nobody having closed.
    pub idle: u64,
    /// Held at the same time at most, waiting, kept open by one that is, or idle for longer than a line allows: as it was.
    pub peak_then: u64,
    /// As it would have been.
    pub peak_now: u64,
    /// Held at the end.
    pub left_then: u64,
    /// Held at the end, as it would have been.
    pub left_now: u64,
    /// Of those that would have been freed: those on which the peer sent something afterwards.
    pub cut: u64,
    /// Those of which the looks don't show whether the pause was long enough.
    pub perhaps_cut: u64,
    /// The first ones that would have been cut.
    pub cuts: Vec<Cut>,
    /// Ended by a timeout that would have been longer: for how long they would have been held isn't known.
    pub longer: u64,
    /// Too little is known of which timeout was in force.
    pub untold: u64,
}

impl Prediction {
    /// Sockets that would have been freed.
    #[must_use]
    pub const fn freed(&self) -> u64 {
        self.waiting + self.others + self.idle
    }
}

/// A connection at work that would have been cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// On which side.
    pub side: Side,
    /// Between whom.
    pub endpoints: Option<Endpoints>,
    /// The frontend of a client's, the backend of a server's.
    pub proxy: Option<Name>,
    /// How long nothing had come before the peer went on.
    pub pause: Duration,
}

/// Supposes lines while a recording is replayed.
#[derive(Debug)]
pub struct WhatIf {
    lines: Vec<Line>,
    version: Option<(u32, u32)>,
    shortest: Duration,
    /// Connections that wait for their peer's FIN.
    waits: BTreeMap<Cookie, Wait>,
    /// Whose waiting keeps a CLOSE_WAIT open.
    waits_for: BTreeMap<Cookie, Cookie>,
    /// Waits that are over and would have been sooner: when.
    struck: BTreeMap<Cookie, Mono>,
    /// Connections at rest, nobody having closed.
    standing: BTreeMap<Cookie, (Wait, Standing)>,
    then: Held,
    now: Held,
    swept: Option<Mono>,
    surveyed: Option<Mono>,
    told: Prediction,
}

impl WhatIf {
    /// Supposes these lines, of a HAProxy of that version.
    #[must_use]
    pub fn new(lines: Vec<Line>, version: Option<(u32, u32)>) -> Self {
        let told = Prediction {
            lines: lines.iter().map(|line| (line.clone(), 0)).collect(),
            ..Prediction::default()
        };
        Self {
            shortest: lines.iter().map(|line| line.length).min().unwrap_or_default(),
            lines,
            version,
            waits: BTreeMap::new(),
            waits_for: BTreeMap::new(),
            struck: BTreeMap::new(),
            standing: BTreeMap::new(),
            then: Held::default(),
            now: Held::default(),
            swept: None,
            surveyed: None,
            told,
        }
    }

    /// HAProxy's version, once it is known.
    pub fn of_version(&mut self, version: Option<(u32, u32)>) {
        self.version = version.or(self.version);
    }

    /// After each input: what the engine knows now, and what it has told since.
    pub fn watch(&mut self, engine: &Engine, events: &[Event]) {
        if engine.last_sweep != self.swept {
            self.swept = engine.last_sweep;
            self.look(engine);
        }
        let survey = engine.surveys.last.as_ref().map(|(at, _)| *at);
        if survey != self.surveyed {
            self.surveyed = survey;
            self.look_at_standing(engine);
        }
        for event in events {
            match event {
                Event::Lingers { row, .. } => self.pair(row),
                Event::Left { at, row, .. } => {
                    self.pair(row);
                    self.over(row, *at, true, engine);
                }
                Event::Transition { .. } | Event::Process { .. } => {}
            }
        }
    }

    /// What it comes to; `snapshot`: the engine's last.
    #[must_use]
    pub fn conclude(mut self, engine: &Engine, snapshot: &Snapshot) -> Prediction {
        snapshot.lingering.iter().for_each(|row| self.pair(row));
        // Those that wait first: what keeps others open is known then.
        let (waiting, others): (Vec<&Lingering>, Vec<_>) = snapshot
            .lingering
            .iter()
            .partition(|row| row.state == TcpState::FinWait2);
        for row in waiting.into_iter().chain(others) {
            self.over(row, snapshot.at, false, engine);
        }
        for (wait, standing) in std::mem::take(&mut self.standing).into_values() {
            self.standing_over(&wait, &standing, snapshot.at, false, engine);
        }
        self.told.peak_then = self.then.most();
        self.told.peak_now = self.now.most();
        self.told.left_then = self.then.last();
        self.told.left_now = self.now.last();
        self.told
    }

    /// A sweep has looked at the sockets: which peers have sent something.
    fn look(&mut self, engine: &Engine) {
        for (cookie, entry) in &engine.entries {
            let Some(since) = half_closed(entry) else { continue };
            let Some((seen, quiet)) = entry.seen.and_then(|seen| Some((seen, seen.quiet?))) else {
                continue;
            };
            let wait = self.waits.entry(*cookie).or_insert_with(|| Wait::new(since));
            wait.look(seen.at, seen.at.back(quiet.data_received), self.shortest);
        }
    }

    /// Learns whom a CLOSE_WAIT is kept open by.
    fn pair(&mut self, row: &Lingering) {
        let Some(pair) = row.naming.pair else { return };
        match row.state {
            TcpState::CloseWait => self.waits_for.insert(row.cookie, pair.cookie),
            TcpState::FinWait2 => self.waits_for.insert(pair.cookie, row.cookie),
            _ => None,
        };
    }

    /// A wait is over at `end`, or goes on then.
    fn over(&mut self, row: &Lingering, end: Mono, left: bool, engine: &Engine) {
        let since = end.back(row.age.at_least);
        match (row.state, row.holder, row.held_for) {
            (TcpState::FinWait2, _, Some(held)) => {
                self.wait_over(row, since, since.plus(held), true, engine);
            }
            (TcpState::FinWait2, Holder::Held, None) => self.wait_over(row, since, end, left, engine),
            (TcpState::CloseWait, Holder::Held, _) => self.other_over(row.cookie, since, end, left),
            _ => {}
        }
    }

    fn wait_over(&mut self, row: &Lingering, since: Mono, end: Mono, left: bool, engine: &Engine) {
        if !matches!(row.side, Side::Client | Side::Server) {
            return;
        }
        let wait = self.waits.remove(&row.cookie).unwrap_or_else(|| {
            let mut wait = Wait::new(since);
            // One that no sweep has told before: the row's own look at it.
            if let Some((look, quiet)) = row.look.and_then(|look| Some((look, look.quiet?))) {
                wait.look(look.at, look.at.back(quiet.data_received), self.shortest);
            }
            wait
        });
        self.told.waits += 1;
        let configuration = engine.configuration_of(row).map(Arc::as_ref);
        let proxies = configuration.map_or_else(Proxies::default, |all| Proxies::of(row, all));
        let place = Where {
            side: row.side,
            own: match row.side {
                Side::Server => proxies.backend,
                _ => proxies.frontend,
            },
            backend: proxies.backend,
            half_closed: true,
            moved: wait.moved(),
        }
        .or_only_backend(configuration);
        let strike = self.strike(&place, &wait, end);
        if let Some(strike) = strike {
            self.told.waiting += 1;
            self.cut(strike, row.side, row.endpoints, row.naming.proxy.as_ref());
            self.struck.insert(row.cookie, strike.at);
        }
        self.hold(wait.since, strike.map(|strike| strike.at), left.then_some(end));
    }

    /// When one of the lines would have ended it, if that is sooner than it ended.
    fn strike(&mut self, place: &Where<'_>, wait: &Wait, end: Mono) -> Option<Strike> {
        let (index, length) = match place.force(&self.lines, self.version) {
            Force::Line(index, length) => (index, length),
            Force::Untold => {
                self.told.untold += 1;
                return None;
            }
            Force::Configured(_) | Force::Nothing => return None,
        };
        let strike = wait.strike(length, end);
        if strike.is_none() {
            self.told.perhaps_cut += u64::from(wait.may_be_cut(length));
            let configured = place.force(&[], self.version);
            let longer =
                matches!(configured, Force::Configured(own) if own < length && wait.ended_by(own, end));
            self.told.longer += u64::from(longer);
        } else if let Some((_, ended)) = self.told.lines.get_mut(index) {
            *ended += 1;
        }
        strike
    }

    fn cut(&mut self, strike: Strike, side: Side, endpoints: Option<Endpoints>, proxy: Option<&Name>) {
        let Some(pause) = strike.cut else { return };
        self.told.cut += 1;
        if self.told.cuts.len() < CUTS {
            self.told.cuts.push(Cut {
                side,
                endpoints,
                proxy: proxy.cloned(),
                pause,
            });
        }
    }

    /// The other side of a session: it ends with the one that waits.
    fn other_over(&mut self, cookie: Cookie, since: Mono, end: Mono, left: bool) {
        let waiting = self.waits_for.remove(&cookie);
        let at = waiting.and_then(|waiting| self.struck.remove(&waiting));
        if at.is_some() {
            self.told.others += 1;
        }
        self.hold(since, at, left.then_some(end));
    }

    /// Counts one as it was, and as it would have been.
    fn hold(&mut self, since: Mono, struck: Option<Mono>, end: Option<Mono>) {
        self.then.add(since, end);
        self.now.add(since, struck.or(end));
    }
}

/// Connections at rest, nobody having closed.
impl WhatIf {
    fn look_at_standing(&mut self, engine: &Engine) {
        let Some((at, survey)) = &engine.surveys.last else {
            return;
        };
        let idle = |kind| self.lines.iter().any(|line| line.kind == kind);
        let clients = idle(TimeoutKind::Tunnel) || idle(TimeoutKind::Client);
        let servers = idle(TimeoutKind::Server);
        let mut before = std::mem::take(&mut self.standing);
        for standing in &survey.sockets {
            let wanted = match standing.held.side {
                Side::Client => clients,
                Side::Server => servers,
                Side::Control | Side::Unknown => false,
            };
            let Some(idle) = standing
                .idle
                .filter(|_| wanted && standing.held.state == TcpState::Established)
            else {
                continue;
            };
            let came = at.back(idle);
            let cookie = standing.held.cookie;
            let (mut wait, _) = before
                .remove(&cookie)
                .unwrap_or_else(|| (Wait::new(came), *standing));
            wait.look(*at, came, self.shortest);
            self.standing.insert(cookie, (wait, *standing));
        }
        for (wait, standing) in before.into_values() {
            // It was there at the last look, and is gone, or closing, by now.
            self.standing_over(&wait, &standing, wait.looked, true, engine);
        }
    }

    fn standing_over(&mut self, wait: &Wait, standing: &Standing, end: Mono, left: bool, engine: &Engine) {
        let held = &standing.held;
        let Some(own) = proxy_of(standing, engine) else {
            return;
        };
        // What an idle connection of HTTP's waits for, and under which timeout, its state doesn't say.
        if own.mode.value != ProxyMode::Tcp {
            return;
        }
        let place = Where {
            side: held.side,
            own: Some(own),
            backend: Some(own).filter(|proxy| proxy.kind.connects()),
            half_closed: false,
            moved: false,
        }
        .or_only_backend(engine.configured.get(&held.pid).map(Arc::as_ref));
        let untold = self.told.untold;
        if let Some(strike) = self.strike(&place, wait, end) {
            self.told.idle += 1;
            self.cut(strike, held.side, Some(held.endpoints), Some(&own.name));
            // It was stuck from then on; with the line it would be none.
            self.then.add(strike.at, left.then_some(end));
        }
        self.told.untold = untold;
    }
}

/// The frontend of a client's connection, the backend of a server's.
fn proxy_of<'a>(standing: &Standing, engine: &'a Engine) -> Option<&'a Proxy> {
    let held = &standing.held;
    let configuration = engine.configured.get(&held.pid)?;
    if held.side == Side::Server {
        let named = engine.names.server_at(held.endpoints.peer);
        let named = named.and_then(|(backend, _)| configuration.backend(backend));
        return named.or_else(|| Some(configuration.server_at(held.endpoints.peer)?.0));
    }
    match engine.names.frontend_at(held.netns, held.endpoints.local) {
        Some(name) => configuration.frontend(name),
        None => configuration.listening_at(held.endpoints.local),
    }
}

/// Since when HAProxy, which holds it, waits for a FIN: since it sent its own.
fn half_closed(entry: &Entry) -> Option<Mono> {
    let waits = entry.holder() == Holder::Held
        && entry
            .current()
            .is_some_and(|step| step.state == TcpState::FinWait2);
    let began = entry.life.closing.filter(|_| waits)?;
    Some(began.at.latest())
}
