//! The counting itself.

use std::collections::BTreeMap;

use super::change::rise;
use super::entry::{Entry, Written};
use super::heavy::Heavy;
use super::named::Named;
use super::place::Place;
use super::series::{Series, Steps};
use super::summary::{Busy, Counted, Network, Persistence, Rate, Summary};
use crate::ending::{Code, Severity};
use crate::verdicts::Prefix;

/// So many steps are one of a network's: there may be thousands of them.
const COARSE: i64 = 15;

/// A network's sessions over time.
#[derive(Debug, Default)]
struct Course {
    all: Series,
    odd: Series,
}

impl Course {
    fn session(&mut self, step: i64, severity: Severity) {
        let step = step.div_euclid(COARSE);
        self.all.add(step);
        if severity >= Severity::Anomaly {
            self.odd.add(step);
        }
    }

    /// Those that ended as they shouldn't, between two steps, in equal parts: no more than there are steps of a network's.
    fn parts(&self, (first, last): (i64, i64)) -> Vec<u64> {
        const PARTS: i64 = 24;
        let (first, last) = (first.div_euclid(COARSE), last.div_euclid(COARSE));
        let parts = (last - first + 1).clamp(1, PARTS);
        self.odd.parts((first, last), usize::try_from(parts).unwrap_or(1))
    }

    fn each(&mut self, mut what: impl FnMut(&mut Series)) {
        what(&mut self.all);
        what(&mut self.odd);
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
    frontends: Named<Place>,
    servers: Named<Place>,
    networks: Heavy<Course>,
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
        self.networks
            .merge(std::mem::take(&mut other.networks), |own, theirs| {
                own.all.merge(theirs.all);
                own.odd.merge(theirs.odd);
            });
        for (own, theirs) in [
            (&mut self.servers, &mut other.servers),
            (&mut self.frontends, &mut other.frontends),
        ] {
            own.merge(std::mem::take(theirs), Place::merge);
        }
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
        let network = entry.client.map(Prefix::of);
        let Some(code) = entry.code else {
            self.uncoded += 1;
            if let Some(frontend) = self.frontends.of(entry.frontend) {
                frontend.uncoded(step);
            }
            self.of_network(network, step, Severity::Normal);
            return;
        };
        *self.codes.entry(code).or_default() += 1;
        let bare = code.without_cookie();
        // One that found no server is its backend's matter, too: a queue that is full, nobody left.
        if entry.has_server() || !entry.backend.is_empty() && entry.backend != entry.frontend {
            let mut name = [0u8; 256];
            let server = self.servers.of(joined(entry.backend, entry.server, &mut name));
            // Clients are told by frontend.
            if let Some(server) = server {
                server.session(entry, bare, step, None);
            }
        }
        let frontend = self.frontends.of(entry.frontend);
        let severity = frontend.map(|frontend| frontend.session(entry, bare, step, network));
        self.of_network(network, step, severity.unwrap_or(Severity::Normal));
    }

    fn of_network(&mut self, network: Option<Prefix>, step: Option<i64>, severity: Severity) {
        let course = network.and_then(|network| self.networks.add(network));
        if let (Some(course), Some(step)) = (course, step) {
            course.session(step, severity);
        }
    }

    /// The step of a moment; where there isn't room for it, all steps become wider.
    fn step(&mut self, at: Written) -> i64 {
        let doubled = self.steps.stretch(at);
        if doubled > 0 {
            let places = self.frontends.all.iter_mut().chain(&mut self.servers.all);
            places.for_each(|place| place.double(doubled));
            let networks = self.networks.kept();
            networks.for_each(|course| course.each(|series| series.double(doubled)));
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
        let places = self.frontends.all.iter_mut().chain(&mut self.servers.all);
        places.for_each(Place::settle);
        self.networks
            .kept()
            .for_each(|course| course.each(Series::settle));
        let spans = self.frontends.all.iter().filter_map(|place| place.series.span());
        let span = spans.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        let mut codes: Vec<(Code, u64)> = self.codes.iter().map(|(code, count)| (*code, *count)).collect();
        codes.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        let ways = self.counted(&self.frontends, span);
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
            frontends: self.busy(&self.frontends, span),
            servers: self.busy(&self.servers, span),
            by_server: self.counted(&self.servers, span),
            networks: self.by_network(&ways, span),
            unknown_networks: self.networks.elsewhere(),
            ways,
            persistence: self.persistence(),
        }
    }

    /// Every way to end at each place, what matters most first.
    fn counted(&self, places: &Named<Place>, span: Option<(i64, i64)>) -> Vec<Counted> {
        let mut ways: Vec<Counted> = Vec::new();
        for (name, place) in places.iter() {
            ways.extend(place.counted(&name, &self.steps, span));
        }
        ways.sort_by_key(|way| {
            let weight = std::cmp::Reverse((way.severity, way.count));
            (weight, way.place.clone(), way.code)
        });
        ways
    }

    /// Each place, the busiest first.
    fn busy(&self, places: &Named<Place>, span: Option<(i64, i64)>) -> Vec<Busy> {
        let mut all: Vec<Busy> = places
            .iter()
            .map(|(name, place)| Busy {
                name,
                sessions: place.sessions,
                rate: span.map(|span| Rate::of(place.sessions, &place.series, &self.steps, span)),
            })
            .collect();
        all.sort_by_key(|busy| (std::cmp::Reverse(busy.sessions), busy.name.clone()));
        all
    }

    /// Each network, those first that most ended of as they shouldn't.
    fn by_network(&self, ways: &[Counted], span: Option<(i64, i64)>) -> Vec<Network> {
        let mut odd: BTreeMap<Prefix, BTreeMap<Code, u64>> = BTreeMap::new();
        for way in ways.iter().filter(|way| way.severity >= Severity::Anomaly) {
            for (network, count) in &way.networks {
                *odd.entry(*network).or_default().entry(way.code).or_default() += count;
            }
        }
        let kept = self.networks.sorted();
        let among = kept.len();
        let mut all: Vec<Network> = kept
            .into_iter()
            .map(|(network, sessions, course)| {
                let rise = rise(&course.odd, &course.all, among);
                let width = self.steps.width.saturating_mul(COARSE);
                let codes = odd.remove(&network).unwrap_or_default();
                let mut codes: Vec<(Code, u64)> = codes.into_iter().collect();
                codes.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
                let odd: u64 = codes.iter().map(|(_, count)| count).sum();
                Network {
                    network,
                    // Both are counted so that they are never too high; a part is not more than the whole.
                    sessions: sessions.max(odd),
                    odd,
                    codes,
                    rate: span.map_or(0.0, |span| {
                        Rate::of(sessions, &course.all, &self.steps, span).average
                    }),
                    over_time: span.map(|span| course.parts(span)).unwrap_or_default(),
                    rise,
                    rose_at: rise.map(|rise| (rise.step.saturating_mul(width), width)),
                }
            })
            .collect();
        all.sort_by_key(|one| (std::cmp::Reverse((one.odd, one.sessions)), one.network));
        all
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
