//! The counting itself.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::change::rise;
use super::entry::{Entry, Written};
use super::named::Named;
use super::series::{Series, Steps};
use super::summary::{Counted, Persistence, Summary, Waits};
use crate::ending::{Code, Severity};
use crate::verdicts::Prefix;

/// Networks that are kept apart, of one way to end at one frontend.
const NETWORKS: usize = 4000;

/// A frontend.
#[derive(Debug, Default)]
struct Frontend {
    sessions: u64,
    series: Series,
    ways: BTreeMap<Code, Way>,
}

/// One way to end, at one frontend.
#[derive(Debug)]
struct Way {
    severity: Severity,
    count: u64,
    series: Series,
    networks: BTreeMap<Prefix, u64>,
    /// Of networks beyond those that are kept apart.
    elsewhere: u64,
    /// `Tw` in milliseconds, where that is what matters.
    queue: Option<Histogram<u64>>,
}

impl Way {
    fn new(code: Code) -> Self {
        let waits = matches!(code.ending()[1], b'T' | b'Q');
        Self {
            severity: code.severity(),
            count: 0,
            series: Series::default(),
            networks: BTreeMap::new(),
            elsewhere: 0,
            queue: waits
                .then(|| Histogram::new_with_bounds(1, 86_400_000, 2).ok())
                .flatten(),
        }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.series.merge(other.series);
        self.elsewhere += other.elsewhere;
        for (network, count) in other.networks {
            if self.networks.len() < NETWORKS || self.networks.contains_key(&network) {
                *self.networks.entry(network).or_default() += count;
            } else {
                self.elsewhere += count;
            }
        }
        if let (Some(own), Some(theirs)) = (&mut self.queue, other.queue) {
            // Both were made alike.
            let _ = own.add(theirs);
        }
    }

    fn session(&mut self, entry: &Entry<'_>, step: Option<i64>) {
        self.count += 1;
        step.into_iter().for_each(|step| self.series.add(step));
        if let (Some(queue), Some(wait)) = (&mut self.queue, entry.queue) {
            queue.saturating_record(u64::try_from(wait).unwrap_or(0).max(1));
        }
        // Whose normal ends they are nobody asks.
        if self.severity == Severity::Normal {
            return;
        }
        match entry.client.map(Prefix::of) {
            Some(network) if self.networks.len() < NETWORKS || self.networks.contains_key(&network) => {
                *self.networks.entry(network).or_default() += 1;
            }
            Some(_) => self.elsewhere += 1,
            None => {}
        }
    }
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
    frontends: Named<Frontend>,
    servers: Named<BTreeMap<Code, u64>>,
    steps: Steps,
    first: Option<Written>,
    last: Option<Written>,
}

impl Tally {
    /// Takes in what another one has counted: of other lines of the same logs.
    pub fn merge(&mut self, mut other: Self) {
        self.sessions += other.sessions;
        self.connections += other.connections;
        self.early += other.early;
        self.truncated += other.truncated;
        self.uncoded += other.uncoded;
        for (code, count) in other.codes.iter() {
            *self.codes.entry(*code).or_default() += count;
        }
        for (status, count) in other.statuses.iter() {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.seen(other.first);
        self.seen(other.last);
        // Both by the same steps: those of all their moments together.
        for at in other.steps.ends() {
            self.step(at);
        }
        for at in self.steps.ends() {
            other.step(at);
        }
        self.servers
            .merge(std::mem::take(&mut other.servers), |own, theirs| {
                for (code, count) in theirs {
                    *own.entry(code).or_default() += count;
                }
            });
        self.frontends
            .merge(std::mem::take(&mut other.frontends), |own, theirs| {
                own.sessions += theirs.sessions;
                own.series.merge(theirs.series);
                for (code, way) in theirs.ways {
                    own.ways.entry(code).or_insert_with(|| Way::new(code)).merge(way);
                }
            });
    }

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
        let step = entry.ended().map(|at| self.step(at));
        let Some(code) = entry.code else {
            self.uncoded += 1;
            if let Some(frontend) = self.frontends.of(entry.frontend) {
                frontend.sessions += 1;
                step.into_iter().for_each(|step| frontend.series.add(step));
            }
            return;
        };
        *self.codes.entry(code).or_default() += 1;
        let bare = code.without_cookie();
        if entry.has_server() {
            let mut name = [0u8; 256];
            let server = self.servers.of(joined(entry.backend, entry.server, &mut name));
            server
                .into_iter()
                .for_each(|codes| *codes.entry(bare).or_default() += 1);
        }
        if let Some(frontend) = self.frontends.of(entry.frontend) {
            frontend.sessions += 1;
            step.into_iter().for_each(|step| frontend.series.add(step));
            let way = frontend.ways.entry(bare).or_insert_with(|| Way::new(bare));
            way.session(entry, step);
        }
    }

