//! A snapshot made by hand, for the tests of the views.

use std::io;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use hatrace_core::clock::{Clock, ClockName, ClockSource};
use hatrace_core::config::{Place, TimeoutKind};
use hatrace_core::ids::{Cookie, Fd, Netns, Pid, SessionPtr};
use hatrace_core::life::FirstFin;
use hatrace_core::naming::{Asking, Facts, Naming, Pair, Session, Tie, Without};
use hatrace_core::snapshot::{Bucket, Dwell, Lingering, Notice, Percentiles, Snapshot, Spike, Totals};
use hatrace_core::sock::{BySide, Endpoints, Holder, Side};
use hatrace_core::stream::{Access, Expiry, StreamEnd, Streamless};
use hatrace_core::tcp::TcpState;
use hatrace_core::time::{Age, AgeBound, Mono};
use hatrace_core::verdicts::{Confidence, Finding, Fix, Responsible, Verdict, Whom};

use crate::ability::Abilities;
use crate::port::{Context, Mode};

/// What a view writes.
pub(crate) fn text(view: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    view(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn exact(age: Duration) -> Age {
    Age {
        at_least: age,
        at_most: Some(age),
        bound: AgeBound::Exact,
    }
}

pub(crate) fn row(cookie: u64, state: TcpState, holder: Holder) -> Lingering {
    Lingering {
        host: None,
        cookie: Cookie(cookie),
        side: Side::Client,
        state,
        holder,
        age: exact(Duration::from_secs(12)),
        end_polled: false,
        endpoints: Some(Endpoints::new(
            "192.0.2.1:443".parse().unwrap(),
            "10.0.0.7:51234".parse().unwrap(),
        )),
        netns: Some(Netns(4_026_531_840)),
        pid: Some(Pid(5108)),
        fd: (holder == Holder::Held).then_some(Fd(17)),
        unread: Some(0),
        unacked: Some(0),
        retransmits: 0,
        first_fin: FirstFin::Haproxy,
        adopted: false,
        clock: Clock::default(),
        held_for: None,
        look: None,
        naming: Naming::default(),
    }
}

/// A held socket with everything HAProxy can tell of it.
pub(crate) fn named() -> Lingering {
    let mut row = row(0x2a, TcpState::FinWait2, Holder::Held);
    let ptr = SessionPtr(0x55e4_635a_d1b0);
    let facts = Facts {
        pid: Pid(5108),
        frontend: Some(Arc::from("fe_http")),
        backend: Some(Arc::from("be_app")),
        server: Some(Arc::from("srv2")),
        called: None,
        age: Some(Duration::from_secs(724)),
        identity: Some((9, "20/Nov/2026:09:31:55.252730".to_owned())),
        front: StreamEnd::default(),
        back: StreamEnd::default(),
        connect_expires: Expiry::Unknown,
        asked: Mono::default(),
        streams: vec![ptr],
    };
    row.naming = Naming {
        proxy: facts.frontend.clone(),
        server: facts.server.clone(),
        session: Some(Session {
            ptr,
            tie: Tie::Live,
            facts: Arc::new(facts),
            believed: StreamEnd::default(),
        }),
        without: None,
        pair: Some(Pair {
            cookie: Cookie(0x2b),
            side: Side::Server,
            state: TcpState::CloseWait,
            endpoints: None,
        }),
        idle_expires: None,
    };
    row.clock = Clock {
        name: ClockName::Timeout(TimeoutKind::ClientFin),
        source: ClockSource::Line(Place {
            file: Arc::from("haproxy.cfg"),
            line: 12,
        }),
        fires_in: Some(ms(27_100)),
        length: Some(Duration::from_secs(30)),
        certain: true,
    };
    row
}

fn rows() -> Vec<Lingering> {
    let mut oldest = named();
    oldest.age = exact(Duration::from_secs(724));
    let mut adopted = row(0x2b, TcpState::CloseWait, Holder::Held);
    adopted.side = Side::Server;
    adopted.adopted = true;
    adopted.first_fin = FirstFin::Peer;
    adopted.unread = Some(12);
    adopted.fd = Some(Fd(18));
    adopted.age = Age {
        at_least: Duration::from_secs(124),
        at_most: Some(Duration::from_secs(310)),
        bound: AgeBound::Between,
    };
    adopted.endpoints = Some(Endpoints::new(
        "127.0.0.1:37956".parse().unwrap(),
        "127.0.0.2:29001".parse().unwrap(),
    ));
    let mut held = row(0x2c, TcpState::FinWait2, Holder::Held);
    held.fd = Some(Fd(19));
    let mut timewait = row(0x2d, TcpState::FinWait2, Holder::Timewait);
    timewait.age = Age {
        at_least: ms(2300),
        at_most: Some(ms(3300)),
        bound: AgeBound::Polled,
    };
    timewait.end_polled = true;
    timewait.endpoints = Some(Endpoints::new(
        "192.0.2.1:443".parse().unwrap(),
        "10.0.0.8:40000".parse().unwrap(),
    ));
    timewait.clock = Clock::kernel(ClockName::FinTimeout, Some(ms(57_700)));
    let mut unseen = row(0x2e, TcpState::CloseWait, Holder::Unaccepted);
    unseen.side = Side::Unknown;
    unseen.age = exact(ms(1500));
    unseen.endpoints = None;
    unseen.netns = None;
    unseen.pid = None;
    unseen.unread = None;
    unseen.unacked = None;
    unseen.first_fin = FirstFin::Peer;
    unseen.naming.without = Some(Without::AcceptQueue);
    adopted.naming.without = Some(Without::Unsure);
    held.naming.without = Some(Without::Streamless(Streamless::Draining));
    held.naming.proxy = Some(Arc::from("fe_http"));
    timewait.naming.without = Some(Without::Closed);
    vec![oldest, adopted, held, timewait, unseen]
}

pub(crate) fn dwell() -> Dwell {
    let bucket = |low: u64, high: Option<u64>, ended, open| Bucket {
        low: ms(low),
        high: high.map(ms),
        ended,
        open,
    };
    Dwell {
        side: Side::Client,
        state: TcpState::FinWait2,
        ended: 212,
        open: 3,
        between_sweeps: 4,
        p50: ms(5960),
        p90: ms(6000),
        p99: ms(6000),
        max: ms(724_000),
        buckets: vec![
            bucket(10, Some(100), 3, 0),
            bucket(100, Some(1000), 0, 0),
            bucket(1000, Some(5000), 1, 1),
            bucket(5000, Some(10_000), 208, 0),
            bucket(10_000, None, 0, 2),
        ],
        ended_only: Some(Percentiles {
            p50: ms(5960),
            p90: ms(6000),
            p99: ms(6000),
            max: ms(6000),
        }),
        open_only: Some(Percentiles {
            p50: ms(12_000),
            p90: ms(724_000),
            p99: ms(724_000),
            max: ms(724_000),
        }),
        spikes: vec![Spike {
            at: ms(6_000),
            count: 208,
            clocks: vec![(
                ClockName::Timeout(TimeoutKind::Tunnel),
                ClockSource::Line(Place {
                    file: Arc::from("haproxy.cfg"),
                    line: 18,
                }),
            )],
        }],
    }
}

/// The finding about 10.0.0.7.
pub(crate) fn finding() -> Finding {
    Finding {
        host: None,
        also_on: Vec::new(),
        verdict: Verdict::PeerNeverCloses,
        whom: Whom::Address("10.0.0.7".parse().unwrap()),
        known_as: None,
        proxy: Some(Arc::from("fe_http")),
        server: None,
        side: Side::Client,
        state: Some(TcpState::FinWait2),
        responsible: Responsible::Peer,
        confidence: Confidence::Certain,
        open: 2,
        ended: 212,
        pinned: 1,
        socket_seconds: Duration::from_secs(1999),
        p99: Some(Duration::from_secs(6)),
        oldest: Some(Duration::from_secs(724)),
        clock: named().clock,
        next_in: None,
        forecast: Vec::new(),
        because: vec!["on 2 connections the peer has acknowledged HAProxy's FIN".to_owned()],
        fix: vec![Fix::Write {
            line: "timeout client-fin 30s".to_owned(),
            section: "frontend fe_http".to_owned(),
            place: Place {
                file: Arc::from("haproxy.cfg"),
                line: 12,
            },
        }],
        sockets: vec![Cookie(0x2a), Cookie(0x2c), Cookie(0x2b)],
    }
}

/// Five lingering sockets of every kind of holder, two rows of dwell times, one notice.
pub(crate) fn snapshot() -> Snapshot {
    let mut seen = BySide::default();
    seen.set(Side::Client, 972);
    Snapshot {
        at: Mono::from_ns(134_200_000_000),
        watched: ms(34_200),
        totals: Totals {
            sockets: 1284,
            adopted: 312,
            transitions: 7702,
            lost: 2,
            with_session: 1,
            seen,
            ..Totals::default()
        },
        dwell: vec![
            dwell(),
            Dwell {
                side: Side::Server,
                state: TcpState::CloseWait,
                ended: 1,
                open: 0,
                between_sweeps: 0,
                p50: ms(2),
                p90: ms(2),
                p99: ms(2),
                max: ms(2),
                buckets: vec![Bucket {
                    low: ms(1),
                    high: Some(ms(10)),
                    ended: 1,
                    open: 0,
                }],
                ended_only: None,
                open_only: None,
                spikes: Vec::new(),
            },
        ],
        times: hatrace_core::dwell::Dwells::default(),
        lingering: rows(),
        findings: vec![finding()],
        notices: vec![Notice {
            code: "records-lost",
            count: 2,
            text: "the ring was full; the figures are short of 2 lives".to_owned(),
        }],
        ended_processes: Vec::new(),
        asking: vec![Asking {
            pid: Pid(5108),
            access: Some(Access::Ready {
                through: "/run/haproxy/admin.sock".to_owned(),
            }),
            questions: 3,
            took: Duration::from_micros(12_400),
            longest: Duration::from_micros(9_000),
        }],
        without_session: vec![
            (Without::Streamless(Streamless::Draining), 1),
            (Without::AcceptQueue, 1),
            (Without::Closed, 1),
            (Without::Unsure, 1),
        ],
        configured: Vec::new(),
        sessions: Vec::new(),
        services: Vec::new(),
    }
}

/// A snapshot in which nothing is wrong.
pub(crate) fn quiet() -> Snapshot {
    Snapshot {
        dwell: Vec::new(),
        lingering: Vec::new(),
        findings: Vec::new(),
        notices: Vec::new(),
        asking: Vec::new(),
        without_session: Vec::new(),
        totals: Totals {
            lost: 0,
            ..snapshot().totals
        },
        ..snapshot()
    }
}

pub(crate) fn context() -> Context {
    Context {
        host: "lb1".to_owned(),
        parts: Vec::new(),
        pids: vec![Pid(5108), Pid(5106)],
        master: Some(Pid(5106)),
        haproxy_version: Some("2.6.12-1+deb12u4".to_owned()),
        mode: Mode::Traced {
            abilities: Abilities::default(),
        },
        started_at: "2026-11-20T09:44:00Z".parse().unwrap(),
        started_mono: Mono::from_ns(100_000_000_000),
        sweep_interval: Duration::from_secs(1),
        min: Duration::from_secs(1),
        cost: crate::port::Cost::default(),
    }
}
