//! HAProxy's clocks: which of its timeouts runs on a socket that it holds. What is left of it HAProxy tells itself; its name follows from
//! the configuration, and where the kernel saw the timer being started, so does the moment at which it fires, more exactly than told.

use std::time::Duration;

use crate::clock::{Clock, ClockName, ClockSource};
use crate::config::{Configuration, Limit, Place, Proxy, ProxyMode, Set, TimeoutKind};
use crate::naming::{Session, Tie, Without};
use crate::snapshot::Lingering;
use crate::sock::Side;
use crate::stream::{EndState, Expiry, StreamEnd, Streamless};
use crate::tcp::TcpState;
use crate::time::Mono;

/// The proxies that a socket's connection goes through, as the configuration has them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Proxies<'a> {
    /// Of its client.
    pub(crate) frontend: Option<&'a Proxy>,
    /// Of its server.
    pub(crate) backend: Option<&'a Proxy>,
    /// The configuration may not be what the process was started with.
    pub(crate) stale: bool,
}

impl<'a> Proxies<'a> {
    /// Of a row that has its names.
    pub(crate) fn of(row: &Lingering, configuration: &'a Configuration) -> Self {
        let facts = row.naming.session.as_ref().map(|session| &session.facts);
        let own = row.naming.proxy.as_deref();
        let frontend = match row.side {
            Side::Client => own,
            _ => facts.and_then(|facts| facts.frontend.as_deref()),
        };
        let backend = match row.side {
            Side::Server => own,
            _ => facts.and_then(|facts| facts.backend.as_deref()),
        };
        Self {
            frontend: frontend.and_then(|name| configuration.frontend(name)),
            backend: backend.and_then(|name| configuration.backend(name)),
            stale: configuration.is_stale(),
        }
    }

    /// `TCP_USER_TIMEOUT` as the lines say, where all of a proxy's lines that count say the same.
    pub(crate) fn user_timeout(&self, row: &Lingering) -> Option<Duration> {
        let same = |mut all: Vec<Option<Duration>>| {
            all.dedup();
            if all.len() == 1 { all.pop().flatten() } else { None }
        };
        match row.side {
            Side::Client => same(self.frontend?.binds.iter().map(|bind| bind.tcp_ut).collect()),
            Side::Server => {
                let servers = self.backend?.servers.iter();
                let own = servers
                    .filter(|server| row.naming.server.as_ref().is_none_or(|name| *name == server.name));
                same(own.map(|server| server.tcp_ut).collect())
            }
            Side::Control | Side::Unknown => None,
        }
    }

    fn set(&self, kind: TimeoutKind) -> Option<&'a Set<Limit>> {
        let of = |proxy: Option<&'a Proxy>| proxy.and_then(|proxy| proxy.timeout(kind));
        if kind.of_frontend() && kind.of_backend() || !kind.of_backend() {
            of(self.frontend)
        } else {
            of(self.backend)
        }
    }

    /// The header of the section where a timeout of that side would stand.
    fn header(&self, side: Side) -> Option<&'a Place> {
        let proxy = if side == Side::Server {
            self.backend
        } else {
            self.frontend
        };
        proxy.map(|proxy| &proxy.place)
    }

    fn changes_timeouts(&self) -> bool {
        let changes = |proxy: Option<&Proxy>| proxy.is_some_and(|proxy| !proxy.set_timeouts.is_empty());
        changes(self.frontend) || changes(self.backend)
    }
}

/// How long after its time a timer may fire: HAProxy looks at them when it wakes up.
const OVERDUE: Duration = Duration::from_secs(1);

/// When a timer fires by HAProxy's word: within these bounds.
#[derive(Clone, Copy, Debug)]
struct Window {
    earliest: Mono,
    latest: Mono,
}

impl Window {
    /// HAProxy cuts off what is less than the smaller of the two units that it prints.
    fn told(left: Duration, asked: Mono) -> Self {
        let cut = match left.as_secs() {
            0..3600 => 1,
            3600..86_400 => 60,
            _ => 3600,
        };
        let earliest = asked.plus(left);
        Self {
            earliest,
            latest: earliest.plus(Duration::from_secs(cut)),
        }
    }

    fn middle(self) -> Mono {
        self.earliest.plus(self.latest.since(self.earliest) / 2)
    }

    /// Both clocks and the question's way take their time.
    fn holds(self, at: Mono) -> bool {
        const SLACK: Duration = Duration::from_millis(500);
        self.earliest.back(SLACK) <= at && at <= self.latest.plus(SLACK)
    }
}

