//! Healthy populations, at random: nobody is ever accused with certainty, whenever one looks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hatrace_core::ids::{Cookie, Fd, Netns, Pid};
use hatrace_core::input::{Input, Limits, Sweep};
use hatrace_core::life::{EndedLife, Life, Step};
use hatrace_core::sock::{Claim, Endpoints, Quiet, Side, SockRow, Timer};
use hatrace_core::tcp::{StateSet, TcpState};
use hatrace_core::time::{Mono, Since};
use hatrace_core::verdicts::{By, Confidence, Responsible};
use hatrace_core::{Engine, Settings};
use proptest::prelude::*;

const HOME: Netns = Netns(1);

/// How a healthy connection ends.
#[derive(Clone, Copy, Debug)]
enum Healthy {
    /// The peer takes a while to close after HAProxy has shut its half.
    ClosesLate(Duration),
    /// HAProxy closes; the kernel keeps a timewait until the peer closes, or its timeout.
    Orphaned(Duration),
    /// The peer goes on sending on its half.
    AtWork(Duration),
    /// A packet or two are lost, then the FIN is acknowledged.
    Lossy(Duration),
    /// The peer has closed; HAProxy follows after a while.
    Served(Duration),
}

#[derive(Clone, Copy, Debug)]
struct One {
    how: Healthy,
    side: Side,
    peer: u8,
    begins: Duration,
}

fn at(since: Duration) -> Mono {
    Mono::from_ns(1_000_000_000_000).plus(since)
}

impl One {
    fn cookie(index: usize) -> Cookie {
        Cookie(index as u64 + 1)
    }

    fn ends(&self, index: usize) -> Endpoints {
        let port = 10_000 + u16::try_from(index).unwrap();
        Endpoints::new(
            SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 443)),
            SocketAddr::from((Ipv4Addr::new(10, 0, 0, self.peer), port)),
        )
    }

    fn lasts(&self) -> Duration {
        match self.how {
            Healthy::ClosesLate(long)
            | Healthy::Orphaned(long)
            | Healthy::AtWork(long)
            | Healthy::Lossy(long)
            | Healthy::Served(long) => long,
        }
    }

    /// The states it passes: the first at its beginning, the second right after.
    fn states(&self) -> (TcpState, Option<TcpState>) {
        match self.how {
            Healthy::ClosesLate(_) | Healthy::Orphaned(_) | Healthy::AtWork(_) => {
                (TcpState::FinWait1, Some(TcpState::FinWait2))
            }
            Healthy::Lossy(_) => (TcpState::FinWait1, None),
            Healthy::Served(_) => (TcpState::CloseWait, None),
        }
    }

    fn life(&self, index: usize) -> Life {
        let (first, second) = self.states();
        let step = |state, after: u64| Step {
            state,
            at: Since::Exact(at(self.begins + Duration::from_micros(after))),
        };
        let orphaned = matches!(self.how, Healthy::Orphaned(_));
        Life {
            cookie: One::cookie(index),
            side: self.side,
            netns: HOME,
            pid: Some(Pid(7)),
            connecting_at: None,
            established_at: None,
            closing: Some(step(first, 0)),
            second: second.map(|state| step(state, 300)),
            orphaned_at: orphaned.then(|| at(self.begins)),
            retransmits: u32::from(matches!(self.how, Healthy::Lossy(_))),
            reset_sent: false,
            adopted: false,
        }
    }

    fn row(&self, index: usize, now: Duration) -> SockRow {
        let (first, second) = self.states();
        let timewait = matches!(self.how, Healthy::Orphaned(_));
        let age = now.saturating_sub(self.begins);
        let heard = match self.how {
            Healthy::AtWork(_) => Duration::from_millis(700).min(age),
            _ => age + Duration::from_millis(10),
        };
        SockRow {
            queues: true,
            cookie: One::cookie(index),
            timewait,
            state: second.unwrap_or(first),
            claim: if timewait {
                Claim::Listener
            } else {
                Claim::Fd {
                    pid: Pid(7),
                    fd: Fd(u32::try_from(index).unwrap() + 10),
                }
            },
            side: self.side,
            endpoints: self.ends(index),
            netns: HOME,
            inode: (!timewait).then_some(index as u64 + 100),
            orphaned: Some(timewait),
            unread: 0,
            unacked: u32::from(matches!(self.how, Healthy::Lossy(_))),
            retransmits: u8::from(matches!(self.how, Healthy::Lossy(_))),
            timer: if timewait {
                Timer::Timewait(Duration::from_secs(60).saturating_sub(age))
            } else {
                Timer::None
            },
            quiet: (!timewait).then_some(Quiet {
                data_sent: age + Duration::from_millis(10),
                data_received: heard,
                ack_received: heard,
            }),
            rto: Some(Duration::from_millis(204)),
        }
    }

    fn ended(&self, index: usize) -> EndedLife {
        let (first, second) = self.states();
        EndedLife {
            life: self.life(index),
            at: at(self.begins + self.lasts()),
            from: second.unwrap_or(first),
            sk_err: 0,
            dead: matches!(self.how, Healthy::Lossy(_)),
            done: true,
            unaccepted: false,
            endpoints: self.ends(index),
            unread: 0,
            unacked: 0,
        }
    }
}

