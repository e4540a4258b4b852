//! Log lines held against what the kernel saw: each is joined to its sockets by address and time, and the two stories are compared.
//!
//! Connections of one address and port follow each other: of several, a session belongs to the one that was there when it was accepted. Where
//! that can't be told none is taken.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::entry::{Entry, Written};
use super::story::{First, Stories, Story};
use crate::ending::Code;
use crate::sock::Side;
use crate::time::Mono;

/// HAProxy's clock has milliseconds, and it looks at it before and after it acts.
const SLACK: i64 = 60;
/// From so long on a socket that outlives its log line is worth a word.
const LINGERS: i64 = 1000;
/// Disagreements that are listed.
const LISTED: usize = 50;
/// HAProxy's local time is a whole number of these away from UTC.
const QUARTER: i64 = 15 * 60 * 1000;

/// One line, as far as it is needed.
#[derive(Clone, Copy, Debug)]
struct Said {
    client: SocketAddr,
    front: Option<SocketAddr>,
    server: Option<(Option<SocketAddr>, SocketAddr)>,
    accepted: Written,
    ended: Written,
    code: Code,
}

/// Lines that may be of sockets that the kernel was watched with.
#[derive(Debug, Default)]
pub struct Lines {
    said: Vec<Said>,
}

/// Two stories of one session that can't both be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The client.
    pub client: SocketAddr,
    /// When the log says that it ended.
    pub ended: Written,
    /// What the log says.
    pub code: Code,
    /// What the kernel saw.
    pub kernel: String,
}

/// What it comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Held {
    /// Lines of the time in which the kernel was watched.
    pub lines: u64,
    /// Of those: joined to their client's socket.
    pub joined: u64,
    /// And to their server's.
    pub with_server: u64,
    /// Joined, and both say the same.
    pub agree: u64,
    /// By code: how many do not.
    pub disagree: BTreeMap<Code, u64>,
    /// The first of them.
    pub disagreements: Vec<Disagreement>,
    /// Client's sockets that were there for a second or more after their line: how many by code, and the longest.
    pub lingered: BTreeMap<Code, (u64, Duration)>,
    /// HAProxy's local time, less UTC, in milliseconds.
    pub zone: i64,
}

impl Lines {
    /// Remembers a line, if it may be of one of these sockets.
    pub fn take(&mut self, entry: &Entry<'_>, stories: &Stories) {
        // What a PROXY header or a rule says of the client is not its socket's address.
        let address = |ip: Option<_>, port: Option<_>| Some(SocketAddr::new(ip?, port?));
        let client =
            address(entry.socket, entry.socket_port).or_else(|| address(entry.client, entry.client_port));
        let (Some(client), Some(accepted), Some(ended), Some(code)) =
            (client, entry.accepted, entry.ended(), entry.code)
        else {
            return;
        };
        if entry.early || !stories.knows(client) {
            return;
        }
        let server = address(entry.server_ip, entry.server_port);
        self.said.push(Said {
            client,
            front: address(entry.front, entry.front_port),
            server: server.map(|server| (address(entry.back, entry.back_port), server)),
            accepted,
            ended,
            code: code.without_cookie(),
        });
    }

    /// Takes another one's in.
    pub fn merge(&mut self, other: Self) {
        self.said.extend(other.said);
    }

    /// Holds them against the stories. `wall`: when an instant was, in milliseconds since 1970; `window`: from when to when the kernel was
    /// watched.
    #[must_use]
    pub fn hold(mut self, stories: &Stories, wall: impl Fn(Mono) -> i64, window: (Mono, Mono)) -> Held {
        let zone = self.zone(stories, &wall);
        for said in &mut self.said {
            said.accepted -= zone;
            said.ended -= zone;
        }
        let (from, to) = (wall(window.0), wall(window.1));
        let mut held = Held {
            zone,
            ..Held::default()
        };
        for said in &self.said {
            if said.accepted < from || said.ended + SLACK > to {
                continue;
            }
            held.lines += 1;
            let Some(client) = client_of(said, stories, &wall) else {
                continue;
            };
            held.joined += 1;
            let server = server_of(said, stories, &wall);
            held.with_server += u64::from(server.is_some());
            held.compare(said, client, server, &wall);
        }
        held
    }

    /// By how much the log's clock is ahead: where most lines end with their sockets.
    fn zone(&self, stories: &Stories, wall: &impl Fn(Mono) -> i64) -> i64 {
        const SAMPLE: usize = 2000;
        let mut votes: BTreeMap<i64, u64> = BTreeMap::new();
        for said in self.said.iter().take(SAMPLE) {
            for story in stories.with(Side::Client, said.client) {
                let ahead = said.ended - wall(story.first.1);
                let quarters = (ahead + QUARTER / 2).div_euclid(QUARTER);
                // Fourteen hours are the most there are.
                if quarters.abs() <= 56 && (ahead - quarters * QUARTER).abs() <= 2000 {
                    *votes.entry(quarters).or_default() += 1;
                }
            }
        }
        let best = votes
            .iter()
            .max_by_key(|(quarters, votes)| (**votes, std::cmp::Reverse(quarters.abs())));
        best.map_or(0, |(quarters, _)| quarters * QUARTER)
    }
}

