//! Sockets get their names: the engine takes HAProxy's answers, says what it would like to ask, and names the rows of views.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::ids::{Cookie, Fd, Pid};
use crate::join::{Claim, Claims, Steady};
use crate::ledger::Entry;
use crate::naming::{Asking, Facts, Known, Pair, Session, Tie, Wants};
use crate::services::Answer;
use crate::snapshot::Lingering;
use crate::sock::{HeldSock, Holder, Side};
use crate::stream::{Detail, FdLine, FdUse, Stream, Streamless, Told};
use crate::time::Mono;

impl Engine {
    /// What HAProxy should be asked, by process, so that what lingers gets a name. `again`: also about sockets it was asked about
    /// longer ago than this, because their names are about to be shown.
    #[must_use]
    pub fn wants(&self, at: Mono, again: Option<Duration>) -> BTreeMap<Pid, Wants> {
        let mut wants: BTreeMap<Pid, Wants> = BTreeMap::new();
        let ready: Vec<Pid> = self
            .names
            .asking
            .keys()
            .copied()
            .filter(|pid| self.names.answers(*pid))
            .collect();
        if ready.is_empty() {
            return wants;
        }
        let mut held: Vec<(Mono, Pid, Fd, Cookie)> = Vec::new();
        // Most are named, and asked about no more: this runs often.
        let open = |entry: &&Entry| !entry.absent && (!entry.named || again.is_some());
        for entry in self.entries.values().filter(open) {
            let Some(step) = entry.current().filter(|step| step.state.lingers()) else {
                continue;
            };
            if at.since(step.at.latest()) < self.settings.min {
                continue;
            }
            let Some(seen) = &entry.seen else { continue };
            let known = self.names.known.get(&entry.life.cookie);
            let stale = again.is_some_and(|again| known.is_some_and(|known| at.since(known.asked) >= again));
            match seen.open_by.filter(|_| entry.holder() == Holder::Held) {
                Some((pid, fd)) if stale || !known.is_some_and(Known::settled) => {
                    held.push((step.at.latest(), pid, fd, entry.life.cookie));
                }
                _ => {}
            }
            let unnamed = known.is_none_or(|known| known.proxy.is_none());
            let pids = entry.life.pid.map_or_else(|| ready.clone(), |pid| vec![pid]);
            for pid in pids.into_iter().filter(|_| unnamed) {
                let listeners = matches!(entry.life.side, Side::Client | Side::Control)
                    && !self.names.listeners_told.contains(&pid)
                    && self.names.frontend_at(seen.netns, seen.endpoints.local).is_none();
                let servers = entry.life.side == Side::Server && !self.names.servers_told.contains(&pid);
                if (listeners || servers) && ready.contains(&pid) {
                    let wanted = wants.entry(pid).or_default();
                    wanted.listeners |= listeners;
                    wanted.servers |= servers;
                }
            }
        }
        held.sort_unstable();
        for (_, pid, fd, cookie) in held.into_iter().filter(|(_, pid, ..)| ready.contains(pid)) {
            wants.entry(pid).or_default().sockets.push((fd, cookie));
        }
        wants
    }

    /// Whether the frontend behind a listening socket is known.
    #[must_use]
    pub fn knows_listener(&self, listener: &HeldSock) -> bool {
        self.names
            .frontend_at(listener.netns, listener.endpoints.local)
            .is_some()
    }

    pub(crate) fn asking(&mut self, mut asking: Asking) {
        let before = self.names.asking.remove(&asking.pid);
        if asking.access.is_none() {
            asking.access = before.and_then(|before| before.access);
        }
        self.names.asking.insert(asking.pid, asking);
    }

    /// One round's answers.
    pub(crate) fn told(&mut self, at: Mono, told: Told) {
        let steady = Steady::between(&told.before, &told.after);
        self.names.learn_listeners(&told.fds, &steady);
        self.names.listeners_told.insert(told.pid);
        if let Some(servers) = &told.servers {
            self.names.learn_servers(servers);
            self.names.servers_told.insert(told.pid);
        }
        let (entries, handed) = (&self.entries, &self.handed);
        self.names
            .known
            .retain(|cookie, _| entries.contains_key(cookie) || handed.contains_key(cookie));
        if let Some(streams) = &told.streams {
            let claims = Claims::of(streams, &steady);
            self.join(at, &told, streams, &steady, &claims);
            self.part(&told, streams, &steady, &claims);
            let joined = self.settings.sessions.then(|| claims.ends.clone());
            if let Some(ends) = joined {
                self.answers.insert(told.pid, Answer::of(&told, ends));
            }
        }
        if let Some(figures) = told.figures {
            self.figures.told(at, told.pid, figures);
        }
    }

