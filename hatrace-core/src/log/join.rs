//! Which sockets a line is of. Connections between the same addresses follow each other, and HAProxy's clock has milliseconds and is looked
//! at before and after it acts: a line fits one socket, or several. Of several, the server's socket tells, which was opened while the
//! client's was there; or the order, in which as many lines came as connections. Where neither does, none is taken.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;

use super::said::Said;
use super::stories::{Number, Stories};
use super::story::{First, Story};
use crate::sock::Side;
use crate::time::Mono;

/// HAProxy's clock has milliseconds, and it looks at it before and after it acts.
pub(super) const SLACK: i64 = 60;
/// What is lost by whole milliseconds.
const ROUNDED: i64 = 2;

/// A line's sockets, where they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) client: Option<Number>,
    pub(super) server: Option<Number>,
}

/// The kernel's side of a join.
pub(super) struct Kernel<'a, W, F> {
    pub(super) stories: &'a Stories,
    /// When an instant was, in milliseconds since 1970.
    pub(super) wall: W,
    /// Whether a client's socket isn't another line's already.
    pub(super) free: F,
}

/// Joins each line to its sockets.
pub(super) fn join<W: Fn(Mono) -> i64, F: Fn(Number) -> bool>(
    said: &[Said],
    kernel: &Kernel<'_, W, F>,
) -> Vec<Joined> {
    let mut joined: Vec<Joined> = said
        .iter()
        .map(|said| Joined {
            client: None,
            server: kernel.server_of(said),
        })
        .collect();
    let mut of_client: BTreeMap<(SocketAddr, Option<SocketAddr>), Vec<usize>> = BTreeMap::new();
    for (line, said) in said.iter().enumerate() {
        if let Some(client) = said.client {
            of_client.entry((client, said.front)).or_default().push(line);
        }
    }
    for ((client, front), mut lines) in of_client {
        lines.sort_by_key(|line| said.get(*line).map(|said| (said.accepted, said.ended)));
        let connections = kernel.connections(client, front);
        let in_turn = follow_each_other(&connections);
        let mut fitting: Vec<Fitting> = lines
            .iter()
            .filter_map(|line| Some((*line, said.get(*line)?, joined.get(*line)?.server)))
            .filter_map(|(line, said, server)| kernel.fitting(line, said, server, &connections, in_turn))
            .collect();
        tie(&mut fitting, said);
        for (line, place) in assigned(&fitting, &connections, in_turn && kernel.stories.is_complete()) {
            if let (Some(joined), Some(one)) = (joined.get_mut(line), connections.get(place)) {
                joined.client = Some(one.number);
            }
        }
    }
    // Last: a client's socket isn't told by what is itself told by time.
    for (line, number) in kernel.servers_by_time(said) {
        if let Some(joined) = joined.get_mut(line) {
            joined.server = Some(number);
        }
    }
    joined
}

/// A line, and which of its client's connections it may be of, in their order.
#[derive(Clone, Debug)]
struct Fitting {
    line: usize,
    request: bool,
    places: Vec<usize>,
    /// Its server's socket has told which: there is one place.
    told: bool,
    /// Another one was accepted in the same millisecond: which of them came first isn't known.
    tied: bool,
}

/// Connections of one client, in the order in which they were gone.
type Connections<'a> = Vec<Connection<'a>>;

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Connection<'a> {
    number: Number,
    story: &'a Story,
    /// When it had begun at the latest that is known, or not before: the one before it was gone then.
    since: Option<Mono>,
}