/// The client's socket. Connections between the same addresses follow each other: it is the first that had not ended yet when the session
/// was accepted. One whose beginning wasn't seen is none: another one, not seen at all, may have been before it.
fn client_of<'a>(said: &Said, stories: &'a Stories, wall: &impl Fn(Mono) -> i64) -> Option<&'a Story> {
    let same = |story: &&Story| said.front.is_none_or(|front| story.endpoints.local == front);
    let mut fitting = stories
        .with(Side::Client, said.client)
        .filter(same)
        .filter(|story| there(story, said, wall));
    let first = fitting.next()?;
    // Another one that is known to have begun by then: the clocks don't tell which.
    let another = fitting.any(|story| story.begun.is_some());
    (!another && first.begun.is_some()).then_some(first)
}

/// Whether a socket was there when the session was accepted. The next connection of the same addresses began after this session's end, the
/// one before was gone by then.
fn there(story: &Story, said: &Said, wall: &impl Fn(Mono) -> i64) -> bool {
    const ROUNDED: i64 = 2;
    let begun = story
        .begun
        .is_none_or(|at| wall(at) <= said.accepted + SLACK && wall(at) <= said.ended + ROUNDED);
    let gone = story.gone.map(wall);
    // One that HAProxy itself closed first is not gone long before its session ends.
    let own = matches!(story.first.0, First::HaproxyFin | First::HaproxyReset);
    begun && gone.is_none_or(|at| at >= said.accepted && (!own || at + SLACK >= said.ended))
}

/// The server's socket: by both its addresses where the line has them.
fn server_of<'a>(said: &Said, stories: &'a Stories, wall: &impl Fn(Mono) -> i64) -> Option<&'a Story> {
    let (Some(back), server) = said.server? else {
        return None;
    };
    let mut found = stories
        .with(Side::Server, back)
        .filter(|story| story.endpoints.peer == server && there(story, said, wall));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

impl Held {
    fn compare(&mut self, said: &Said, client: &Story, server: Option<&Story>, wall: &impl Fn(Mono) -> i64) {
        if let Some(gone) = client.gone.map(wall) {
            let after = gone - said.ended;
            if after >= LINGERS {
                let (count, longest) = self.lingered.entry(said.code).or_default();
                *count += 1;
                *longest = (*longest).max(Duration::from_millis(after.unsigned_abs()));
            }
        }
        match contradiction(said, client, server, wall) {
            None => self.agree += 1,
            Some(kernel) => {
                *self.disagree.entry(said.code).or_default() += 1;
                if self.disagreements.len() < LISTED {
                    self.disagreements.push(Disagreement {
                        client: said.client,
                        ended: said.ended,
                        code: said.code,
                        kernel,
                    });
                }
            }
        }
    }
}

/// What the kernel saw that the code doesn't allow.
fn contradiction(
    said: &Said,
    client: &Story,
    server: Option<&Story>,
    wall: &impl Fn(Mono) -> i64,
) -> Option<String> {
    let [cause, phase] = said.code.ending();
    let before_end = |at: Mono| wall(at) + SLACK < said.ended;
    match cause {
        b'C' => match client.first {
            (First::HaproxyFin, at) if client.peer_fin.is_none_or(|fin| wall(fin) > said.ended + SLACK) => {
                Some(format!(
                    "HAProxy closed first, {} ms before the line's end: the client had sent neither FIN nor RST",
                    (said.ended - wall(at)).max(0)
                ))
            }
            (First::HaproxyReset, _) => {
                Some("the first end that the kernel saw on the client's socket was HAProxy's RST".to_owned())
            }
            _ => None,
        },
        b'c' => match client.first {
            (First::PeerFin, at) if phase == b'D' && before_end(at) => {
                Some("the client's FIN had come before: it did not keep HAProxy waiting".to_owned())
            }
            (First::PeerReset, at) if before_end(at) => Some("the client's RST had come before".to_owned()),
            _ => None,
        },
        b'S' if phase == b'D' || phase == b'H' => match server?.first {
            (First::HaproxyFin | First::HaproxyReset, _) => {
                Some("HAProxy closed first: the server had sent neither FIN nor RST".to_owned())
            }
            _ => None,
        },
        b's' if phase == b'D' => match server?.first {
            (First::PeerFin | First::PeerReset, at) if before_end(at) => {
                Some("the server's end had come before: it did not keep HAProxy waiting".to_owned())
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
