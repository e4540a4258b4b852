//! The join: which stream holds which socket. By descriptor, and only where the kernel says that the descriptor stood for the same
//! socket before the question and after the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::ids::{Cookie, Fd, FdTable};
use crate::sock::HeldSock;
use crate::stream::{Stream, StreamFd};

/// The sockets of a process that stayed at their descriptors while it was asked.
#[derive(Debug, Default)]
pub(crate) struct Steady<'a> {
    at: BTreeMap<(Fd, FdTable), &'a HeldSock>,
    by_cookie: BTreeMap<Cookie, &'a HeldSock>,
    /// Sockets that came to a descriptor, or left one, meanwhile: what was said of it may be of either.
    moved: BTreeSet<Cookie>,
    tables: usize,
}

impl<'a> Steady<'a> {
    /// What two looks agree on. States are the second's.
    pub(crate) fn between(before: &[HeldSock], after: &'a [HeldSock]) -> Self {
        let place = |held: &HeldSock| (held.fd, held.table);
        let first: BTreeMap<_, Cookie> = before.iter().map(|held| (place(held), held.cookie)).collect();
        let last: BTreeMap<_, &HeldSock> = after.iter().map(|held| (place(held), held)).collect();
        let tables: BTreeSet<FdTable> = before.iter().chain(after).map(|held| held.table).collect();
        let at: BTreeMap<_, _> = last
            .into_iter()
            .filter(|(place, held)| first.get(place) == Some(&held.cookie))
            .collect();
        let stayed = |held: &&HeldSock| at.get(&place(held)).map(|now| now.cookie) == Some(held.cookie);
        let moved = before.iter().chain(after).filter(|held| !stayed(held));
        let moved = moved.map(|held| held.cookie).collect();
        Self {
            by_cookie: at.values().map(|held| (held.cookie, *held)).collect(),
            at,
            moved,
            tables: tables.len(),
        }
    }

    /// Whether a socket changed its descriptor meanwhile, or had one at one look alone.
    pub(crate) fn moved(&self, cookie: Cookie) -> bool {
        self.moved.contains(&cookie)
    }

    /// Every socket that stayed.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &'a HeldSock> {
        self.at.values().copied()
    }

    /// One that stayed.
    pub(crate) fn socket(&self, cookie: Cookie) -> Option<&'a HeldSock> {
        self.by_cookie.get(&cookie).copied()
    }

    /// The socket at a descriptor. Where each thread group has a table of its own and HAProxy doesn't say which it means, the peer's
    /// address decides, or nothing does.
    pub(crate) fn find(&self, fd: StreamFd, peer: Option<SocketAddr>) -> Option<&'a HeldSock> {
        let group = fd.group.filter(|_| self.tables > 1);
        let mut candidates = self
            .at
            .range((fd.fd, FdTable(0))..=(fd.fd, FdTable(u32::MAX)))
            .map(|(_, held)| *held)
            .filter(|held| group.is_none_or(|group| held.table == group));
        let (first, more) = (candidates.next()?, candidates.next());
        if more.is_none() {
            return Some(first);
        }
        let mut by_peer = self
            .at
            .range((fd.fd, FdTable(0))..=(fd.fd, FdTable(u32::MAX)))
            .map(|(_, held)| *held)
            .filter(|held| Some(held.endpoints.peer) == peer);
        let found = by_peer.next()?;
        by_peer.next().is_none().then_some(found)
    }
}

/// Which sockets the streams of one answer hold.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The streams, by their place in the answer, that have this socket on the client's side.
    pub(crate) front: BTreeMap<Cookie, Vec<usize>>,
    /// On the server's.
    pub(crate) back: BTreeMap<Cookie, Vec<usize>>,
    /// Each stream's two sockets.
    pub(crate) ends: Vec<(Option<Cookie>, Option<Cookie>)>,
}

/// One socket's streams, or why there is no telling.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim<'a> {
    /// Held by these, on the client's side (`front`) or the server's. Several: a multiplexed connection.
    Streams {
        /// Which.
        streams: &'a [usize],
        /// On which side.
        front: bool,
    },
    /// No stream has it.
    None,
    /// Streams that can't share a socket both say that they have it.
    Contradiction,
}

impl Claims {
    /// Of all streams.
    pub(crate) fn of(streams: &[Stream], steady: &Steady<'_>) -> Self {
        let mut claims = Self::default();
        for (index, stream) in streams.iter().enumerate() {
            let front = stream
                .front
                .fd
                .and_then(|fd| steady.find(fd, stream.source))
                .map(|held| held.cookie);
            let back = stream
                .back
                .fd
                .and_then(|fd| steady.find(fd, None))
                .map(|held| held.cookie);
            if let Some(cookie) = front {
                claims.front.entry(cookie).or_default().push(index);
            }
            if let Some(cookie) = back {
                claims.back.entry(cookie).or_default().push(index);
            }
            claims.ends.push((front, back));
        }
        claims
    }