    /// The step of a moment; where there isn't room for it, all steps become wider.
    fn step(&mut self, at: Written) -> i64 {
        let doubled = self.steps.stretch(at);
        if doubled > 0 {
            for frontend in &mut self.frontends.all {
                frontend.series.double(doubled);
                frontend
                    .ways
                    .values_mut()
                    .for_each(|way| way.series.double(doubled));
            }
        }
        self.steps.step(at)
    }

    fn seen(&mut self, at: Option<Written>) {
        let Some(at) = at else { return };
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    /// What it comes to.
    #[must_use]
    pub fn summary(&mut self) -> Summary {
        for frontend in &mut self.frontends.all {
            frontend.series.settle();
            frontend.ways.values_mut().for_each(|way| way.series.settle());
        }
        let spans = self
            .frontends
            .all
            .iter()
            .filter_map(|frontend| frontend.series.span());
        let span = spans.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        let mut ways: Vec<Counted> = Vec::new();
        for (name, frontend) in self.frontends.iter() {
            let all = frontend.ways.iter();
            ways.extend(all.map(|(code, way)| self.counted(&name, frontend, *code, way, span)));
        }
        ways.sort_by_key(|way| {
            (
                std::cmp::Reverse((way.severity, way.count)),
                way.frontend.clone(),
                way.code,
            )
        });
        let servers = self.servers.iter();
        let mut by_server: Vec<(String, Code, u64)> = servers
            .flat_map(|(name, codes)| {
                codes
                    .iter()
                    .map(move |(code, count)| (name.clone(), *code, *count))
            })
            .collect();
        by_server.sort_by_key(|(server, code, count)| (std::cmp::Reverse(*count), server.clone(), *code));
        let mut by_frontend: Vec<(String, u64)> = self
            .frontends
            .iter()
            .map(|(name, frontend)| (name, frontend.sessions))
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

    fn counted(
        &self,
        name: &str,
        frontend: &Frontend,
        code: Code,
        way: &Way,
        span: Option<(i64, i64)>,
    ) -> Counted {
        const PARTS: usize = 24;
        let mut networks: Vec<(Prefix, u64)> = way
            .networks
            .iter()
            .map(|(network, count)| (*network, *count))
            .collect();
        networks.sort_by_key(|(network, count)| (std::cmp::Reverse(*count), *network));
        let rise = (way.severity >= Severity::Anomaly)
            .then(|| rise(&way.series, &frontend.series))
            .flatten();
        Counted {
            frontend: name.to_owned(),
            code,
            severity: way.severity,
            count: way.count,
            of: frontend.sessions,
            over_time: span.map(|span| way.series.parts(span, PARTS)).unwrap_or_default(),
            rise,
            rose_at: rise.map(|rise| (rise.step.saturating_mul(self.steps.width), self.steps.width)),
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
    for part in [backend, b"/", server] {
        let Some(room) = into.get_mut(length..) else { break };
        let part = part.get(..part.len().min(room.len())).unwrap_or_default();
        if let Some(place) = room.get_mut(..part.len()) {
            place.copy_from_slice(part);
        }
        length += part.len();
    }
    into.get(..length).unwrap_or_default()
}
