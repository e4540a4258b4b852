//! What is true of the engine whatever it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hatrace_core::ids::{Cookie, Fd, Netns, Pid};
use hatrace_core::input::{Counts, Gap, Input, Limits, Sweep};
use hatrace_core::life::{EndedLife, Life, Step};
use hatrace_core::sock::{Claim, Endpoints, Quiet, Side, SockRow, Timer};
use hatrace_core::tcp::{StateSet, TcpState};
use hatrace_core::time::{Mono, Since};
use hatrace_core::{Engine, Settings};
use proptest::prelude::*;
use proptest::sample::select;

const HOME: Netns = Netns(1);

fn settings(polled: bool) -> Settings {
    Settings {
        min: Duration::from_secs(1),
        max_lives: 8,
        polled,
        exact_timewaits: false,
        sessions: true,
        by: hatrace_core::verdicts::By::Peer,
    }
}

fn endpoints() -> Endpoints {
    let local = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80));
    Endpoints::new(local, SocketAddr::from((Ipv4Addr::new(198, 51, 100, 7), 40_000)))
}

/// Any moment at all: mostly near each other, now and then at the ends of time.
fn moment() -> impl Strategy<Value = Mono> {
    prop_oneof![
        8 => (0u64..200_000).prop_map(|ms| Mono::from_ns(ms * 1_000_000)),
        1 => any::<u64>().prop_map(Mono::from_ns),
        1 => select(vec![Mono::from_ns(0), Mono::from_ns(u64::MAX)]),
    ]
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (0u64..200_000).prop_map(Duration::from_millis),
        1 => Just(Duration::MAX),
    ]
}

fn state() -> impl Strategy<Value = TcpState> {
    select(TcpState::ALL.to_vec())
}

fn cookie() -> impl Strategy<Value = Cookie> {
    (1u64..12).prop_map(Cookie)
}

fn since() -> impl Strategy<Value = Since> {
    prop_oneof![
        moment().prop_map(Since::Exact),
        moment().prop_map(Since::Before),
        (moment(), moment()).prop_map(|(earliest, latest)| Since::Between { earliest, latest }),
        (moment(), moment()).prop_map(|(earliest, latest)| Since::Polled { earliest, latest }),
    ]
}

prop_compose! {
    fn step()(state in state(), at in since()) -> Step {
        Step { state, at }
    }
}

prop_compose! {
    fn life()(
        cookie in cookie(), side in select(Side::ALL.to_vec()), adopted: bool,
        connecting_at in prop::option::of(moment()), established_at in prop::option::of(moment()),
        closing in prop::option::of(step()), second in prop::option::of(step()),
        orphaned_at in prop::option::of(moment()), reset_sent: bool,
    ) -> Life {
        Life {
            cookie, side, netns: HOME, pid: None, connecting_at, established_at, closing, second,
            orphaned_at, retransmits: 0, reset_sent, adopted,
        }
    }
}

prop_compose! {
    fn ended()(
        life in life(), at in moment(), from in state(), sk_err in select(vec![0u16, 32, 103, 104, 110, 113]),
        dead: bool, done: bool, unaccepted: bool,
    ) -> Input {
        Input::Ended(Box::new(EndedLife {
            life, at, from, sk_err, dead, done, unaccepted, endpoints: endpoints(), unread: 0, unacked: 0,
        }))
    }
}

prop_compose! {
    fn row()(
        cookie in cookie(), timewait: bool, state in state(), side in select(Side::ALL.to_vec()), fd in 0u32..3,
        orphaned in prop::option::of(any::<bool>()), left in span(),
        quiet in prop::option::of((span(), span(), span())),
    ) -> SockRow {
        SockRow {
queues: true,
            cookie, timewait, state, side, endpoints: endpoints(), netns: HOME,
            claim: match fd {
                0 => Claim::None,
                1 => Claim::Listener,
                fd => Claim::Fd { pid: Pid(7), fd: Fd(fd) },
            },
            inode: (fd > 1).then_some(9), orphaned, unread: 0, unacked: 0, retransmits: 0,
            timer: if timewait { Timer::Timewait(left) } else { Timer::Keepalive(left) },
            quiet: quiet.map(|(data_sent, data_received, ack_received)| Quiet { data_sent, data_received, ack_received }),
            rto: Some(left),
        }
    }
}

prop_compose! {
    fn sweep()(
        rows in prop::collection::vec(row(), 0..6), fds: bool, home: bool,
        states in prop::collection::vec(state(), 0..12), overflow in prop::option::of(0u64..50), timeout in span(), took in span(),
    ) -> Input {
        Input::Sweep(Box::new(Sweep {
            netns: if home { vec![HOME] } else { Vec::new() }, took,
            states: states.into_iter().collect::<StateSet>(), fds, rows,
            timewait_overflow: overflow,
            limits: vec![(HOME, Limits { fin_timeout: Some(timeout), ..Limits::default() })],
        }))
    }
}