    /// What the streams say of one socket. The streams of one connection have one client and one frontend, or one server.
    pub(crate) fn on(&self, cookie: Cookie, streams: &[Stream]) -> Claim<'_> {
        let agree = |indices: &[usize], same: &dyn Fn(&Stream, &Stream) -> bool| {
            let mut told = indices.iter().filter_map(|&index| streams.get(index));
            told.next()
                .is_some_and(|first| told.all(|other| same(first, other)))
        };
        match (self.front.get(&cookie), self.back.get(&cookie)) {
            (None, None) => Claim::None,
            (Some(front), None)
                if agree(front, &|one, two| {
                    one.frontend == two.frontend && one.source == two.source
                }) =>
            {
                Claim::Streams {
                    streams: front,
                    front: true,
                }
            }
            (None, Some(back))
                if agree(back, &|one, two| {
                    one.backend == two.backend && one.server == two.server
                }) =>
            {
                Claim::Streams {
                    streams: back,
                    front: false,
                }
            }
            _ => Claim::Contradiction,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::{Netns, Pid, SessionPtr};
    use crate::sock::{Endpoints, Side};
    use crate::stream::StreamEnd;
    use crate::tcp::TcpState;

    fn held(table: u32, fd: u32, cookie: u64) -> HeldSock {
        let port = u16::try_from(40_000 + cookie).unwrap_or(0);
        HeldSock {
            pid: Pid(1),
            table: FdTable(table),
            fd: Fd(fd),
            cookie: Cookie(cookie),
            state: TcpState::CloseWait,
            side: Side::Client,
            endpoints: Endpoints::new(
                SocketAddr::from(([192, 0, 2, 1], 443)),
                SocketAddr::from(([10, 0, 0, 7], port)),
            ),
            netns: Netns(1),
        }
    }

    fn fd(group: Option<u32>, fd: u32) -> StreamFd {
        StreamFd {
            group: group.map(FdTable),
            fd: Fd(fd),
        }
    }

    fn stream(ptr: u64, front: u32, back: u32, cookie: u64) -> Stream {
        let end = |number| StreamEnd {
            fd: Some(fd(None, number)),
            ..StreamEnd::default()
        };
        Stream {
            connect_expires: crate::stream::Expiry::Unknown,
            ptr: SessionPtr(ptr),
            source: Some(held(1, front, cookie).endpoints.peer),
            frontend: Some(Arc::from("fe")),
            backend: Some(Arc::from("be")),
            server: Some(Arc::from("s1")),
            age: None,
            front: end(front),
            back: end(back),
        }
    }

    #[test]
    fn a_socket_that_stayed_is_joined_and_one_that_moved_is_not() {
        let before = [held(1, 10, 1), held(1, 11, 2), held(1, 12, 3)];
        // The second socket's descriptor is another socket by now.
        let after = [held(1, 10, 1), held(1, 11, 9), held(1, 12, 3)];
        let steady = Steady::between(&before, &after);
        let streams = [stream(0xa, 10, 12, 1), stream(0xb, 11, 13, 2)];
        let claims = Claims::of(&streams, &steady);
        assert_eq!(
            claims.on(Cookie(1), &streams),
            Claim::Streams {
                streams: &[0],
                front: true
            }
        );
        assert_eq!(
            claims.on(Cookie(3), &streams),
            Claim::Streams {
                streams: &[0],
                front: false
            }
        );
        for cookie in [2, 9] {
            assert!(steady.moved(Cookie(cookie)));
            assert_eq!(claims.on(Cookie(cookie), &streams), Claim::None);
        }
    }

    #[test]
    fn streams_of_one_connection_agree_and_others_contradict() {
        let all = [held(1, 10, 1), held(1, 12, 3)];
        let steady = Steady::between(&all, &all);
        let mut streams = vec![stream(0xa, 10, 12, 1), stream(0xb, 10, 13, 1)];
        let claims = Claims::of(&streams, &steady);
        assert_eq!(
            claims.on(Cookie(1), &streams),
            Claim::Streams {
                streams: &[0, 1],
                front: true
            }
        );
        streams[1].frontend = Some(Arc::from("other"));
        assert_eq!(claims.on(Cookie(1), &streams), Claim::Contradiction);
        // One stream's client is another's server: it can't be both.
        let streams = [stream(0xa, 10, 12, 1), stream(0xb, 12, 10, 3)];
        let claims = Claims::of(&streams, &steady);
        assert_eq!(claims.on(Cookie(1), &streams), Claim::Contradiction);
    }

    #[test]
    fn a_table_for_each_thread_group() {
        let all = [held(1, 10, 1), held(2, 10, 2), held(1, 11, 3)];
        let steady = Steady::between(&all, &all);
        let cookie = |fd, peer| steady.find(fd, peer).map(|held| held.cookie.0);
        assert_eq!(cookie(fd(Some(1), 10), None), Some(1));
        assert_eq!(cookie(fd(Some(2), 10), None), Some(2));
        assert_eq!(cookie(fd(Some(3), 10), None), None);
        // An older form of the line, that doesn't say which: the peer decides, or nothing does.
        assert_eq!(cookie(fd(None, 10), None), None);
        assert_eq!(cookie(fd(None, 10), Some(all[1].endpoints.peer)), Some(2));
        assert_eq!(cookie(fd(None, 11), None), Some(3));
        // One table for all: 3.5 names the group of the thread all the same.
        let shared = [held(1, 10, 1)];
        let steady = Steady::between(&shared, &shared);
        assert_eq!(
            steady.find(fd(Some(2), 10), None).map(|held| held.cookie.0),
            Some(1)
        );
    }
}
