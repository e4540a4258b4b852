//! The counting itself.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::change::{Rise, rise};
use super::entry::{Entry, Written};
use super::series::{Series, Steps};
use crate::ending::{Code, Severity};
use crate::verdicts::Prefix;

/// Networks that are kept apart, of one way to end at one frontend; and names of proxies and servers.
const NETWORKS: usize = 4000;
const NAMES: usize = 20_000;

/// A frontend's number, or a server's.
type Number = usize;

/// Names, each by a number.
#[derive(Debug, Default)]
struct Names {
    known: BTreeMap<Vec<u8>, Number>,
}

impl Names {
    /// The number of a name; beyond the bound all are one.
    fn number(&mut self, name: &[u8]) -> Number {
        let next = self.known.len();
        match self.known.get(name) {
            Some(number) => *number,
            None if next >= NAMES => NAMES,
            None => {
                self.known.insert(name.to_vec(), next);
                next
            }
        }
    }

    fn names(&self) -> BTreeMap<Number, String> {
        let text = |name: &Vec<u8>| String::from_utf8_lossy(name).into_owned();
        let mut names: BTreeMap<Number, String> = self
            .known
            .iter()
            .map(|(name, number)| (*number, text(name)))
            .collect();
        if names.len() >= NAMES {
            names.insert(NAMES, "(others)".to_owned());
        }
        names
    }
}

/// One way to end, at one frontend.
#[derive(Debug)]
struct Way {
    count: u64,
    series: Series,
    networks: BTreeMap<Prefix, u64>,
    /// Of networks beyond those that are kept apart.
    elsewhere: u64,
    /// `Tw` in milliseconds, where that is what matters.
    queue: Option<Histogram<u64>>,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Tally {
    sessions: u64,
    connections: u64,
    early: u64,
    truncated: u64,
    uncoded: u64,
    codes: BTreeMap<Code, u64>,
    statuses: BTreeMap<u16, u64>,
    frontends: Names,
    servers: Names,
    by_frontend: BTreeMap<Number, Series>,
    sessions_by: BTreeMap<Number, u64>,
    by_server: BTreeMap<(Number, Code), u64>,
    ways: BTreeMap<(Number, Code), Way>,
    steps: Steps,
    first: Option<Written>,
    last: Option<Written>,
}

impl Tally {
    /// A connection that came to no session.
    pub fn connection(&mut self, entry: &Entry<'_>) {
        self.connections += 1;
        self.seen(entry.accepted);
    }

    /// One session.
    pub fn session(&mut self, entry: &Entry<'_>) {
        self.sessions += 1;
        self.early += u64::from(entry.early);
        self.truncated += u64::from(entry.truncated);
        self.seen(entry.ended());
        if let Some(status) = entry.status {
            *self.statuses.entry(status).or_default() += 1;
        }
        let frontend = self.frontends.number(entry.frontend);
        *self.sessions_by.entry(frontend).or_default() += 1;
        if let Some(at) = entry.ended() {
            let doubled = self.steps.stretch(at);
            if doubled > 0 {
                self.by_frontend
                    .values_mut()
                    .for_each(|series| series.double(doubled));
                self.ways.values_mut().for_each(|way| way.series.double(doubled));
            }
            self.by_frontend
                .entry(frontend)
                .or_default()
                .add(at, self.steps.width);
        }
        let Some(code) = entry.code else {
            self.uncoded += 1;
            return;
        };
        *self.codes.entry(code).or_default() += 1;
        let bare = code.without_cookie();
        if entry.has_server() {
            let mut name = [0u8; 256];
            let name = joined(entry.backend, entry.server, &mut name);
            let server = self.servers.number(name);
            *self.by_server.entry((server, bare)).or_default() += 1;
        }
        self.way(frontend, bare, entry);
    }