/// Boxed: the strategies of whole rows and lives are too large for a test thread's stack.
fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => life().prop_map(Input::Open).boxed(),
        4 => ended().boxed(),
        3 => sweep().boxed(),
        2 => Just(Input::Scanned),
        1 => cookie().prop_map(Input::NoTimewait),
        1 => cookie().prop_map(Input::TimewaitEnded),
        1 => any::<u64>().prop_map(|missed_runs| Input::Counts(Box::new(Counts { missed_runs, ..Counts::default() }))),
        1 => Just(Input::Gap(Gap::Malformed { length: 1 })),
        1 => Just(Input::Tick),
    ]
}

/// How a life goes, by the state machine of RFC 9293: the states it passes, and how the full socket ends.
#[derive(Clone, Debug)]
struct Course {
    states: Vec<TcpState>,
    sk_err: u16,
    dead: bool,
    done: bool,
}

fn course() -> impl Strategy<Value = Course> {
    use TcpState::{CloseWait, Closing, FinWait1, FinWait2, LastAck};
    let course = |states: &[TcpState], sk_err, dead, done| Course {
        states: states.to_vec(),
        sk_err,
        dead,
        done,
    };
    select(vec![
        course(&[FinWait1, FinWait2], 0, false, true),
        course(&[FinWait1, FinWait2], 104, true, false),
        course(&[FinWait1, FinWait2], 110, false, false),
        course(&[FinWait1, Closing], 0, true, true),
        course(&[FinWait1], 110, true, false),
        course(&[CloseWait, LastAck], 0, true, true),
        course(&[CloseWait], 104, false, true),
        course(&[CloseWait], 0, false, true),
        course(&[FinWait2], 0, false, true),
    ])
}

/// What the agent did meanwhile.
#[derive(Clone, Debug)]
enum Look {
    Scan,
    Sweep { held: bool },
    Tick,
    Snapshot,
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        3 => Just(Look::Scan),
        2 => any::<bool>().prop_map(|held| Look::Sweep { held }),
        1 => Just(Look::Tick),
        1 => Just(Look::Snapshot),
    ]
}

const BEGIN: Mono = Mono::from_ns(1_000_000_000_000);

struct Walk {
    engine: Engine,
    life: Option<Life>,
}

impl Walk {
    fn look(&mut self, at: Mono, look: &Look) {
        match look {
            Look::Scan => {
                if let Some(life) = &self.life {
                    self.engine.handle(at, Input::Open(life.clone()));
                }
                self.engine.handle(at, Input::Scanned);
            }
            Look::Sweep { held } => {
                let rows = self
                    .life
                    .as_ref()
                    .and_then(Life::current)
                    .map(|step| row_of(step.state, *held));
                let sweep = Sweep {
                    netns: vec![HOME],
                    states: TcpState::ALL.into_iter().collect(),
                    took: Duration::ZERO,
                    fds: true,
                    rows: rows.into_iter().collect(),
                    timewait_overflow: None,
                    limits: Vec::new(),
                };
                self.engine.handle(at, Input::Sweep(Box::new(sweep)));
            }
            Look::Tick => self.engine.handle(at, Input::Tick),
            Look::Snapshot => drop(self.engine.snapshot(at)),
        }
    }

    fn enter(&mut self, at: Mono, state: TcpState) {
        let step = Step {
            state,
            at: Since::Exact(at),
        };
        match &mut self.life {
            Some(life) => life.second = Some(step),
            None => {
                self.life = Some(Life {
                    cookie: Cookie(5),
                    side: Side::Client,
                    netns: HOME,
                    pid: None,
                    connecting_at: None,
                    established_at: None,
                    closing: Some(step),
                    second: None,
                    orphaned_at: None,
                    retransmits: 0,
                    reset_sent: false,
                    adopted: false,
                });
            }
        }
    }
}

