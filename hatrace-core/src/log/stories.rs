//! Every connection's story, by the addresses that tell it from others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::said::Proxies;
use super::story::Story;
use crate::event::Event;
use crate::ids::Cookie;
use crate::input::{Input, Transition};
use crate::life::EndedLife;
use crate::sock::Side;
use crate::tcp::TcpState;
use crate::time::Mono;

/// Stories that are kept at most.
const STORIES: usize = 2_000_000;

/// A story's number: in the order in which they began to be told.
pub(super) type Number = u64;

/// One of them.
#[derive(Clone, Debug)]
struct Kept {
    side: Side,
    cookie: Cookie,
    story: Story,
    /// When it had begun, as it was known at first.
    known: Option<Mono>,
}

impl Kept {
    /// The end whose port tells connections apart: the client's, and HAProxy's own towards servers.
    const fn end(&self) -> (Side, SocketAddr) {
        match self.side {
            Side::Server => (self.side, self.story.endpoints.local),
            _ => (self.side, self.story.endpoints.peer),
        }
    }

    /// Its place among those of its server.
    fn server(&self, number: Number) -> Option<(SocketAddr, Mono, Number)> {
        (self.side == Side::Server).then_some((self.story.endpoints.peer, self.known?, number))
    }
}

/// Every connection's. Of every one only where all were asked for (`-a`).
#[derive(Clone, Debug, Default)]
pub struct Stories {
    all: BTreeMap<Number, Kept>,
    next: Number,
    /// Those of which more may be told: the socket is there, or a timewait in FIN_WAIT2, or whose RST ended it may be told yet.
    unfinished: BTreeMap<Cookie, Number>,
    /// Those whose socket is gone, in that order.
    over: VecDeque<(Mono, Number)>,
    by_end: BTreeSet<(Side, SocketAddr, Number)>,
    /// Those towards servers, by the server and when they began.
    by_server: BTreeSet<(SocketAddr, Mono, Number)>,
    /// What HAProxy was configured with.
    pub proxies: Proxies,
    /// Every connection was asked for.
    pub whole: bool,
    /// Those that there was no room for.
    pub elsewhere: u64,
    /// Records that the ring or the table had no room for: a story may be missing.
    pub lost: u64,
}

impl Stories {
    /// What was seen at `at`.
    pub fn take(&mut self, at: Mono, input: &Input) {
        match input {
            Input::Transition(transition) => self.step(at, transition),
            Input::Ended(ended) => self.ended(ended),
            Input::Configured(_, configuration) => self.proxies.learn(configuration),
            Input::Counts(counts) => {
                let lives = counts.lost.total().saturating_add(counts.table_full.total());
                self.lost = lives.saturating_add(counts.lost_other);
            }
            _ => {}
        }
    }

    fn step(&mut self, at: Mono, transition: &Transition) {
        self.whole = true;
        let Some(cookie) = transition.cookie else { return };
        let begins = transition.to == TcpState::Established && transition.from != TcpState::Established;
        let number = match self.unfinished.get(&cookie) {
            Some(number) => *number,
            None if begins => {
                let story = Story::established(at, transition.endpoints);
                self.add(at, transition.side, cookie, story);
                return;
            }
            // One that was there before.
            None => return,
        };
        if let Some(kept) = self.all.get_mut(&number)
            && kept.story.step(at, transition)
        {
            self.over.push_back((at, number));
        }
    }

    fn ended(&mut self, ended: &EndedLife) {
        let cookie = ended.life.cookie;
        let known = self.unfinished.get(&cookie).copied();
        let number = known.or_else(|| self.add(ended.at, ended.life.side, cookie, Story::of(ended, None)));
        let Some((number, kept)) = number.and_then(|number| Some((number, self.all.get_mut(&number)?)))
        else {
            return;
        };
        let rest = kept.story.rest;
        kept.story = Story::of(ended, kept.story.begun);
        kept.story.rest = rest && kept.story.gone.is_none();
        self.over.push_back((ended.at, number));
        if kept.story.gone.is_some() {
            self.unfinished.remove(&cookie);
        }
    }