    fn way(&mut self, frontend: Number, code: Code, entry: &Entry<'_>) {
        let waits = matches!(code.ending()[1], b'T' | b'Q');
        let way = self.ways.entry((frontend, code)).or_insert_with(|| Way {
            count: 0,
            series: Series::default(),
            networks: BTreeMap::new(),
            elsewhere: 0,
            queue: waits
                .then(|| Histogram::new_with_bounds(1, 86_400_000, 2).ok())
                .flatten(),
        });
        way.count += 1;
        if let Some(at) = entry.ended() {
            way.series.add(at, self.steps.width);
        }
        if let (Some(queue), Some(wait)) = (&mut way.queue, entry.queue) {
            queue.saturating_record(u64::try_from(wait).unwrap_or(0).max(1));
        }
        // Whose normal ends they are nobody asks.
        if code.severity() == Severity::Normal {
            return;
        }
        match entry.client.map(Prefix::of) {
            Some(network) if way.networks.len() < NETWORKS || way.networks.contains_key(&network) => {
                *way.networks.entry(network).or_default() += 1;
            }
            Some(_) => way.elsewhere += 1,
            None => {}
        }
    }

    fn seen(&mut self, at: Option<Written>) {
        let Some(at) = at else { return };
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    /// What it comes to.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let frontends = self.frontends.names();
        let servers = self.servers.names();
        let name = |names: &BTreeMap<Number, String>, number: Number| {
            names.get(&number).cloned().unwrap_or_default()
        };
        let mut ways: Vec<Counted> = self
            .ways
            .iter()
            .map(|((frontend, code), way)| self.counted(&name(&frontends, *frontend), *frontend, *code, way))
            .collect();
        ways.sort_by_key(|way| {
            (
                std::cmp::Reverse((way.severity, way.count)),
                way.frontend.clone(),
                way.code,
            )
        });
        let mut by_server: Vec<(String, Code, u64)> = self
            .by_server
            .iter()
            .map(|((server, code), count)| (name(&servers, *server), *code, *count))
            .collect();
        by_server.sort_by_key(|(server, code, count)| (std::cmp::Reverse(*count), server.clone(), *code));
        let mut by_frontend: Vec<(String, u64)> = self
            .sessions_by
            .iter()
            .map(|(frontend, count)| (name(&frontends, *frontend), *count))
            .collect();
        by_frontend.sort_by_key(|(frontend, count)| (std::cmp::Reverse(*count), frontend.clone()));
        let mut codes: Vec<(Code, u64)> = self.codes.iter().map(|(code, count)| (*code, *count)).collect();
        codes.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        Summary {
            sessions: self.sessions,
            connections: self.connections,
            early: self.early,
            truncated: self.truncated,
            uncoded: self.uncoded,
            first: self.first,
            last: self.last,
            codes,
            statuses: self.statuses.clone(),
            by_frontend,
            by_server,
            ways,
            persistence: self.persistence(),
        }
    }

    fn counted(&self, frontend: &str, number: Number, code: Code, way: &Way) -> Counted {
        const PARTS: usize = 24;
        let mut networks: Vec<(Prefix, u64)> = way
            .networks
            .iter()
            .map(|(network, count)| (*network, *count))
            .collect();
        networks.sort_by_key(|(network, count)| (std::cmp::Reverse(*count), *network));
        let all = self.by_frontend.get(&number);
        let severity = code.severity();
        let rise = all
            .filter(|_| severity >= Severity::Anomaly)
            .and_then(|all| rise(&way.series, all));
        let span = self.span();
        Counted {
            frontend: frontend.to_owned(),
            code,
            severity,
            count: way.count,
            of: self.sessions_by.get(&number).copied().unwrap_or(0),
            over_time: span.map(|span| way.series.parts(span, PARTS)).unwrap_or_default(),
            rise,
            rose_at: rise.map(|rise| rise.step.saturating_mul(self.steps.width)),
            networks,
            elsewhere: way.elsewhere,
            queue: way
                .queue
                .as_ref()
                .filter(|queue| !queue.is_empty())
                .map(|queue| Waits {
                    p50: queue.value_at_quantile(0.5),
                    p90: queue.value_at_quantile(0.9),
                    max: queue.max(),
                }),
        }
    }

