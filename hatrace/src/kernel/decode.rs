//! Bytes of the kernel half into the engine's words: the only place that knows both vocabularies.
//!
//! Total: bytes that make no sense are a counted gap.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hatrace_common::wire::{self, evidence, flag, kind, process};
use hatrace_core::ids::{Cookie, Fd, FdTable, Netns, Pid};
use hatrace_core::input::{Gap, Input, ProcessChange, Transition};
use hatrace_core::life::{EndedLife, Life, Step};
use hatrace_core::sock::{Endpoints, HeldSock, Side};
use hatrace_core::tcp::TcpState;
use hatrace_core::time::{Mono, Since};

use crate::port::Stamped;

/// What a ring record says: something for the engine, or for the agent's own knowledge of whose sockets are whose.
#[derive(Debug)]
pub enum Decoded {
    /// For the engine.
    Input(Stamped),
    /// An owned process began to listen.
    Listen(wire::Listen),
    /// A process of HAProxy's began, ended, or became something else.
    Process(wire::Process),
}

/// A type of the wire that any bytes of its size make.
///
/// # Safety
/// No padding, no invalid bit patterns: the types of `hatrace_common::wire`, whose sizes are asserted there.
unsafe trait Wire: Copy {}
// SAFETY: integers and arrays of integers, without padding.
unsafe impl Wire for wire::LifeEnd {}
// SAFETY: as above.
unsafe impl Wire for wire::Transition {}
// SAFETY: as above.
unsafe impl Wire for wire::Process {}
// SAFETY: as above.
unsafe impl Wire for wire::Evidence {}
// SAFETY: as above.
unsafe impl Wire for wire::Listen {}
// SAFETY: as above.
unsafe impl Wire for wire::FileRow {}

fn read<T: Wire>(bytes: &[u8]) -> Option<T> {
    // SAFETY: at least the type's size of bytes, any of which make one.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// The rows of a reading of the fd iterator; a torn last one is dropped.
pub fn file_rows(bytes: &[u8]) -> impl Iterator<Item = wire::FileRow> {
    bytes.chunks_exact(size_of::<wire::FileRow>()).filter_map(read)
}

/// A row of that reading as a socket somebody holds.
#[must_use]
pub fn held(pid: Pid, table: FdTable, row: &wire::FileRow) -> Option<HeldSock> {
    Some(HeldSock {
        pid,
        table,
        fd: Fd(row.fd),
        cookie: Cookie(row.cookie),
        state: TcpState::from_kernel(row.state)?,
        side: side(row.side),
        endpoints: endpoints(&row.ends),
        netns: Netns(row.netns),
    })
}

/// A ring record. `now` stamps what carries no time of its own.
#[must_use]
pub fn record(bytes: &[u8], now: Mono) -> Decoded {
    known(bytes).unwrap_or(Decoded::Input((
        now,
        Input::Gap(Gap::Malformed { length: bytes.len() }),
    )))
}

fn known(bytes: &[u8]) -> Option<Decoded> {
    let input = match u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) {
        kind::LIFE_END => life_end(&read(bytes)?)?,
        kind::TRANSITION => transition(&read(bytes)?)?,
        kind::EVIDENCE => evidence(&read(bytes)?)?,
        kind::PROCESS => return Some(Decoded::Process(read(bytes)?)),
        kind::LISTEN => return Some(Decoded::Listen(read(bytes)?)),
        _ => return None,
    };
    Some(Decoded::Input(input))
}

fn life_end(end: &wire::LifeEnd) -> Option<Stamped> {
    let at = Mono::from_ns(end.at);
    let from = TcpState::from_kernel(end.from)?;
    let ended = EndedLife {
        life: life(&end.life, at)?,
        at,
        from,
        sk_err: u16::try_from(end.sk_err).ok()?,
        dead: end.dead != 0,
        done: end.done != 0,
        unaccepted: end.unaccepted != 0,
        endpoints: endpoints(&end.ends),
        unread: end.unread,
        unacked: end.unacked,
    };
    Some((at, Input::Ended(Box::new(ended))))
}

fn transition(told: &wire::Transition) -> Option<Stamped> {
    let transition = Transition {
        cookie: (told.cookie != 0).then_some(Cookie(told.cookie)),
        side: side(told.side),
        from: TcpState::from_kernel(told.from)?,
        to: TcpState::from_kernel(told.to)?,
        endpoints: endpoints(&told.ends),
        pid: (told.own != 0 && told.tgid != 0).then_some(Pid(told.tgid)),
        sk_err: match TcpState::from_kernel(told.to)? {
            TcpState::Close => u16::try_from(told.sk_err).ok(),
            _ => None,
        },
    };
    Some((Mono::from_ns(told.at), Input::Transition(transition)))
}

fn evidence(told: &wire::Evidence) -> Option<Stamped> {
    let cookie = Cookie(told.cookie);
    let input = match told.what {
        evidence::NO_TIMEWAIT => Input::NoTimewait(cookie),
        evidence::TIMEWAIT_ENDED => Input::TimewaitEnded(cookie),
        _ => return None,
    };
    Some((Mono::from_ns(told.at), input))
}