/// HAProxy's clock of a held socket. `starts`: moments at which the kernel saw one of the session's sockets change, when a timer may have
/// been started anew.
pub(crate) fn clock(row: &Lingering, proxies: &Proxies<'_>, starts: &[Mono], now: Mono) -> Clock {
    if row.state == TcpState::SynSent {
        return connecting(row, proxies, starts, now);
    }
    match (&row.naming.session, row.naming.without) {
        (Some(session), None) if session.tie == Tie::Live => of_session(session, proxies, starts, now),
        (_, Some(Without::Streamless(why))) => of_idle(row, why, proxies, now),
        _ => unasked(row, proxies, starts, now),
    }
}

/// One of a session's timers, and the timeouts it may be, in the order in which HAProxy prefers them.
fn timers(session: &Session) -> Vec<(Side, Expiry, Vec<TimeoutKind>)> {
    use TimeoutKind::{Client, ClientFin, Connect, HttpRequest, Queue, Server, ServerFin, Tunnel};
    let facts = &session.facts;
    let half = |end: &StreamEnd| end.eof_read == Some(true) || end.shut_done == Some(true);
    let either = half(&facts.front) || half(&facts.back);
    let kinds = |fin: TimeoutKind, rest: &[TimeoutKind]| {
        let fin = either.then_some(fin);
        fin.into_iter().chain(rest.iter().copied()).collect::<Vec<_>>()
    };
    let front = kinds(ClientFin, &[Tunnel, Client, HttpRequest]);
    let back = kinds(ServerFin, &[Tunnel, Server]);
    let mut all = vec![
        (Side::Client, facts.front.read_expires, front.clone()),
        (Side::Client, facts.front.write_expires, front),
        (Side::Server, facts.back.read_expires, back.clone()),
        (Side::Server, facts.back.write_expires, back),
    ];
    match facts.back.state {
        EndState::Queued => all.push((Side::Server, facts.connect_expires, vec![Queue, Connect])),
        EndState::Connecting => all.push((Side::Server, facts.connect_expires, vec![Connect])),
        _ => {}
    }
    all
}

fn of_session(session: &Session, proxies: &Proxies<'_>, starts: &[Mono], now: Mono) -> Clock {
    let timers = timers(session);
    let asked = session.facts.asked;
    let soonest = timers
        .iter()
        .filter_map(|(side, expiry, kinds)| match expiry {
            Expiry::In(left) => Some((*left, *side, kinds)),
            Expiry::Past => Some((Duration::ZERO, *side, kinds)),
            Expiry::Never | Expiry::Unknown => None,
        })
        .min_by_key(|(left, ..)| *left);
    if let Some((left, _, kinds)) = soonest {
        return named(kinds, Window::told(left, asked), proxies, starts, now);
    }
    let told = timers.iter().any(|(_, expiry, _)| *expiry == Expiry::Never);
    if told {
        never(session, proxies)
    } else {
        Clock::default()
    }
}

/// HAProxy says that no timer runs: none is set where one would be needed.
fn never(session: &Session, proxies: &Proxies<'_>) -> Clock {
    let waiting_for_client = session.facts.front.shut_done == Some(true);
    let side = if waiting_for_client {
        Side::Client
    } else {
        Side::Server
    };
    Clock {
        name: ClockName::None,
        source: proxies
            .header(side)
            .map_or(ClockSource::Told, |place| ClockSource::Line(place.clone())),
        certain: true,
        ..Clock::default()
    }
}

/// Which of `kinds` it is that fires within `window`.
fn named(kinds: &[TimeoutKind], window: Window, proxies: &Proxies<'_>, starts: &[Mono], now: Mono) -> Clock {
    let left = window.earliest.since(now);
    // A timer that was due and has not fired was started anew since HAProxy told of it.
    let overdue = window.latest.plus(OVERDUE) < now;
    let fires_in = (!overdue).then(|| window.middle().since(now));
    let candidates = || {
        kinds.iter().filter_map(|kind| {
            let set = proxies.set(*kind)?;
            Some((*kind, set, set.value.duration()?))
        })
    };
    for (kind, set, length) in candidates() {
        let start = starts.iter().map(|start| start.plus(length));
        if let Some(at) = start.into_iter().find(|at| window.holds(*at)) {
            return by_line(kind, set, (!overdue).then(|| at.since(now)), proxies);
        }
    }
    // None began with what the kernel saw: the first that is long enough, by HAProxy's own order.
    let possible = candidates().find(|(_, _, length)| *length >= left);
    match possible {
        Some((kind, set, _)) => by_line(kind, set, fires_in, proxies),
        None => Clock {
            name: ClockName::Haproxy,
            source: ClockSource::Told,
            fires_in,
            length: None,
            certain: false,
        },
    }
}