    fn add(&mut self, at: Mono, side: Side, cookie: Cookie, story: Story) -> Option<Number> {
        if self.all.len() >= STORIES {
            self.elsewhere += 1;
            return None;
        }
        let kept = Kept {
            side,
            cookie,
            known: story.begun,
            story,
        };
        self.make_room(at, &kept);
        let number = self.next;
        self.next += 1;
        let (side, end) = kept.end();
        self.by_end.insert((side, end, number));
        self.by_server.extend(kept.server(number));
        self.unfinished.insert(cookie, number);
        self.all.insert(number, kept);
        Some(number)
    }

    /// Two connections can't be between the same addresses at once: what was left of the one before is gone.
    fn make_room(&mut self, at: Mono, new: &Kept) {
        let (side, end) = new.end();
        let before: Vec<Number> = self.numbers(side, end).collect();
        for number in before {
            if let Some(Kept { story, cookie, .. }) = self.all.get_mut(&number)
                && story.endpoints == new.story.endpoints
                && story.gone.is_none()
                && story.begun < new.story.begun
            {
                story.gone = Some(new.story.begun.unwrap_or(at));
                story.open = false;
                self.unfinished.remove(cookie);
                self.over.push_back((at, number));
            }
        }
    }

    /// What the engine has told since: of what lingers in FIN_WAIT2, socket or timewait, that it is there, and when it was gone.
    pub fn told(&mut self, events: &[Event]) {
        for event in events {
            let (row, gone) = match event {
                Event::Lingers { row, .. } => (row, None),
                Event::Left { at, row, .. } => (row, Some(*at)),
                Event::Transition { .. } | Event::Process { .. } => continue,
            };
            if row.state == TcpState::FinWait2
                && let Some(number) = self.unfinished.get(&row.cookie)
                && let Some(Kept { story, .. }) = self.all.get_mut(number)
            {
                story.rest = gone.is_none();
                // How a socket ends that is there is told by its record.
                if gone.is_some() && !story.open {
                    story.gone = gone;
                    self.unfinished.remove(&row.cookie);
                }
            }
        }
    }

    /// Forgets those whose socket was gone before that time, and the oldest of them where there are more than so many.
    pub fn forget(&mut self, before: Mono, most: usize) {
        while let Some((at, number)) = self.over.front().copied()
            && (at < before || self.all.len() > most)
        {
            self.over.pop_front();
            let Some(kept) = self.all.remove(&number) else {
                continue;
            };
            if self.unfinished.get(&kept.cookie) == Some(&number) {
                self.unfinished.remove(&kept.cookie);
            }
            let (side, end) = kept.end();
            self.by_end.remove(&(side, end, number));
            if let Some(server) = kept.server(number) {
                self.by_server.remove(&server);
            }
        }
    }

    /// Whether none can be missing.
    pub(super) const fn is_complete(&self) -> bool {
        self.whole && self.lost == 0 && self.elsewhere == 0
    }

    /// Whether there is any of a client, or (on the server's side) from that address of HAProxy's own.
    #[must_use]
    pub fn knows(&self, side: Side, end: SocketAddr) -> bool {
        self.numbers(side, end).next().is_some()
    }

    fn numbers(&self, side: Side, end: SocketAddr) -> impl Iterator<Item = Number> {
        let range = (side, end, Number::MIN)..=(side, end, Number::MAX);
        self.by_end.range(range).map(|(_, _, number)| *number)
    }

    /// Those of a client, or (on the server's side) from that address of HAProxy's own.
    pub(super) fn with(&self, side: Side, end: SocketAddr) -> impl Iterator<Item = (Number, &Story)> {
        self.numbers(side, end)
            .filter_map(|number| Some((number, self.story(number)?)))
    }

    /// Those to a server that began between these moments, as far as that was known at once.
    pub(super) fn towards(
        &self,
        server: SocketAddr,
        from: Mono,
        to: Mono,
    ) -> impl Iterator<Item = (Number, &Story)> {
        let range = (server, from, Number::MIN)..=(server, to.max(from), Number::MAX);
        let found = self.by_server.range(range);
        found.filter_map(|(_, _, number)| Some((*number, self.story(*number)?)))
    }

    /// One of them, unless it was forgotten.
    pub(super) fn story(&self, number: Number) -> Option<&Story> {
        self.all.get(&number).map(|kept| &kept.story)
    }

    /// The first that isn't forgotten.
    pub(super) fn oldest(&self) -> Number {
        self.all.keys().next().copied().unwrap_or(self.next)
    }

    /// How many there are, forgotten ones too.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.next
    }
}
