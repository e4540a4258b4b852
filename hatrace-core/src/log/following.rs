//! Lines held against the kernel as both come: each is told of once its sockets have had the time to be seen, and again if they outlive it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::beside::{Saw, contradiction};
use super::entry::Entry;
use super::held::{Held, Zone, may_outlive, outlived};
use super::join::{Joined, Kernel, join};
use super::said::Said;
use super::stories::{Number, Stories};
use crate::sock::Side;
use crate::time::Mono;

/// So long a line waits at least: what the kernel saw comes by another way than the log.
const PATIENCE: Duration = Duration::from_millis(700);
/// So long a line without its client's socket waits for it.
const MOST: Duration = Duration::from_secs(4);
/// Lines that wait, or whose sockets are watched on, at most.
const WAITING: usize = 100_000;

/// What became of a line. `T`: what it was taken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<T> {
    /// Its session's sockets, as far as they were seen.
    Line {
        /// What it was taken with.
        with: T,
        /// What the kernel saw of the client's, and of the server's.
        sockets: (Option<Saw>, Option<Saw>),
        /// What the code doesn't allow of that.
        contradiction: Option<String>,
    },
    /// A socket of its was gone, or is there still at the end, so long after it.
    Outlived {
        /// What it was taken with.
        with: T,
        /// Which.
        side: Side,
        /// By how much.
        after: Duration,
        /// It is there still.
        open: bool,
    },
}

/// Lines that are followed.
#[derive(Clone, Debug)]
pub struct Following<T> {
    waiting: Vec<(Mono, Said, T)>,
    /// Lines that wait for nothing.
    ready: Vec<Told<T>>,
    /// Lines that were told of, whose sockets were there still.
    outliving: Vec<(Said, Side, Number, T)>,
    /// Sockets that are a line's already.
    taken: BTreeSet<Number>,
    zone: Zone,
    began: Mono,
    /// What it comes to so far.
    pub held: Held,
}

impl<T: Clone> Following<T> {
    /// Since then the kernel is watched.
    #[must_use]
    pub fn new(began: Mono) -> Self {
        Self {
            waiting: Vec::new(),
            ready: Vec::new(),
            outliving: Vec::new(),
            taken: BTreeSet::new(),
            zone: Zone::default(),
            began,
            held: Held::default(),
        }
    }

    /// A line that has come just now.
    pub fn take(&mut self, now: Mono, entry: &Entry<'_>, stories: &Stories, with: T) {
        match Said::of(entry, &stories.proxies) {
            Some(said) if self.waiting.len() < WAITING => self.waiting.push((now, said, with)),
            // None to be held against anything.
            _ => self.ready.push(Told::Line {
                with,
                sockets: (None, None),
                contradiction: None,
            }),
        }
    }

    /// What can be told by now. `end`: nothing more will come.
    pub fn step(
        &mut self,
        now: Mono,
        stories: &Stories,
        wall: impl Fn(Mono) -> i64,
        end: bool,
    ) -> Vec<Told<T>> {
        let mut told = std::mem::take(&mut self.ready);
        told.extend(self.gone(stories, &wall, None));
        if end || self.waiting.iter().any(|(came, ..)| now.since(*came) >= PATIENCE) {
            self.settle(now, stories, &wall, end, &mut told);
        }
        if end {
            told.extend(self.gone(stories, &wall, Some(wall(now))));
        }
        let oldest = stories.oldest();
        self.taken = self.taken.split_off(&oldest);
        told
    }

    fn settle(
        &mut self,
        now: Mono,
        stories: &Stories,
        wall: &impl Fn(Mono) -> i64,
        end: bool,
        told: &mut Vec<Told<T>>,
    ) {
        let said: Vec<Said> = self.waiting.iter().map(|(_, said, _)| *said).collect();
        self.zone.vote(&said, stories, wall);
        let zone = self.zone.ahead();
        self.held.zone = zone;
        let said: Vec<Said> = said.iter().map(|said| said.by_utc(zone)).collect();
        let kernel = Kernel {
            stories,
            wall,
            free: |number| !self.taken.contains(&number),
        };
        let joined = join(&said, &kernel);
        let from = wall(self.began);
        let mut waiting = Vec::new();
        let lines = std::mem::take(&mut self.waiting);
        for ((line, said), joined) in lines.into_iter().zip(said).zip(joined) {
            let (came, original, with) = line;
            let waits = match said.client {
                _ if end || said.accepted < from => Duration::ZERO,
                Some(_) if joined.client.is_none() => MOST,
                _ => PATIENCE,
            };
            if now.since(came) < waits {
                waiting.push((came, original, with));
            } else {
                told.push(self.line(&said, joined, with, stories, wall, from));
            }
        }
        self.waiting = waiting;
    }