    /// Names the sockets that linger, of those that this process holds.
    fn join(&mut self, at: Mono, told: &Told, streams: &[Stream], steady: &Steady<'_>, claims: &Claims) {
        let cookies: Vec<Cookie> = self
            .entries
            .iter()
            .filter(|(_, entry)| {
                let open_by = entry.seen.as_ref().and_then(|seen| seen.open_by);
                open_by.is_some_and(|(pid, _)| pid == told.pid)
            })
            .map(|(cookie, _)| *cookie)
            .filter(|cookie| steady.moved(*cookie))
            .collect();
        for cookie in cookies {
            let known = self.names.known.entry(cookie).or_default();
            known.asked = at;
            // One that had a session and was closed meanwhile keeps it.
            if known.session.is_none() {
                known.unsure = known.unsure.saturating_add(1);
            }
        }
        let lines: BTreeMap<Cookie, &FdLine> = told
            .fds
            .iter()
            .filter_map(|line| Some((steady.find(line.fd, None)?.cookie, line)))
            .collect();
        for held in steady.sockets() {
            if !self.entries.contains_key(&held.cookie) {
                continue;
            }
            let line = lines.get(&held.cookie);
            let mut known = match claims.on(held.cookie, streams) {
                Claim::Streams { streams: own, front } => {
                    let found = Found {
                        at,
                        pid: told.pid,
                        streams,
                        steady,
                        claims,
                        details: &told.details,
                    };
                    found.by_stream(held, own, front)
                }
                Claim::None => match line {
                    Some(line) => by_line(held, line),
                    // Asked, and nothing said of it: not for ever.
                    None if told.asked.contains(&held.fd) => unsure(),
                    None => Known::default(),
                },
                Claim::Contradiction => unsure(),
            };
            if known.unsure > 0 {
                let before = self.names.known.get(&held.cookie).map_or(0, |known| known.unsure);
                known.unsure = known.unsure.saturating_add(before);
                // A stream would have shown at one of two answers: what is none's twice is a check.
                if before > 0 && line.is_some_and(|line| line.what == FdUse::StreamOrCheck) {
                    known = checked(line);
                }
            }
            known.asked = at;
            if let Some(before) = self.names.known.get(&held.cookie) {
                known.keep(before);
            }
            if let Some(entry) = self.entries.get_mut(&held.cookie) {
                entry.named = known.settled() && known.proxy.is_some();
            }
            self.names.known.insert(held.cookie, known);
        }
    }

    /// Sockets that this process holds no more keep the session they had, until its pointer is another connection's.
    fn part(&mut self, told: &Told, streams: &[Stream], steady: &Steady<'_>, claims: &Claims) {
        let by_ptr: BTreeMap<_, usize> = streams
            .iter()
            .enumerate()
            .map(|(index, stream)| (stream.ptr, index))
            .collect();
        for (cookie, known) in &mut self.names.known {
            let Some(session) = known
                .session
                .as_mut()
                .filter(|session| session.facts.pid == told.pid && steady.socket(*cookie).is_none())
            else {
                continue;
            };
            let Some(&index) = by_ptr.get(&session.ptr) else {
                continue;
            };
            // The same session goes on with its other socket; any other one has the pointer now.
            let ends = claims.ends.get(index).copied().unwrap_or_default();
            let pair = known.pair.map(|pair| pair.cookie);
            let same = pair.is_some() && (ends.0 == pair || ends.1 == pair);
            let cli = streams.get(index).is_some_and(Stream::is_cli);
            if !same && !cli {
                session.tie = Tie::Reused;
            }
        }
    }

    /// Where HAProxy can't be asked, the configuration may tell who listens at an address, and who is behind one.
    fn name_by_configuration(&self, row: &mut Lingering) {
        let (Some(configuration), Some(ends)) = (self.configuration_of(row), row.endpoints) else {
            return;
        };
        if configuration.is_stale() {
            return;
        }
        (row.naming.proxy, row.naming.server) = match row.side {
            Side::Client => (
                configuration
                    .listening_at(ends.local)
                    .map(|proxy| proxy.name.clone()),
                None,
            ),
            Side::Server => match configuration.server_at(ends.peer) {
                Some((proxy, server)) => (Some(proxy.name.clone()), Some(server.name.clone())),
                None => (None, None),
            },
            Side::Control | Side::Unknown => (None, None),
        };
    }