fn by_line(kind: TimeoutKind, set: &Set<Limit>, fires_in: Option<Duration>, proxies: &Proxies<'_>) -> Clock {
    Clock {
        name: ClockName::Timeout(kind),
        source: ClockSource::Line(set.place.clone()),
        fires_in,
        length: set.value.duration(),
        certain: set.certain && !proxies.stale && !proxies.changes_timeouts(),
    }
}

/// A connection that isn't answered yet: `timeout connect` began with it.
fn connecting(row: &Lingering, proxies: &Proxies<'_>, starts: &[Mono], now: Mono) -> Clock {
    let Some(set) = proxies.set(TimeoutKind::Connect) else {
        return Clock::default();
    };
    let start = starts
        .first()
        .copied()
        .unwrap_or_else(|| now.back(row.age.at_least));
    let fires_in = set.value.duration().map(|length| start.plus(length).since(now));
    by_line(TimeoutKind::Connect, set, fires_in, proxies)
}

/// A connection without a stream: HAProxy's multiplexer has a timer of its own.
fn of_idle(row: &Lingering, why: Streamless, proxies: &Proxies<'_>, now: Mono) -> Clock {
    use TimeoutKind::{Check, Client, ClientFin, ClientHs, Connect, HttpKeepAlive, HttpRequest};
    let kinds: &[TimeoutKind] = match why {
        Streamless::KeepAlive => &[HttpKeepAlive, HttpRequest, Client],
        Streamless::NoRequest => &[HttpRequest, Client],
        Streamless::ProxyHeader | Streamless::Handshake => &[ClientHs, Client],
        Streamless::Draining => &[ClientFin, Client],
        Streamless::Check => &[Check, Connect],
        Streamless::Pool | Streamless::Cli | Streamless::Unspecified => &[],
    };
    match row.naming.idle_expires {
        Some((Expiry::In(left), asked)) => named(kinds, Window::told(left, asked), proxies, &[], now),
        Some((Expiry::Past, asked)) => named(kinds, Window::told(Duration::ZERO, asked), proxies, &[], now),
        Some((Expiry::Never, _)) => Clock {
            name: ClockName::None,
            source: proxies
                .header(row.side)
                .map_or(ClockSource::Told, |place| ClockSource::Line(place.clone())),
            certain: true,
            ..Clock::default()
        },
        Some((Expiry::Unknown, _)) | None => {
            let set = kinds.iter().find_map(|kind| Some((*kind, proxies.set(*kind)?)));
            set.map_or_else(Clock::default, |(kind, set)| by_line(kind, set, None, proxies))
        }
    }
}

/// HAProxy wasn't asked: what the configuration alone says. A half-closed side is under its `-fin` timeout from the FIN on; of the others
/// it isn't known when they began.
fn unasked(row: &Lingering, proxies: &Proxies<'_>, starts: &[Mono], now: Mono) -> Clock {
    use TimeoutKind::{Client, ClientFin, Server, ServerFin, Tunnel};
    if row.state != TcpState::FinWait2 {
        return Clock::default();
    }
    let (fin, rest): (TimeoutKind, &[TimeoutKind]) = match row.side {
        Side::Client => (ClientFin, &[Tunnel, Client]),
        Side::Server => (ServerFin, &[Tunnel, Server]),
        Side::Control | Side::Unknown => return Clock::default(),
    };
    let own = if row.side == Side::Client {
        proxies.frontend
    } else {
        proxies.backend
    };
    // Upgraded from HTTP: whether the `-fin` timeout ends it differs from version to version.
    if own.is_some_and(|proxy| proxy.mode.value == ProxyMode::Http) {
        return Clock::default();
    }
    if let Some(set) = proxies.set(fin) {
        let at = starts.first().zip(set.value.duration());
        return by_line(
            fin,
            set,
            at.map(|(start, length)| start.plus(length).since(now)),
            proxies,
        );
    }
    // Without its backend it can't be told whether `timeout tunnel` is set.
    let tcp = own.is_some_and(|proxy| proxy.mode.value == ProxyMode::Tcp) && proxies.backend.is_some();
    let set = rest.iter().find_map(|kind| Some((*kind, proxies.set(*kind)?)));
    match set.filter(|_| tcp) {
        Some((kind, set)) => by_line(kind, set, None, proxies),
        None => Clock::default(),
    }
}