impl<W: Fn(Mono) -> i64, F: Fn(Number) -> bool> Kernel<'_, W, F> {
    fn connections(&self, client: SocketAddr, front: Option<SocketAddr>) -> Connections<'_> {
        let mut found: Connections<'_> = self
            .stories
            .with(Side::Client, client)
            .filter(|(number, story)| {
                front.is_none_or(|front| story.endpoints.local == front) && (self.free)(*number)
            })
            .map(|(number, story)| Connection {
                number,
                story,
                since: story.begun,
            })
            .collect();
        let gone = |one: &Connection<'_>| one.story.gone.map_or(u64::MAX, Mono::ns);
        found.sort_by_key(|one| (gone(one), one.story.begun, one.number));
        let mut before = None;
        for one in &mut found {
            one.since = one.since.or(before);
            before = one.story.gone;
        }
        found
    }

    /// The connections that a line may be of; `None`: there is no such one.
    fn fitting(
        &self,
        line: usize,
        said: &Said,
        server: Option<Number>,
        all: &Connections<'_>,
        in_turn: bool,
    ) -> Option<Fitting> {
        let before = |one: &Connection<'_>| self.is_before(one.story, said);
        let from = if in_turn { all.partition_point(before) } else { 0 };
        let mut places: Vec<usize> = (from..)
            .zip(all.get(from..).unwrap_or_default())
            .take_while(|(_, one)| !in_turn || self.has_begun(one, said))
            .filter(|(_, one)| self.has_begun(one, said) && self.is_there(one.story, said))
            .map(|(place, _)| place)
            .collect();
        let mut told = false;
        // A request's may have been opened for another one before it.
        let opened = server.and_then(|server| self.stories.story(server)?.begun);
        if let Some(opened) = opened.filter(|_| !said.request) {
            let during = |place: &usize| {
                all.get(*place).is_some_and(|one| {
                    one.story.begun.is_some_and(|at| at <= opened)
                        && one.story.gone.is_none_or(|at| at >= opened)
                })
            };
            told = places.iter().filter(|place| during(place)).count() == 1;
            if told {
                places.retain(during);
            }
        }
        (!places.is_empty()).then_some(Fitting {
            line,
            request: said.request,
            places,
            told,
            tied: false,
        })
    }

    /// Whether a connection was over long before. Those of one client to one address follow each other.
    fn is_before(&self, story: &Story, said: &Said) -> bool {
        story
            .gone
            .is_some_and(|at| (self.wall)(at) + SLACK < said.accepted)
    }

    /// Whether it had begun when the session was accepted. The next one of the same addresses began after this session's end.
    fn has_begun(&self, one: &Connection<'_>, said: &Said) -> bool {
        one.since.is_none_or(|at| {
            let at = (self.wall)(at);
            at <= said.accepted + SLACK && at <= said.ended + ROUNDED
        })
    }

    fn is_there(&self, story: &Story, said: &Said) -> bool {
        let Some(gone) = story.gone.map(&self.wall) else {
            return true;
        };
        match story.first {
            // One that HAProxy itself closed is not gone long before its session ends.
            Some((First::HaproxyFin | First::HaproxyReset, _)) => {
                gone >= said.accepted && gone + SLACK >= said.ended
            }
            // One that was reset is accepted all the same, a little later.
            Some((First::PeerReset | First::Reset, _)) => gone + SLACK >= said.accepted,
            _ => gone >= said.accepted,
        }
    }

    /// Servers' sockets of lines without their addresses: the only one to that server that was opened then, and closed when the session ended,
    /// unless another line lays claim to it.
    fn servers_by_time(&self, said: &[Said]) -> Vec<(usize, Number)> {
        let mut claims: BTreeMap<Number, Vec<usize>> = BTreeMap::new();
        for (line, said) in said.iter().enumerate() {
            if let Some(number) = self.server_by_time(said) {
                claims.entry(number).or_default().push(line);
            }
        }
        let single = |(number, lines): (Number, Vec<usize>)| match lines.as_slice() {
            [line] => Some((*line, number)),
            _ => None,
        };
        claims.into_iter().filter_map(single).collect()
    }

    fn server_by_time(&self, said: &Said) -> Option<Number> {
        let (server, from, to) = said.towards?;
        let (from, to) = (self.instant(from - SLACK), self.instant(to + SLACK));
        let closed = |story: &Story| {
            story
                .first
                .is_some_and(|(_, at)| (self.wall)(at) <= said.ended + SLACK)
                && story.gone.is_none_or(|at| (self.wall)(at) + SLACK >= said.ended)
        };
        let mut fitting = self
            .stories
            .towards(server, from, to)
            .filter(|(_, story)| closed(story));
        let (number, _) = fitting.next()?;
        fitting.next().is_none().then_some(number)
    }

    /// When the wall clock said so.
    fn instant(&self, wall: i64) -> Mono {
        let origin = (self.wall)(Mono::from_ns(0));
        let since = u64::try_from(wall.saturating_sub(origin)).unwrap_or(0);
        Mono::from_ns(since.saturating_mul(1_000_000))
    }

    /// The server's socket: by both its addresses where the line has them.
    fn server_of(&self, said: &Said) -> Option<Number> {
        let (back, server) = said.server?;
        let fits = |story: &Story| {
            story.endpoints.peer == server
                && story
                    .begun
                    .is_none_or(|at| (self.wall)(at) <= said.ended + ROUNDED)
                && story.gone.is_none_or(|at| (self.wall)(at) >= said.accepted)
        };
        let mut found = self
            .stories
            .with(Side::Server, back)
            .filter(|(_, story)| fits(story));
        let (number, _) = found.next()?;
        found.next().is_none().then_some(number)
    }
}

/// Whether each connection was gone when the next one began.
fn follow_each_other(all: &Connections<'_>) -> bool {
    all.windows(2).all(|pair| match pair {
        [one, next] => one
            .story
            .gone
            .is_some_and(|gone| next.since.is_none_or(|since| gone <= since)),
        _ => true,
    })
}