    /// Names a row, and tells its pair's state as it is now.
    pub(crate) fn name(&self, row: &mut Lingering) {
        self.names.name(row);
        if row.naming.proxy.is_none() {
            self.name_by_configuration(row);
        }
        let left = !matches!(&row.naming.session, Some(session) if session.tie == Tie::Live);
        row.naming.pair = row.naming.pair.and_then(|pair| {
            let now = self.entries.get(&pair.cookie).and_then(Entry::current);
            match now {
                Some(step) => Some(Pair {
                    state: step.state,
                    ..pair
                }),
                // Not closing when HAProxy was asked: as it was then, as long as the session has both.
                None => (!left && !self.has_ended(pair.cookie)).then_some(pair),
            }
        });
    }
}

fn unsure() -> Known {
    Known {
        unsure: 1,
        ..Known::default()
    }
}

/// One answer, joined.
struct Found<'a> {
    at: Mono,
    pid: Pid,
    streams: &'a [Stream],
    steady: &'a Steady<'a>,
    claims: &'a Claims,
    details: &'a [Detail],
}

impl Found<'_> {
    /// Held by a stream: by several on a multiplexed connection, of which the oldest stands for all.
    fn by_stream(&self, held: &HeldSock, own: &[usize], front: bool) -> Known {
        let mut own: Vec<(usize, &Stream)> = own
            .iter()
            .filter_map(|&index| Some((index, self.streams.get(index)?)))
            .collect();
        own.sort_by_key(|(_, stream)| (std::cmp::Reverse(stream.age), stream.ptr));
        let Some(&(index, stream)) = own.first() else {
            return unsure();
        };
        if stream.is_cli() {
            return Known {
                streamless: Some(Streamless::Cli),
                ..Known::default()
            };
        }
        let ends = self.claims.ends.get(index).copied().unwrap_or_default();
        let detail = self.details.iter().find(|detail| detail.ptr == stream.ptr);
        let back = ends.1.and_then(|cookie| self.steady.socket(cookie));
        // A pointer can be another stream's by the time it is asked about at length.
        if detail.is_some_and(|detail| !detail.agrees(stream, back.map(|back| back.endpoints))) {
            return unsure();
        }
        let other = if front { ends.1 } else { ends.0 };
        let pair = other
            .filter(|other| *other != held.cookie)
            .and_then(|other| self.steady.socket(other))
            .map(|held| Pair {
                cookie: held.cookie,
                side: held.side,
                state: held.state,
                endpoints: Some(held.endpoints),
            });
        let called = stream
            .source
            .filter(|source| front && *source != held.endpoints.peer);
        let facts = Facts {
            pid: self.pid,
            frontend: stream.frontend.clone(),
            backend: stream.backend.clone(),
            server: stream.server.clone(),
            called,
            age: stream.age,
            identity: detail.and_then(|detail| Some((detail.id?, detail.accepted.clone()?))),
            front: stream.front,
            back: stream.back,
            connect_expires: stream.connect_expires,
            asked: self.at,
            streams: own.iter().map(|(_, stream)| stream.ptr).collect(),
        };
        Known {
            proxy: if front {
                facts.frontend.clone()
            } else {
                facts.backend.clone()
            },
            server: facts.server.clone(),
            session: Some(Session {
                ptr: stream.ptr,
                tie: Tie::Live,
                facts: Arc::new(facts),
                believed: if front { stream.front } else { stream.back },
            }),
            pair,
            ..Known::default()
        }
    }
}

/// Held by no stream: what `show fd` says it is, if that is of this very connection.
fn by_line(held: &HeldSock, line: &FdLine) -> Known {
    let same = |told: Option<u16>, own: SocketAddr| told.is_none_or(|port| port == own.port());
    if !same(line.local_port, held.endpoints.local) || !same(line.peer_port, held.endpoints.peer) {
        return unsure();
    }
    match line.what {
        FdUse::Idle(why) => Known {
            streamless: Some(why),
            proxy: line.proxy.clone(),
            server: line.server.clone(),
            expires: line.expires,
            ..Known::default()
        },
        // A stream came or went between the two questions.
        FdUse::Stream | FdUse::StreamOrCheck | FdUse::Listener | FdUse::Other => unsure(),
    }
}

fn checked(line: Option<&&FdLine>) -> Known {
    Known {
        streamless: Some(Streamless::Check),
        proxy: line.and_then(|line| line.proxy.clone()),
        server: line.and_then(|line| line.server.clone()),
        ..Known::default()
    }
}