prop_compose! {
    fn one()(kind in 0u8..5, length in 1u64..=1000, side: bool, peer in 1u8..4, begins in 0u64..60_000) -> One {
        let within = |most_ms: u64| Duration::from_millis(most_ms * length / 1000);
        One {
            how: match kind {
                0 => Healthy::ClosesLate(within(9_000)),
                1 => Healthy::Orphaned(within(60_000)),
                2 => Healthy::AtWork(within(70_000)),
                3 => Healthy::Lossy(within(2_400)),
                _ => Healthy::Served(within(20_000)),
            },
            side: if side { Side::Client } else { Side::Server },
            peer,
            begins: Duration::from_millis(begins),
        }
    }
}

fn engine() -> Engine {
    let settings = Settings {
        min: Duration::from_secs(1),
        max_lives: 10_000,
        polled: false,
        exact_timewaits: false,
        by: By::Peer,
        sessions: false,
    };
    Engine::new(settings, at(Duration::ZERO))
}

/// What goes on at `now`, as the kernel half and a sweep tell it.
fn tell(engine: &mut Engine, population: &[One], before: Duration, now: Duration) {
    let there = |one: &One| one.begins <= now && now < one.begins + one.lasts();
    for (index, one) in population.iter().enumerate() {
        let over = one.begins + one.lasts();
        let orphaned = matches!(one.how, Healthy::Orphaned(_));
        // What the kernel half told of as open, and what began and ended between two looks.
        if !orphaned && before < over && over <= now {
            engine.handle(at(over), Input::Ended(Box::new(one.ended(index))));
        }
        if orphaned && before < one.begins && one.begins <= now {
            let mut handed = one.ended(index);
            handed.at = at(one.begins + Duration::from_micros(310));
            (handed.done, handed.dead) = (false, true);
            engine.handle(handed.at, Input::Ended(Box::new(handed)));
        }
        if there(one) && !orphaned {
            engine.handle(at(now), Input::Open(one.life(index)));
        }
    }
    engine.handle(at(now), Input::Scanned);
    let rows = population.iter().enumerate().filter(|(_, one)| there(one));
    let sweep = Sweep {
        netns: vec![HOME],
        states: TcpState::ALL.into_iter().collect::<StateSet>(),
        took: Duration::from_millis(2),
        fds: true,
        rows: rows.map(|(index, one)| one.row(index, now)).collect(),
        timewait_overflow: Some(0),
        limits: vec![(
            HOME,
            Limits {
                fin_timeout: Some(Duration::from_secs(60)),
                ..Limits::default()
            },
        )],
    };
    engine.handle(at(now), Input::Sweep(Box::new(sweep)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_accused_with_certainty(population in prop::collection::vec(one(), 1..60)) {
        let mut engine = engine();
        let mut before = Duration::ZERO;
        for second in 1..=75u64 {
            let now = Duration::from_secs(second);
            tell(&mut engine, &population, before, now);
            before = now;
            if second % 5 != 0 {
                continue;
            }
            for finding in engine.snapshot(at(now)).findings {
                let sure = finding.confidence == Confidence::Certain;
                prop_assert!(!sure || finding.responsible == Responsible::Nobody, "at {second} s: {finding:#?}");
            }
        }
    }
}
