//! Log lines held against what the kernel saw: each is joined to its sockets by address and time, and the two stories are compared.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::beside::{Saw, contradiction};
use super::entry::{Entry, Written};
use super::join::{Joined, Kernel, SLACK, join};
use super::said::Said;
use super::stories::Stories;
use super::story::Story;
use crate::ending::Code;
use crate::sock::Side;
use crate::time::Mono;

/// From so long on a socket that outlives its log line is worth a word.
const LINGERS: i64 = 1000;
/// Disagreements that are listed.
const LISTED: usize = 50;
/// HAProxy's local time is a whole number of these away from UTC.
const QUARTER: i64 = 15 * 60 * 1000;

/// Two stories of one session that can't both be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The client, by the log.
    pub client: SocketAddr,
    /// When the log says that it ended.
    pub ended: Written,
    /// What the log says.
    pub code: Code,
    /// What the kernel saw.
    pub kernel: String,
}

/// Lines of one code whose sockets had one story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    /// How many.
    pub count: u64,
    /// One of them: the client, by the log, and when it ended.
    pub example: (SocketAddr, Written),
}

/// What the kernel saw of a client's socket and of its server's; `None`: that one isn't known.
pub type Sockets = (Option<Saw>, Option<Saw>);

/// What it comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// Lines of the time in which the kernel was watched, with their client's socket's address.
    pub lines: u64,
    /// Of those: no socket of that client was seen at all.
    pub unknown: u64,
    /// Of those: joined to their client's socket.
    pub joined: u64,
    /// Lines of that time with an address of the client's that is not its socket's (PROXY, `set-src`).
    pub disguised: u64,
    /// Of all of them: joined to their server's socket.
    pub with_server: u64,
    /// Joined, and both say the same.
    pub agree: u64,
    /// By code: how many do not.
    pub disagree: BTreeMap<Code, u64>,
    /// The first of them.
    pub disagreements: Vec<Disagreement>,
    /// What the log says, and what the kernel saw: how many.
    pub stories: BTreeMap<(Code, Sockets), Together>,
    /// Sockets that were closing, and there for a second or more after their line: how many by code and side, and the longest.
    pub lingered: BTreeMap<(Code, Side), (u64, Duration)>,
    /// Of those: how many were there to the end.
    pub open: u64,
    /// HAProxy's local time, less UTC, in milliseconds.
    pub zone: i64,
}

/// Lines that may be of sockets that the kernel was watched with.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    said: Vec<Said>,
    /// Lines of clients of which no socket was seen, by the seconds in which they were accepted and ended.
    unknown: BTreeMap<(i64, i64), u64>,
    /// The same of lines with another address of the client's.
    disguised: BTreeMap<(i64, i64), u64>,
}

impl Lines {
    /// Remembers a line.
    pub fn take(&mut self, entry: &Entry<'_>, stories: &Stories) {
        let Some(said) = Said::of(entry, &stories.proxies) else {
            return;
        };
        let knows_server = |said: &Said| {
            said.server
                .is_some_and(|(back, _)| stories.knows(Side::Server, back))
        };
        let seconds = (said.accepted.div_euclid(1000), said.ended.div_euclid(1000));
        match said.client {
            None if said.towards.is_none() && !knows_server(&said) => {
                *self.unknown.entry(seconds).or_default() += 1;
            }
            _ => self.said.push(said),
        }
    }

    /// Takes another one's in.
    pub fn merge(&mut self, other: Self) {
        self.said.extend(other.said);
        for (seconds, count) in other.unknown {
            *self.unknown.entry(seconds).or_default() += count;
        }
        for (seconds, count) in other.disguised {
            *self.disguised.entry(seconds).or_default() += count;
        }
    }

    /// Holds them against the stories. `wall`: when an instant was, in milliseconds since 1970; `window`: from when to when the kernel was
    /// watched.
    #[must_use]
    pub fn hold(mut self, stories: &Stories, wall: impl Fn(Mono) -> i64, window: (Mono, Mono)) -> Held {
        let mut zone = Zone::default();
        zone.vote(&self.said, stories, &wall);
        let zone = zone.ahead();
        let (from, to) = (wall(window.0), wall(window.1));
        let mut held = Held {
            zone,
            ..Held::default()
        };
        let within = |seconds: &BTreeMap<(i64, i64), u64>| {
            let inside = |(accepted, ended): (i64, i64)| {
                accepted * 1000 - zone >= from && (ended + 1) * 1000 - zone + SLACK <= to
            };
            let some = seconds.iter().filter(|(seconds, _)| inside(**seconds));
            some.map(|(_, count)| count).sum::<u64>()
        };
        held.unknown = within(&self.unknown);
        held.lines = held.unknown;
        held.disguised = within(&self.disguised);
        self.said.retain_mut(|said| {
            *said = said.by_utc(zone);
            said.accepted >= from
        });
        let kernel = Kernel {
            stories,
            wall: &wall,
            free: |_| true,
        };
        for (said, joined) in self.said.iter().zip(join(&self.said, &kernel)) {
            if said.ended + SLACK > to {
                continue;
            }
            held.count(said, joined, stories, &wall);
            for (side, number) in [(Side::Client, joined.client), (Side::Server, joined.server)] {
                let story = number.and_then(|number| stories.story(number));
                if let Some((after, open)) = story.and_then(|story| outlived(said, story, &wall, to)) {
                    held.lingers(said.code, side, after, open);
                }
            }
        }
        held
    }
}

