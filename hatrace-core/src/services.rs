//! HAProxy's own books beside the kernel's: every session with its two sockets, every frontend, backend and server with its sockets by
//! state.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::ids::{Cookie, Pid};
use crate::ledger::Entry;
use crate::snapshot::{ServiceRow, ServiceSockets, SessionRow, SessionSock};
use crate::sock::{Endpoints, HeldSock, Side};
use crate::stream::{Name, Service, ServiceKind, Stream, Told};
use crate::tcp::TcpState;
use crate::time::Mono;

/// The last complete answer of one process, joined.
#[derive(Debug)]
pub(crate) struct Answer {
    streams: Vec<(Stream, Option<HeldSock>, Option<HeldSock>)>,
    /// Every socket it held, the streams' and others.
    held: Vec<HeldSock>,
}

impl Answer {
    /// From what was told, and the sockets of each stream.
    pub(crate) fn of(told: &Told, ends: Vec<(Option<Cookie>, Option<Cookie>)>) -> Self {
        let by_cookie: BTreeMap<Cookie, HeldSock> =
            told.after.iter().map(|held| (held.cookie, *held)).collect();
        let socket = |cookie: Option<Cookie>| cookie.and_then(|cookie| by_cookie.get(&cookie).copied());
        Self {
            streams: told
                .streams
                .iter()
                .flatten()
                .cloned()
                .zip(ends)
                .map(|(stream, (front, back))| (stream, socket(front), socket(back)))
                .collect(),
            held: told.after.clone(),
        }
    }
}

/// The figures that each process told, first and last.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    first: BTreeMap<Pid, (Mono, Vec<Service>)>,
    last: BTreeMap<Pid, (Mono, Vec<Service>)>,
}

impl Figures {
    /// One more reading.
    pub(crate) fn told(&mut self, at: Mono, pid: Pid, services: Vec<Service>) {
        self.first.entry(pid).or_insert_with(|| (at, services.clone()));
        self.last.insert(pid, (at, services));
    }
}

/// A frontend, a backend, or a server.
type Place = (ServiceKind, Name, Option<Name>);

impl Engine {
    /// Every session HAProxy told of, its own command line's left out.
    pub(crate) fn session_rows(&self, at: Mono) -> Vec<SessionRow> {
        let mut rows: Vec<SessionRow> = Vec::new();
        for (pid, answer) in &self.answers {
            for (stream, front, back) in answer.streams.iter().filter(|(stream, ..)| !stream.is_cli()) {
                rows.push(SessionRow {
                    host: None,
                    pid: *pid,
                    front: front.map(|held| self.session_sock(&held, at)),
                    back: back.map(|held| self.session_sock(&held, at)),
                    stream: stream.clone(),
                });
            }
        }
        rows.sort_by_key(|row| (std::cmp::Reverse(row.stream.age), row.pid, row.stream.ptr));
        rows
    }

    fn session_sock(&self, held: &HeldSock, at: Mono) -> SessionSock {
        let step = self
            .entries
            .get(&held.cookie)
            .and_then(Entry::current)
            .filter(|step| step.state.lingers());
        SessionSock {
            cookie: held.cookie,
            endpoints: held.endpoints,
            state: step.map_or(held.state, |step| step.state),
            age: step.map(|step| step.at.age(at)),
        }
    }

    /// Every frontend, backend and server HAProxy told of, beside the kernel's count of its sockets.
    pub(crate) fn service_rows(&self) -> Vec<ServiceRow> {
        let mut rows = Vec::new();
        for (pid, (at, services)) in &self.figures.last {
            let sockets = self.sockets_by_place(*pid);
            let first = self.figures.first.get(pid);
            for service in services {
                let place = (service.kind, service.proxy.clone(), service.server.clone());
                let before = first
                    .filter(|(first, _)| first < at)
                    .and_then(|(first, services)| {
                        let same = services.iter().find(|other| {
                            (other.kind, &other.proxy, &other.server)
                                == (service.kind, &service.proxy, &service.server)
                        })?;
                        Some((at.since(*first), same.current?))
                    });
                rows.push(ServiceRow {
                    host: None,
                    pid: *pid,
                    before,
                    sockets: sockets.get(&place).cloned().unwrap_or_default(),
                    service: service.clone(),
                });
            }
        }
        rows
    }

    /// The kernel's count: what the process holds, and what the kernel keeps of it.
    fn sockets_by_place(&self, pid: Pid) -> BTreeMap<Place, ServiceSockets> {
        let mut counts = Counts::default();
        if let Some(answer) = self.answers.get(&pid) {
            let mut by_stream: BTreeMap<Cookie, &Stream> = BTreeMap::new();
            for (stream, _, back) in &answer.streams {
                by_stream.extend(back.map(|back| (back.cookie, stream)));
            }
            let others = answer
                .held
                .iter()
                .filter(|held| held.state != TcpState::Listen && !self.entries.contains_key(&held.cookie));
            for held in others {
                let (proxy, server) = self.place_of(held, by_stream.get(&held.cookie).copied());
                counts.add(held.side, proxy, server, held.state, held.endpoints);
            }
        }
        for entry in self.entries.values().filter(|entry| !entry.absent) {
            if entry.life.pid.is_some_and(|other| other != pid) {
                continue;
            }
            let Some(step) = entry.current() else { continue };
            let mut row = entry.row(step, step.at.latest(), false);
            self.name(&mut row);
            if let Some(ends) = row.endpoints {
                counts.add(row.side, row.naming.proxy, row.naming.server, row.state, ends);
            }
        }
        counts.0
    }

    /// The proxy and the server of a socket that is at work: by its stream, else by the address it listens at or leads to.
    fn place_of(&self, held: &HeldSock, stream: Option<&Stream>) -> (Option<Name>, Option<Name>) {
        match (stream, held.side) {
            (Some(stream), Side::Server) => (stream.backend.clone(), stream.server.clone()),
            (None, Side::Server) => match self.names.server_at(held.endpoints.peer) {
                Some((backend, server)) => (Some(backend.clone()), Some(server.clone())),
                None => (None, None),
            },
            _ => {
                let frontend = self.names.frontend_at(held.netns, held.endpoints.local);
                (frontend.cloned(), None)
            }
        }
    }
}

/// Sockets counted by where they belong.
#[derive(Default)]
struct Counts(BTreeMap<Place, ServiceSockets>);

impl Counts {
    fn add(
        &mut self,
        side: Side,
        proxy: Option<Name>,
        server: Option<Name>,
        state: TcpState,
        ends: Endpoints,
    ) {
        let Some(proxy) = proxy else { return };
        let places = match side {
            Side::Client => vec![(ServiceKind::Frontend, proxy, None)],
            Side::Server => vec![
                (ServiceKind::Backend, proxy.clone(), None),
                (ServiceKind::Server, proxy, server),
            ],
            Side::Control | Side::Unknown => return,
        };
        for place in places {
            let sockets = self.0.entry(place).or_default();
            *sockets.states.entry(state).or_default() += 1;
            sockets.from.insert(ends.local.ip());
            if side == Side::Server {
                sockets.to.insert(ends.peer);
            }
        }
    }
}