    fn line(
        &mut self,
        said: &Said,
        joined: Joined,
        with: T,
        stories: &Stories,
        wall: &impl Fn(Mono) -> i64,
        from: i64,
    ) -> Told<T> {
        if said.accepted < from {
            return Told::Line {
                with,
                sockets: (None, None),
                contradiction: None,
            };
        }
        self.taken.extend(joined.client.filter(|_| !said.request));
        for (side, number) in [(Side::Client, joined.client), (Side::Server, joined.server)] {
            if let Some(number) = number
                && self.outliving.len() < WAITING
                && stories
                    .story(number)
                    .is_some_and(|story| may_outlive(said, story, wall))
            {
                self.outliving.push((*said, side, number, with.clone()));
            }
        }
        self.held.count(said, joined, stories, wall);
        let socket = |number: Option<_>| number.and_then(|number| stories.story(number));
        let (client, server) = (socket(joined.client), socket(joined.server));
        Told::Line {
            with,
            sockets: (
                client.map(|story| Saw::of(story, said.ended, wall)),
                server.map(|story| Saw::of(story, said.ended, wall)),
            ),
            contradiction: contradiction(said, client, server, wall),
        }
    }

    /// Those whose sockets were there after their lines.
    fn gone(&mut self, stories: &Stories, wall: &impl Fn(Mono) -> i64, to: Option<i64>) -> Vec<Told<T>> {
        let mut told = Vec::new();
        for (said, side, number, with) in std::mem::take(&mut self.outliving) {
            let Some(story) = stories.story(number) else {
                continue;
            };
            if story.gone.is_none() && to.is_none() {
                self.outliving.push((said, side, number, with));
            } else if let Some((after, open)) = outlived(&said, story, wall, to.unwrap_or(i64::MAX)) {
                self.held.lingers(said.code, side, after, open);
                told.push(Told::Outlived {
                    with,
                    side,
                    after,
                    open,
                });
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, connection, line, step, wall};
    use super::*;
    use crate::tcp::TcpState;

    type Sockets = (Option<Saw>, Option<Saw>);

    fn sockets(told: &Told<&str>) -> (String, Sockets) {
        match told {
            Told::Line { with, sockets, .. } => ((*with).to_owned(), *sockets),
            Told::Outlived { with, .. } => panic!("{with} outlived"),
        }
    }

    #[test]
    fn a_line_waits_for_its_socket_and_is_told_again_when_that_outlives_it() {
        let mut stories = Stories::default();
        let mut following = Following::new(at(500));
        // The line comes before the kernel's word, which a busy ring has delayed.
        following.take(at(2000), &line(1000, 1000, b"CD"), &stories, "reset");
        assert_eq!(following.step(at(2600), &stories, wall, false), []);
        connection(
            &mut stories,
            1,
            Some(1000),
            (TcpState::Established, 2000),
            (TcpState::Established, 2000, 104),
        );
        let told = following.step(at(2800), &stories, wall, false);
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            sockets(&told[0]),
            ("reset".to_owned(), (Some(Saw::PeerReset), None))
        );

        // The next of the same address lingers; one that nobody has seen is told of without sockets, in the end.
        connection(
            &mut stories,
            2,
            Some(3000),
            (TcpState::FinWait1, 4000),
            (TcpState::FinWait2, 9000, 0),
        );
        following.take(at(4000), &line(3000, 1000, b"--"), &stories, "lingers");
        let mut unseen = line(3000, 1000, b"--");
        unseen.client_port = Some(1);
        following.take(at(4000), &unseen, &stories, "unseen");
        let told = following.step(at(4900), &stories, wall, false);
        assert_eq!(
            sockets(&told[0]),
            ("lingers".to_owned(), (Some(Saw::HaproxyFinAlone), None))
        );
        assert_eq!(told.len(), 1, "{told:?}");
        let told = following.step(at(8100), &stories, wall, false);
        let outlived = Told::Outlived {
            with: "lingers",
            side: Side::Client,
            after: Duration::from_secs(5),
            open: false,
        };
        assert_eq!(told[0], outlived);
        assert_eq!(sockets(&told[1]), ("unseen".to_owned(), (None, None)));
        let held = &following.held;
        assert_eq!((held.lines, held.joined, held.agree), (3, 2, 2));
    }

    #[test]
    fn what_is_there_at_the_end_is_said() {
        let mut stories = Stories::default();
        let mut following = Following::new(at(500));
        step(&mut stories, 1, 1000, TcpState::SynRecv, TcpState::Established);
        step(&mut stories, 1, 2000, TcpState::Established, TcpState::FinWait1);
        following.take(at(2000), &line(1000, 1000, b"cD"), &stories, "held");
        let told = following.step(at(9000), &stories, wall, true);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(sockets(&told[0]).1, (Some(Saw::HaproxyFinAlone), None));
        let expected = Told::Outlived {
            with: "held",
            side: Side::Client,
            after: Duration::from_secs(7),
            open: true,
        };
        assert_eq!(told[1], expected);
        assert_eq!(following.held.open, 1);
    }
}
