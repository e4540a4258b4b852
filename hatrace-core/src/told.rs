//! What a round of questions brought, and how it is put on tape: of thousands of descriptors few change while HAProxy answers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, Serializer};

use crate::ids::{Fd, FdTable, Pid};
use crate::sock::HeldSock;
use crate::stream::{Detail, FdLine, ServerAddress, Service, Stream};

/// What one round of questions to one process brought, with what the kernel said just before and just after it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Line")]
pub struct Told {
    /// Whom.
    pub pid: Pid,
    /// The sockets it held before the first question.
    pub before: Vec<HeldSock>,
    /// The sockets it held after the last answer. A socket at the same descriptor both times was there all the while.
    pub after: Vec<HeldSock>,
    /// Its streams; `None`: not asked, or the answer didn't come to its end.
    pub streams: Option<Vec<Stream>>,
    /// What it says at length of single streams: those of the sockets that have lingered longest.
    pub details: Vec<Detail>,
    /// Descriptors it was asked about one by one.
    pub asked: BTreeSet<Fd>,
    /// What it says of them.
    pub fds: Vec<FdLine>,
    /// Its servers' addresses, where asked.
    pub servers: Option<Vec<ServerAddress>>,
    /// Its proxies' and servers' figures, where asked.
    pub figures: Option<Vec<Service>>,
}

/// The sockets after the last answer, as a line has them.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum After {
    /// By what has changed.
    Changed {
        /// Descriptors at which there is nothing any more, or another socket.
        gone: Vec<(FdTable, Fd)>,
        /// Sockets that are new there.
        new: Vec<HeldSock>,
    },
    /// All of them.
    All(Vec<HeldSock>),
}

impl After {
    fn of(told: &Told) -> Self {
        let before: BTreeSet<_> = told.before.iter().map(key).collect();
        let after: BTreeSet<_> = told.after.iter().map(key).collect();
        let changed = |held: &&HeldSock, then: &BTreeSet<_>| !then.contains(&key(held));
        let gone = told.before.iter().filter(|held| changed(held, &after));
        let new = told.after.iter().filter(|held| changed(held, &before));
        Self::Changed {
            gone: gone.map(|held| (held.table, held.fd)).collect(),
            new: new.copied().collect(),
        }
    }

    fn from(self, before: &[HeldSock]) -> Vec<HeldSock> {
        match self {
            Self::All(all) => all,
            Self::Changed { gone, new } => {
                let gone: BTreeSet<_> = gone.into_iter().collect();
                let stayed = before
                    .iter()
                    .filter(|held| !gone.contains(&(held.table, held.fd)));
                stayed.copied().chain(new).collect()
            }
        }
    }
}

/// Everything that a line says of a held socket.
fn key(held: &HeldSock) -> impl Ord + use<> {
    let HeldSock {
        pid,
        table,
        fd,
        cookie,
        state,
        side,
        endpoints,
        netns,
    } = *held;
    (table, fd, pid, cookie, state, side, endpoints, netns)
}

/// As it is read.
#[derive(Deserialize)]
struct Line {
    pid: Pid,
    before: Vec<HeldSock>,
    after: After,
    streams: Option<Vec<Stream>>,
    details: Vec<Detail>,
    asked: BTreeSet<Fd>,
    fds: Vec<FdLine>,
    servers: Option<Vec<ServerAddress>>,
    figures: Option<Vec<Service>>,
}

impl From<Line> for Told {
    fn from(line: Line) -> Self {
        Self {
            pid: line.pid,
            after: line.after.from(&line.before),
            before: line.before,
            streams: line.streams,
            details: line.details,
            asked: line.asked,
            fds: line.fds,
            servers: line.servers,
            figures: line.figures,
        }
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        /// As it is written, taking nothing over.
        #[derive(Serialize)]
        struct Line<'a> {
            pid: Pid,
            before: &'a [HeldSock],
            after: After,
            streams: &'a Option<Vec<Stream>>,
            details: &'a [Detail],
            asked: &'a BTreeSet<Fd>,
            fds: &'a [FdLine],
            servers: &'a Option<Vec<ServerAddress>>,
            figures: &'a Option<Vec<Service>>,
        }
        Line {
            pid: self.pid,
            before: &self.before,
            after: After::of(self),
            streams: &self.streams,
            details: &self.details,
            asked: &self.asked,
            fds: &self.fds,
            servers: &self.servers,
            figures: &self.figures,
        }
        .serialize(out)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::ids::{Cookie, Netns};
    use crate::sock::{Endpoints, Side};
    use crate::tcp::TcpState;

    fn held(fd: u32, cookie: u64, state: TcpState) -> HeldSock {
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        HeldSock {
            pid: Pid(7),
            table: FdTable(1),
            fd: Fd(fd),
            cookie: Cookie(cookie),
            state,
            side: Side::Client,
            endpoints: Endpoints::new(at(443), at(50_000)),
            netns: Netns(1),
        }
    }

    #[test]
    fn only_what_has_changed_is_told_again() {
        let established = |fd, cookie| held(fd, cookie, TcpState::Established);
        let told = Told {
            pid: Pid(7),
            before: (0..100).map(|fd| established(fd, u64::from(fd))).collect(),
            after: (1..100)
                .map(|fd| match fd {
                    5 => established(5, 500),
                    6 => held(6, 6, TcpState::CloseWait),
                    fd => established(fd, u64::from(fd)),
                })
                .chain([established(200, 200)])
                .collect(),
            streams: None,
            details: Vec::new(),
            asked: BTreeSet::new(),
            fds: Vec::new(),
            servers: None,
            figures: None,
        };
        let line = serde_json::to_value(&told).unwrap();
        assert_eq!(line["after"]["gone"].as_array().unwrap().len(), 3);
        assert_eq!(line["after"]["new"].as_array().unwrap().len(), 3);
        let sorted = |mut all: Vec<HeldSock>| {
            all.sort_by_key(|held| held.fd.0);
            all
        };
        let read: Told = serde_json::from_value(line.clone()).unwrap();
        assert_eq!(sorted(read.after), told.after);
        assert_eq!(read.before, told.before);
        // As it was written at first.
        let mut old = line;
        old["after"] = serde_json::to_value(&told.after).unwrap();
        let read: Told = serde_json::from_value(old).unwrap();
        assert_eq!(read.after, told.after);
    }
}