    /// The steps that there is anything in.
    fn span(&self) -> Option<(i64, i64)> {
        let spans = self.by_frontend.values().filter_map(Series::span);
        spans.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }

    fn persistence(&self) -> Persistence {
        let mut pairs: BTreeMap<[u8; 2], u64> = BTreeMap::new();
        for (code, count) in &self.codes {
            if let Some(pair) = code.cookie().filter(|pair| *pair != *b"--") {
                *pairs.entry(pair).or_default() += count;
            }
        }
        let of = |first: u8| {
            pairs
                .iter()
                .filter(|(pair, _)| pair[0] == first)
                .map(|(_, count)| count)
                .sum()
        };
        let mut sorted: Vec<([u8; 2], u64)> = pairs.iter().map(|(pair, count)| (*pair, *count)).collect();
        sorted.sort_by_key(|(pair, count)| (std::cmp::Reverse(*count), *pair));
        Persistence {
            requests: pairs.values().sum(),
            unknown_server: of(b'I'),
            server_down: of(b'D'),
            expired: of(b'E') + of(b'O'),
            redispatched: pairs.get(b"VI").copied().unwrap_or(0),
            newcomers: of(b'N'),
            pairs: sorted,
        }
    }
}

/// `be/srv` without an allocation, cut at what fits.
fn joined<'a>(backend: &[u8], server: &[u8], into: &'a mut [u8; 256]) -> &'a [u8] {
    let mut length = 0;
    for byte in backend.iter().chain(b"/").chain(server) {
        if let Some(place) = into.get_mut(length) {
            *place = *byte;
            length += 1;
        }
    }
    into.get(..length).unwrap_or_default()
}

/// What a log comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Sessions, or requests.
    pub sessions: u64,
    /// Connections that came to none.
    pub connections: u64,
    /// Logged before their end (`option logasap`).
    pub early: u64,
    /// Cut off.
    pub truncated: u64,
    /// Sessions of a format without a termination code.
    pub uncoded: u64,
    /// When the first and the last of them ended.
    pub first: Option<Written>,
    /// The last.
    pub last: Option<Written>,
    /// By whole code: the most frequent first.
    pub codes: Vec<(Code, u64)>,
    /// By HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Sessions by frontend.
    pub by_frontend: Vec<(String, u64)>,
    /// By server (`be/srv`) and ending.
    pub by_server: Vec<(String, Code, u64)>,
    /// By frontend and ending: what matters most first.
    pub ways: Vec<Counted>,
    /// Stickiness.
    pub persistence: Persistence,
}

/// One way to end, at one frontend.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// The frontend.
    pub frontend: String,
    /// The first two letters.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// How many.
    pub count: u64,
    /// Of how many sessions of that frontend.
    pub of: u64,
    /// From the first to the last, in equal parts.
    pub over_time: Vec<u64>,
    /// If it became more frequent.
    pub rise: Option<Rise>,
    /// When.
    pub rose_at: Option<Written>,
    /// By the clients' networks, the most frequent first.
    pub networks: Vec<(Prefix, u64)>,
    /// Of networks that were not kept apart.
    pub elsewhere: u64,
    /// Of what waited: for how long, in milliseconds.
    pub queue: Option<Waits>,
}

/// How long something waited, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// The longest.
    pub max: u64,
}

/// How well stickiness by cookie works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persistence {
    /// Requests to a backend with a cookie.
    pub requests: u64,
    /// Their cookie named a server that isn't known.
    pub unknown_server: u64,
    /// One that was down.
    pub server_down: u64,
    /// It had expired.
    pub expired: u64,
    /// Its server could not be reached.
    pub redispatched: u64,
    /// They had none.
    pub newcomers: u64,
    /// By pair: the most frequent first.
    pub pairs: Vec<([u8; 2], u64)>,
}
