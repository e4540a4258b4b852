//! The rows of a story's sweeps: sockets as the next look will find them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hatrace_core::ids::{Cookie, Fd, Netns, Pid};
use hatrace_core::input::{Input, Limits, Sweep};
use hatrace_core::sock::{Claim, Endpoints, Quiet, SockRow, Timer};
use hatrace_core::tcp::{StateSet, TcpState};

use crate::line::{Line, side, span, state};
use crate::world::World;

/// The namespace of stories that don't say.
pub const HOME: u32 = 1;

impl World {
    /// `row A client FIN_WAIT2 fd=9`: a socket as the next sweep will find it.
    pub(crate) fn row(&mut self, line: &Line) -> Result<(), String> {
        let [name, side_name, state_name, ..] = line.words.as_slice() else {
            return Err("a row is NAME SIDE STATE".to_owned());
        };
        let cookie = self.cookie(name);
        if let Some(ends) = given_ends(line, cookie)? {
            self.ends.insert(cookie, ends);
        }
        let timewait = line.has("timewait");
        let fd = line.number("fd", 0)?;
        let claim = match fd {
            0 if line.has("stranger") => Claim::None,
            0 => Claim::Listener,
            fd => Claim::Fd {
                pid: Pid(line.number("pid", 7)?),
                fd: Fd(fd),
            },
        };
        let mut quiet = line.keys.get("quiet").map(|text| text.split(',').map(span));
        let mut next = || quiet.as_mut().and_then(Iterator::next).transpose();
        let quiet = match (next()?, next()?, next()?) {
            (Some(data_sent), Some(data_received), Some(ack_received)) => Some(Quiet {
                data_sent,
                data_received,
                ack_received,
            }),
            _ => None,
        };
        let left = line.span("left")?;
        let (retransmit, probe) = (line.span("retransmit")?, line.span("probe")?);
        self.rows.push(SockRow {
            queues: true,
            cookie,
            timewait,
            state: state(state_name)?,
            claim,
            side: side(side_name)?,
            endpoints: endpoints(&self.ends, cookie),
            netns: Netns(line.number("netns", HOME)?),
            inode: (fd != 0).then_some(u64::from(fd) + 1000),
            orphaned: None,
            unread: line.number("unread", 0)?,
            unacked: line.number("unacked", 0)?,
            retransmits: line.number("retransmits", 0)?,
            timer: match (left, retransmit, probe) {
                (Some(left), _, _) if timewait => Timer::Timewait(left),
                (Some(left), _, _) => Timer::Keepalive(left),
                (_, Some(left), _) => Timer::Retransmit(left),
                (_, _, Some(left)) => Timer::Probe(left),
                (None, None, None) => Timer::None,
            },
            quiet,
            rto: line.span("rto")?,
        });
        Ok(())
    }

    pub(crate) fn sweep(&mut self, line: &Line) -> Result<(), String> {
        let netns = Netns(line.number("netns", HOME)?);
        let overflow = line.keys.get("overflow").map(|text| text.parse());
        let sweep = Sweep {
            netns: vec![netns],
            states: match line.keys.get("states") {
                None => TcpState::ALL.into_iter().collect(),
                Some(names) => names.split(',').map(state).collect::<Result<StateSet, _>>()?,
            },
            took: line.span("took")?.unwrap_or_default(),
            fds: !line.has("no-fds"),
            rows: std::mem::take(&mut self.rows),
            timewait_overflow: overflow.transpose().map_err(|_| "overflow wants a number")?,
            limits: vec![(
                netns,
                Limits {
                    fin_timeout: Some(line.span("fin_timeout")?.unwrap_or(Duration::from_secs(60))),
                    orphan_retries: Some(line.number("orphan_retries", 0)?),
                    retries2: Some(line.number("retries2", 15)?),
                },
            )],
        };
        self.tell(line.at, Input::Sweep(Box::new(sweep)))
    }
}

/// `peer=10.0.0.7:40000 local=10.0.0.1:80`, where a row says.
fn given_ends(line: &Line, cookie: Cookie) -> Result<Option<Endpoints>, String> {
    let address = |key: &str| {
        let text = line.keys.get(key);
        text.map(|text| {
            text.parse::<SocketAddr>()
                .map_err(|_| format!("{key} wants an address"))
        })
        .transpose()
    };
    let (local, peer) = (address("local")?, address("peer")?);
    if local.is_none() && peer.is_none() {
        return Ok(None);
    }
    let usual = endpoints(&BTreeMap::new(), cookie);
    Ok(Some(Endpoints::new(
        local.unwrap_or(usual.local),
        peer.unwrap_or(usual.peer),
    )))
}

/// A socket's addresses: those a row gave it, else ones of its own.
pub fn endpoints(given: &BTreeMap<Cookie, Endpoints>, cookie: Cookie) -> Endpoints {
    let host = u8::try_from(cookie.0 % 250).unwrap_or(0) + 1;
    given.get(&cookie).copied().unwrap_or_else(|| {
        Endpoints::new(
            SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80)),
            SocketAddr::from((Ipv4Addr::new(198, 51, 100, host), 40_000)),
        )
    })
}