fn row_of(state: TcpState, held: bool) -> SockRow {
    SockRow {
        queues: true,
        cookie: Cookie(5),
        timewait: false,
        state,
        claim: if held {
            Claim::Fd {
                pid: Pid(7),
                fd: Fd(9),
            }
        } else {
            Claim::Listener
        },
        side: Side::Client,
        endpoints: endpoints(),
        netns: HOME,
        inode: held.then_some(9),
        orphaned: None,
        unread: 0,
        unacked: 0,
        retransmits: 0,
        timer: Timer::None,
        quiet: None,
        rto: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::default() })]

    /// Total: nothing it can be told makes it panic, and it keeps no more lives than it may.
    #[test]
    fn nothing_is_too_much(polled: bool, tape in prop::collection::vec((moment(), input()), 0..80)) {
        let mut engine = Engine::new(settings(polled), Mono::from_ns(50_000_000_000));
        for (index, (at, input)) in tape.into_iter().enumerate() {
            engine.handle(at, input);
            // A page draws every histogram: now and then is enough.
            if index % 16 != 0 {
                continue;
            }
            let snapshot = engine.snapshot(at);
            prop_assert!(snapshot.lingering.len() <= 8);
            for row in &snapshot.lingering {
                prop_assert!(row.state.lingers());
            }
            for dwell in &snapshot.dwell {
                let drawn: u64 = dwell.buckets.iter().map(|bucket| bucket.ended + bucket.open).sum();
                prop_assert_eq!(drawn, dwell.ended + dwell.open);
                prop_assert!(dwell.p50 <= dwell.p90 && dwell.p90 <= dwell.p99 && dwell.p99 <= dwell.max);
            }
        }
    }

    /// On tape: every input comes back from JSON as it was, and a sweep says as much without the rows that change nothing.
    #[test]
    fn a_tape_says_the_same(polled: bool, tape in prop::collection::vec((moment(), input()), 0..60)) {
        let start = Mono::from_ns(50_000_000_000);
        let (mut live, mut again) = (Engine::new(settings(polled), start), Engine::new(settings(polled), start));
        for (at, input) in tape {
            // A span of more than 584 years is none that a clock could tell.
            let line = serde_json::to_string(&(at, &input)).expect("JSON");
            let (at, mut input): (Mono, Input) = serde_json::from_str(&line).expect("an input");
            prop_assert_eq!(&serde_json::to_string(&(at, &input)).expect("JSON"), &line);
            live.handle(at, input.clone());
            if let Input::Sweep(sweep) = &mut input {
                again.lighten(sweep);
            }
            again.handle(at, input);
        }
        let end = Mono::from_ns(300_000_000_000);
        prop_assert_eq!(format!("{:?}", live.snapshot(end)), format!("{:?}", again.snapshot(end)));
        prop_assert_eq!(format!("{:?}", live.events()), format!("{:?}", again.events()));
    }

    /// Reading it changes nothing: the same tape gives the same page, however often it was looked at on the way.
    #[test]
    fn looking_changes_nothing(tape in prop::collection::vec((moment(), input()), 0..60), often in 5usize..20) {
        let start = Mono::from_ns(50_000_000_000);
        let (mut quiet, mut watched) = (Engine::new(settings(false), start), Engine::new(settings(false), start));
        let mut told = Vec::new();
        for (index, (at, input)) in tape.into_iter().enumerate() {
            quiet.handle(at, input.clone());
            watched.handle(at, input);
            if index % often == 0 {
                let _ = watched.snapshot(at);
                told.extend(watched.events());
            }
        }
        told.extend(watched.events());
        let end = Mono::from_ns(300_000_000_000);
        prop_assert_eq!(format!("{:?}", quiet.snapshot(end)), format!("{:?}", watched.snapshot(end)));
        prop_assert_eq!(format!("{:?}", quiet.events()), format!("{told:?}"));
    }

    /// Each span of a life is told once and to the microsecond, and together they are the life, whatever was read in
    /// between, and however late the end's record comes.
    #[test]
    fn the_spans_are_the_life(
        course in course(),
        spans in prop::collection::vec(1u64..20_000, 2),
        looks in prop::collection::vec((0u64..20_000, look()), 0..12),
        late in 0usize..2,
    ) {
        let mut walk = Walk { engine: Engine::new(settings(false), BEGIN), life: None };
        let mut looks = looks;
        looks.sort_by_key(|(delay, _)| *delay);
        let mut looks = looks.into_iter().peekable();
        let mut at = BEGIN;
        let mut expected = Vec::new();
        for (state, ms) in course.states.iter().zip(&spans) {
            walk.enter(at, *state);
            let until = at.plus(Duration::from_millis(*ms));
            while let Some((delay, what)) = looks.next_if(|(delay, _)| BEGIN.plus(Duration::from_millis(*delay)) < until) {
                let then = BEGIN.plus(Duration::from_millis(delay));
                if then > at {
                    walk.look(then, &what);
                }
            }
            expected.push((*state, Duration::from_millis(*ms)));
            at = until;
        }
        let from = *course.states.last().expect("a course has states");
        let ended = EndedLife {
            life: walk.life.take().expect("it began"), at, from, sk_err: course.sk_err, dead: course.dead,
            done: course.done, unaccepted: false, endpoints: endpoints(), unread: 0, unacked: 0,
        };
        // The table is read before the ring: a scan or two may not tell the life any more before its end is told.
        for beat in 0..late {
            walk.look(at.plus(Duration::from_millis(beat as u64)), &Look::Scan);
        }
        walk.engine.handle(at, Input::Ended(Box::new(ended)));
        let end = at.plus(Duration::from_secs(1));
        for _ in 0..3 {
            walk.look(end, &Look::Scan);
        }
        let snapshot = walk.engine.snapshot(end);
        let told: Vec<_> = snapshot.dwell.iter().filter(|row| row.ended > 0).collect();
        prop_assert_eq!(told.len(), expected.len());
        for row in &told {
            prop_assert_eq!(row.ended, 1);
            prop_assert!(expected.contains(&(row.state, row.max)), "{:?} {:?}", row.state, row.max);
        }
        let whole: Duration = told.iter().map(|row| row.max).sum();
        prop_assert_eq!(whole, at.since(BEGIN));
        prop_assert!(snapshot.lingering.is_empty());
        prop_assert!(snapshot.dwell.iter().all(|row| row.open == 0));
    }
}