/// Which line is of which connection, where there is only one way. Both are in their order. `in_order`: no connection is missing, and each was
/// gone before the next.
fn assigned(fitting: &[Fitting], all: &Connections<'_>, in_order: bool) -> Vec<(usize, usize)> {
    let mut found = told(fitting);
    if in_order && fitting.iter().all(|line| !line.request) {
        found.extend(between(fitting, &found));
    } else {
        found.extend(alone(fitting));
    }
    // One whose beginning wasn't seen is none: another one, not seen at all, may have been before it.
    found.retain(|(_, place)| all.get(*place).is_some_and(|one| one.story.begun.is_some()));
    found
}

/// Those whose server's socket has told, unless two lay claim to one connection.
fn told(fitting: &[Fitting]) -> Vec<(usize, usize)> {
    let mut claims: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for line in fitting.iter().filter(|line| line.told) {
        for place in &line.places {
            claims.entry(*place).or_default().push(line.line);
        }
    }
    let single = |(place, lines): (usize, Vec<usize>)| match lines.as_slice() {
        [line] => Some((*line, place)),
        _ => None,
    };
    claims.into_iter().filter_map(single).collect()
}

/// Those that fit one connection, which no other line fits: but requests may share it.
fn alone(fitting: &[Fitting]) -> Vec<(usize, usize)> {
    let mut fits: BTreeMap<usize, (usize, bool)> = BTreeMap::new();
    for line in fitting {
        for place in &line.places {
            let (count, requests) = fits.entry(*place).or_insert((0, true));
            *count += 1;
            *requests &= line.request;
        }
    }
    let only = |line: &Fitting| match (line.places.as_slice(), line.told) {
        ([place], false) => fits
            .get(place)
            .is_some_and(|(count, requests)| *count == 1 || *requests)
            .then_some((line.line, *place)),
        _ => None,
    };
    fitting.iter().filter_map(only).collect()
}

/// By the order, between those that are certain.
fn between(fitting: &[Fitting], certain: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let certain: BTreeMap<usize, usize> = certain.iter().copied().collect();
    let (mut found, mut lines, mut from) = (Vec::new(), Vec::new(), 0);
    for one in fitting {
        match certain.get(&one.line) {
            Some(place) => {
                found.extend(in_parts(&std::mem::take(&mut lines), from..*place));
                from = *place + 1;
            }
            None if one.told => {}
            None => lines.push(one.clone()),
        }
    }
    found.extend(in_parts(&lines, from..usize::MAX));
    found
}

/// By the order, lines that have connections in common together.
fn in_parts(lines: &[Fitting], free: Range<usize>) -> Vec<(usize, usize)> {
    let (mut found, mut part, mut last) = (Vec::new(), Vec::new(), None);
    for line in lines {
        let places = line.places.iter().copied().filter(|place| free.contains(place));
        let line = Fitting {
            places: places.collect(),
            ..line.clone()
        };
        let (Some(first), Some(most)) = (line.places.first(), line.places.last()) else {
            continue;
        };
        if last.is_some_and(|last| *first > last) {
            found.extend(by_order(&std::mem::take(&mut part)));
        }
        last = last.max(Some(*most));
        part.push(line);
    }
    found.extend(by_order(&part));
    found
}

/// Marks lines whose order is not told by when they were accepted.
fn tie(fitting: &mut [Fitting], said: &[Said]) {
    let accepted = |line: &Fitting| said.get(line.line).map_or(0, |said| said.accepted);
    for nth in 1..fitting.len() {
        if let Some([one, next]) = fitting.get_mut(nth - 1..=nth)
            && accepted(next) - accepted(one) <= 1
        {
            (one.tied, next.tied) = (true, true);
        }
    }
}

/// Each line is of a connection of its own, and both have the same order: where the earliest that a line can be of is the latest as well,
/// it is that.
fn by_order(lines: &[Fitting]) -> Vec<(usize, usize)> {
    let mut earliest = Vec::with_capacity(lines.len());
    let mut taken = None;
    for line in lines {
        let mut places = line.places.iter().copied();
        taken = places.find(|place| taken.is_none_or(|taken| *place > taken));
        // More lines than connections: one is missing after all.
        let Some(place) = taken else { return alone(lines) };
        earliest.push(place);
    }
    let (mut found, mut taken) = (Vec::new(), None);
    for (line, earliest) in lines.iter().zip(earliest).rev() {
        let mut places = line.places.iter().rev().copied();
        taken = places.find(|place| taken.is_none_or(|taken| *place < taken));
        if taken == Some(earliest) && !line.tied {
            found.push((line.line, earliest));
        }
    }
    found
}