impl Held {
    /// Counts a line, by the sockets that it was joined to.
    pub(super) fn count(
        &mut self,
        said: &Said,
        joined: Joined,
        stories: &Stories,
        wall: &impl Fn(Mono) -> i64,
    ) {
        let socket = |number: Option<_>| number.and_then(|number| stories.story(number));
        let (client, server) = (socket(joined.client), socket(joined.server));
        let with_address = u64::from(said.client.is_some());
        self.lines += with_address;
        self.disguised += 1 - with_address;
        self.joined += u64::from(client.is_some());
        self.with_server += u64::from(server.is_some());
        if client.is_none() && server.is_none() {
            return;
        }
        let saw = |story: &Story| Saw::of(story, said.ended, wall);
        let sockets = (client.map(saw), server.map(saw));
        let together = self
            .stories
            .entry((said.code, sockets))
            .or_insert_with(|| Together {
                count: 0,
                example: (said.called, said.ended),
            });
        together.count += 1;
        self.compare(said, client, server, wall);
    }

    /// Counts a socket that outlived its line.
    pub(super) fn lingers(&mut self, code: Code, side: Side, after: Duration, open: bool) {
        let (count, longest) = self.lingered.entry((code, side)).or_default();
        *count += 1;
        *longest = (*longest).max(after);
        self.open += u64::from(open);
    }

    fn compare(
        &mut self,
        said: &Said,
        client: Option<&Story>,
        server: Option<&Story>,
        wall: &impl Fn(Mono) -> i64,
    ) {
        let Some(kernel) = contradiction(said, client, server, wall) else {
            self.agree += 1;
            return;
        };
        *self.disagree.entry(said.code).or_default() += 1;
        if self.disagreements.len() < LISTED {
            self.disagreements.push(Disagreement {
                client: said.called,
                ended: said.ended,
                code: said.code,
                kernel,
            });
        }
    }
}

/// Whether a socket was closing when its line was written: it may be there for long after it.
pub(super) fn may_outlive(said: &Said, story: &Story, wall: &impl Fn(Mono) -> i64) -> bool {
    story.first.is_some_and(|(_, at)| wall(at) <= said.ended + SLACK)
}

/// By how much a socket that was closing before its line was there after it, and whether it is there still, at `to`; `None`: by nothing that
/// is worth a word.
pub(super) fn outlived(
    said: &Said,
    story: &Story,
    wall: &impl Fn(Mono) -> i64,
    to: i64,
) -> Option<(Duration, bool)> {
    if !may_outlive(said, story, wall) {
        return None;
    }
    let gone = match story.gone {
        Some(gone) => wall(gone),
        None if story.open || story.rest => to,
        None => return None,
    };
    let after = gone - said.ended;
    (after >= LINGERS).then(|| (Duration::from_millis(after.unsigned_abs()), story.gone.is_none()))
}

/// By how much a log's clock is ahead of UTC: by which most lines end with their sockets.
#[derive(Clone, Debug, Default)]
pub(super) struct Zone {
    votes: BTreeMap<i64, u64>,
    asked: usize,
}

impl Zone {
    /// Takes in what these lines tell of it.
    pub(super) fn vote(&mut self, said: &[Said], stories: &Stories, wall: &impl Fn(Mono) -> i64) {
        const SAMPLE: usize = 2000;
        for said in said {
            let Some(client) = said.client.filter(|_| self.asked < SAMPLE) else {
                continue;
            };
            self.asked += 1;
            for (_, story) in stories.with(Side::Client, client) {
                let Some((_, first)) = story.first else { continue };
                let ahead = said.ended - wall(first);
                let quarters = (ahead + QUARTER / 2).div_euclid(QUARTER);
                // Fourteen hours are the most there are.
                if quarters.abs() <= 56 && (ahead - quarters * QUARTER).abs() <= 2000 {
                    *self.votes.entry(quarters).or_default() += 1;
                }
            }
        }
    }

    /// By the most votes; in milliseconds.
    pub(super) fn ahead(&self) -> i64 {
        let best = self
            .votes
            .iter()
            .max_by_key(|(quarters, votes)| (**votes, std::cmp::Reverse(quarters.abs())));
        best.map_or(0, |(quarters, _)| quarters * QUARTER)
    }
}

#[cfg(test)]
mod tests;
