//! What the kernel saw of each connection's end. Of every one only where all were asked for (`-a`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::event::Event;
use crate::ids::Cookie;
use crate::input::{Input, Transition};
use crate::life::{EndedLife, Ending, FirstFin};
use crate::sock::{Endpoints, Side};
use crate::tcp::TcpState;
use crate::time::Mono;

/// Stories that are kept at most.
const STORIES: usize = 2_000_000;

/// Who ended a connection first, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// The peer's FIN.
    PeerFin,
    /// The peer's RST, or silence that the kernel took for the end.
    PeerReset,
    /// HAProxy's FIN.
    HaproxyFin,
    /// HAProxy's RST.
    HaproxyReset,
    /// A RST; whose, was not seen.
    Reset,
    /// A connection that never was: the server refused it, or did not answer.
    NotConnected,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// Between whom.
    pub endpoints: Endpoints,
    /// When it was established, or began to connect, where that was seen.
    pub begun: Option<Mono>,
    /// Who ended it first, and when.
    pub first: (First, Mono),
    /// When the peer's FIN came after HAProxy's own; `None`: it didn't, or when isn't known.
    pub peer_fin: Option<Mono>,
    /// When nothing was left of it but a TIME_WAIT; `None`: it was there to the end.
    pub gone: Option<Mono>,
}

impl Story {
    fn of(ended: &EndedLife, begun: Option<Mono>) -> Self {
        let (life, ending) = (&ended.life, ended.ending());
        let closing = life.closing.map(|step| step.at.latest());
        let first = match (life.first_fin(), ending) {
            (FirstFin::Haproxy, _) => (First::HaproxyFin, closing.unwrap_or(ended.at)),
            (FirstFin::Peer, _) => (First::PeerFin, closing.unwrap_or(ended.at)),
            (FirstFin::None, Ending::NotConnected) => (First::NotConnected, ended.at),
            (FirstFin::None, Ending::ResetByHaproxy | Ending::Aborted) => (First::HaproxyReset, ended.at),
            (FirstFin::None, _) => (First::PeerReset, ended.at),
        };
        let crossed = life.second.filter(|step| step.state == TcpState::Closing);
        let peer_fin = match ending {
            Ending::HandedTimeWait => Some(crossed.map_or(ended.at, |step| step.at.latest())),
            _ => None,
        };
        Self {
            endpoints: ended.endpoints,
            begun: life.established_at.or(life.connecting_at).or(begun),
            first,
            peer_fin: peer_fin.filter(|_| first.0 == First::HaproxyFin),
            // A timewait in FIN_WAIT2 goes on with it.
            gone: (ending != Ending::HandedFinWait2).then_some(ended.at),
        }
    }
}

/// Every connection's.
#[derive(Clone, Debug, Default)]
pub struct Stories {
    all: Vec<Story>,
    /// Those that ended by a RST: their record may come yet, and tell whose it was.
    reset: BTreeMap<Cookie, usize>,
    /// Those of which something is left.
    left: BTreeMap<Cookie, usize>,
    /// When connections that go on were established.
    begun: BTreeMap<Cookie, Mono>,
    /// By the end whose port tells connections apart: the client's, and HAProxy's own towards servers.
    by_end: BTreeMap<(Side, SocketAddr), Vec<usize>>,
    /// Every connection was asked for.
    pub whole: bool,
    /// Those that there was no room for.
    pub elsewhere: u64,
}

impl Stories {
    /// What was seen at `at`.
    pub fn take(&mut self, at: Mono, input: &Input) {
        match input {
            Input::Transition(transition) => {
                self.whole = true;
                let established = transition.to == TcpState::Established;
                let room = self.begun.len() < STORIES;
                if let Some(cookie) = transition.cookie.filter(|_| established && room) {
                    self.begun.insert(cookie, at);
                }
                self.was_reset(at, transition);
            }
            Input::Ended(ended) => self.ended(ended),
            _ => {}
        }
    }

    /// An accepted connection that ends by a RST has no record of its own.
    fn was_reset(&mut self, at: Mono, transition: &Transition) {
        let reset = transition.from == TcpState::Established && transition.to == TcpState::Close;
        let Some(cookie) = transition.cookie.filter(|_| reset) else {
            return;
        };
        if let Some(begun) = self.begun.remove(&cookie) {
            let story = Story {
                endpoints: transition.endpoints,
                begun: Some(begun),
                first: (First::Reset, at),
                peer_fin: None,
                gone: Some(at),
            };
            if let Some(index) = self.add(transition.side, story) {
                self.reset.insert(cookie, index);
            }
        }
    }

    fn add(&mut self, side: Side, story: Story) -> Option<usize> {
        if self.all.len() >= STORIES {
            self.elsewhere += 1;
            return None;
        }
        let index = self.all.len();
        let end = match side {
            Side::Server => story.endpoints.local,
            _ => story.endpoints.peer,
        };
        self.by_end.entry((side, end)).or_default().push(index);
        self.all.push(story);
        Some(index)
    }

    fn ended(&mut self, ended: &EndedLife) {
        let life = &ended.life;
        if let Some(story) = self
            .reset
            .remove(&life.cookie)
            .and_then(|index| self.all.get_mut(index))
        {
            *story = Story::of(ended, story.begun);
            return;
        }
        let begun = self.begun.remove(&life.cookie);
        let story = Story::of(ended, begun);
        let goes_on = story.gone.is_none();
        if let Some(index) = self.add(life.side, story)
            && goes_on
        {
            self.left.insert(life.cookie, index);
        }
    }

    /// What the engine has told since: when the rest of one was gone.
    pub fn told(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Left { at, row, .. } = event
                && row.state == TcpState::FinWait2
                && let Some(story) = self
                    .left
                    .remove(&row.cookie)
                    .and_then(|index| self.all.get_mut(index))
            {
                story.gone = Some(*at);
            }
        }
    }

    /// Whether there is any of that client.
    #[must_use]
    pub fn knows(&self, client: SocketAddr) -> bool {
        self.by_end.contains_key(&(Side::Client, client))
    }

    /// Those of a client, or (on the server's side) from that address of HAProxy's own, in the order in which they ended.
    pub fn with(&self, side: Side, end: SocketAddr) -> impl Iterator<Item = &Story> {
        let indices = self.by_end.get(&(side, end));
        indices
            .into_iter()
            .flatten()
            .filter_map(|index| self.all.get(*index))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }
}