/// What a process record means to the engine.
#[must_use]
pub fn process_change(told: &wire::Process) -> Stamped {
    let pid = Pid(told.tgid);
    let change = if told.what == process::BORN {
        ProcessChange::Born {
            pid,
            parent: Pid(told.parent),
        }
    } else {
        ProcessChange::Ended { pid }
    };
    (Mono::from_ns(told.at), Input::Process(change))
}

/// A record of the table, as it stood at `now`. `None`: no state the engine knows.
#[must_use]
pub fn life(told: &wire::Life, now: Mono) -> Option<Life> {
    let adopted = told.flags & flag::ADOPTED != 0;
    let mono = |ns: u64| (ns != 0).then(|| Mono::from_ns(ns));
    let state = TcpState::from_kernel(told.state);
    let closing = match told.first {
        // Found connecting: it began at some time before now, as a closing one.
        0 if adopted && told.connecting == 0 && state == Some(TcpState::SynSent) => Some(Step {
            state: TcpState::SynSent,
            at: Since::Before(now),
        }),
        0 => None,
        first => Some(Step {
            state: TcpState::from_kernel(first)?,
            // Found in it: it began at some time before now.
            at: mono(told.closing).map_or(Since::Before(now), Since::Exact),
        }),
    };
    let second = match mono(told.second) {
        None => None,
        Some(at) => Some(Step {
            state: state?,
            at: Since::Exact(at),
        }),
    };
    Some(Life {
        cookie: Cookie(told.cookie),
        side: side(told.side),
        netns: Netns(told.netns),
        pid: (told.tgid != 0).then_some(Pid(told.tgid)),
        connecting_at: mono(told.connecting),
        established_at: mono(told.established),
        closing,
        second,
        orphaned_at: mono(told.orphaned),
        retransmits: u32::from(told.retransmits),
        reset_sent: told.flags & flag::RESET_OUT != 0,
        adopted,
    })
}

/// A side by its number on the wire.
#[must_use]
pub const fn side(number: u8) -> Side {
    match number {
        wire::side::CLIENT => Side::Client,
        wire::side::SERVER => Side::Server,
        wire::side::CONTROL => Side::Control,
        _ => Side::Unknown,
    }
}

/// A side's number on the wire.
#[must_use]
pub const fn side_number(side: Side) -> u8 {
    match side {
        Side::Client => wire::side::CLIENT,
        Side::Server => wire::side::SERVER,
        Side::Control => wire::side::CONTROL,
        Side::Unknown => wire::side::UNKNOWN,
    }
}

/// Both ends, v4-mapped addresses folded.
#[must_use]
pub fn endpoints(ends: &wire::Ends) -> Endpoints {
    const AF_INET: u16 = 2;
    let address = |bytes: &[u8; 16]| {
        if ends.family == AF_INET {
            IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
        } else {
            IpAddr::V6(Ipv6Addr::from(*bytes))
        }
    };
    Endpoints::new(
        SocketAddr::new(address(&ends.local), ends.local_port),
        SocketAddr::new(address(&ends.peer), ends.peer_port),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<T: Wire>(value: &T) -> Vec<u8> {
        // SAFETY: a wire type has no padding.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) }.to_vec()
    }

    fn sample() -> wire::LifeEnd {
        let life = wire::Life {
            cookie: 42,
            closing: 1_000,
            second: 2_000,
            tgid: 7,
            netns: 9,
            state: 5,
            first: 4,
            ..wire::Life::default()
        };
        let mut ends = wire::Ends {
            family: 10,
            local_port: 443,
            peer_port: 5000,
            ..wire::Ends::default()
        };
        ends.peer[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 7]);
        wire::LifeEnd {
            kind: kind::LIFE_END,
            from: 5,
            dead: 1,
            done: 0,
            unaccepted: 0,
            at: 3_000,
            life,
            ends,
            unread: 1,
            unacked: 2,
            sk_err: 0,
            zero: 0,
        }
    }

    #[test]
    fn a_life_end_is_what_it_says() {
        let Decoded::Input((at, Input::Ended(ended))) = record(&bytes_of(&sample()), Mono::from_ns(9)) else {
            panic!("not an ended life")
        };
        assert_eq!(at, Mono::from_ns(3_000));
        assert_eq!(ended.endpoints.peer.to_string(), "10.0.0.7:5000");
        assert_eq!(ended.life.second.map(|step| step.state), Some(TcpState::FinWait2));
        assert_eq!(ended.ending(), hatrace_core::life::Ending::HandedFinWait2);
    }

    #[test]
    fn any_bytes_decode_to_something() {
        let whole = bytes_of(&sample());
        for cut in 0..whole.len() {
            let _ = record(&whole[..cut], Mono::from_ns(1));
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0xff;
            let _ = record(&broken, Mono::from_ns(1));
        }
        let nonsense = record(&[0xff; 64], Mono::from_ns(1));
        assert!(matches!(
            nonsense,
            Decoded::Input((_, Input::Gap(Gap::Malformed { length: 64 })))
        ));
    }

    #[test]
    fn an_adopted_life_has_no_exact_beginning() {
        let told = wire::Life {
            cookie: 1,
            first: 5,
            state: 5,
            flags: flag::ADOPTED,
            ..wire::Life::default()
        };
        let life = life(&told, Mono::from_ns(100)).expect("a life");
        assert_eq!(
            life.closing.map(|step| step.at),
            Some(Since::Before(Mono::from_ns(100)))
        );
    }
}
