//! Single steps of the agent: a record from the kernel's bytes into the engine, an open life, the parsers of HAProxy's words, an answer of
//! sock_diag, and the picture of very many stuck sockets. `cargo bench -p hatrace`; `cargo xtask bench` puts the medians on its page.
#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a bench that can't be set up fails by panicking"
)]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use hatrace::haproxy::{Names, parse};
use hatrace::kernel::decode::{self, Decoded};
use hatrace::sockdiag::answers;
use hatrace_common::wire::{Ends, LifeEnd, kind};
use hatrace_core::ids::{Cookie, Netns};
use hatrace_core::input::{Counts, Input, Sweep};
use hatrace_core::life::{Life, Step};
use hatrace_core::sock::{Claim, Endpoints, Quiet, Side, SockRow, Timer};
use hatrace_core::tcp::{StateSet, TcpState};
use hatrace_core::time::{Mono, Since};
use hatrace_core::verdicts::By;
use hatrace_core::{Engine, Settings};

const STUCK: u64 = 20_000;

fn engine() -> Engine {
    let settings = Settings {
        min: Duration::from_secs(1),
        max_lives: 200_000,
        polled: false,
        exact_timewaits: false,
        by: By::Peer,
        sessions: false,
    };
    Engine::new(settings, second(0))
}

fn second(seconds: u64) -> Mono {
    Mono::from_ns((seconds + 1) * 1_000_000_000)
}

/// A life that lingered for two seconds in CLOSE_WAIT and ended in order, as the kernel half writes it.
fn record(cookie: u64) -> Vec<u8> {
    let end = second(10).ns();
    let told = LifeEnd {
        kind: kind::LIFE_END,
        from: TcpState::LastAck.number(),
        dead: 1,
        done: 1,
        unaccepted: 0,
        at: end,
        life: hatrace_common::wire::Life {
            cookie,
            closing: end - 2_100_000_000,
            second: end - 100_000_000,
            tgid: 7,
            netns: 1,
            state: TcpState::LastAck.number(),
            first: TcpState::CloseWait.number(),
            steps: 3,
            ..Default::default()
        },
        ends: Ends {
            family: 2,
            local_port: 80,
            peer_port: 40_000,
            ..Ends::default()
        },
        unread: 0,
        unacked: 0,
        sk_err: 0,
        zero: 0,
    };
    // SAFETY: integers without padding, as their size is asserted where they are defined.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const told).cast::<u8>(), size_of::<LifeEnd>()) };
    bytes.to_vec()
}

fn open(cookie: u64) -> Life {
    Life {
        cookie: Cookie(cookie),
        side: Side::Client,
        netns: Netns(1),
        pid: None,
        connecting_at: None,
        established_at: None,
        closing: Some(Step {
            state: TcpState::CloseWait,
            at: Since::Exact(second(1)),
        }),
        second: None,
        orphaned_at: None,
        retransmits: 0,
        reset_sent: false,
        adopted: false,
    }
}

fn row(cookie: u64) -> SockRow {
    let peer = Ipv4Addr::from(0x0a00_0000 + u32::try_from(cookie % 500).expect("small"));
    let local = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 443));
    let port = u16::try_from(1024 + cookie / 500).expect("small");
    SockRow {
        queues: true,
        cookie: Cookie(cookie),
        timewait: false,
        state: TcpState::CloseWait,
        claim: Claim::Listener,
        side: Side::Client,
        endpoints: Endpoints::new(local, SocketAddr::from((peer, port))),
        netns: Netns(1),
        inode: Some(cookie),
        orphaned: Some(false),
        unread: 1,
        unacked: 0,
        retransmits: 0,
        timer: Timer::None,
        quiet: None::<Quiet>,
        rto: None,
    }
}

/// An engine that knows of very many stuck sockets.
fn crowded() -> Engine {
    let mut engine = engine();
    for cookie in 1..=STUCK {
        engine.handle(second(2), Input::Open(open(cookie)));
    }
    engine.handle(second(2), Input::Scanned);
    engine.handle(second(2), Input::Counts(Box::<Counts>::default()));
    let sweep = Sweep {
        netns: vec![Netns(1)],
        states: TcpState::ALL.into_iter().collect::<StateSet>(),
        took: Duration::ZERO,
        fds: true,
        rows: (1..=STUCK).map(row).collect(),
        timewait_overflow: None,
        limits: Vec::new(),
    };
    engine.handle(second(3), Input::Sweep(Box::new(sweep)));
    engine
}

fn records(c: &mut Criterion) {
    let bytes: Vec<Vec<u8>> = (1..=1000).map(record).collect();
    c.bench_function(
        "1 000 records of lingering lives, from bytes into the engine",
        |b| {
            b.iter_batched(
                engine,
                |mut engine| {
                    for bytes in &bytes {
                        if let Decoded::Input((at, input)) = decode::record(bytes, second(10)) {
                            engine.handle(at, input);
                        }
                    }
                    engine
                },
                BatchSize::LargeInput,
            );
        },
    );
    c.bench_function("1 000 open lives of a scan, known already", |b| {
        let mut engine = crowded();
        b.iter(|| {
            for cookie in 1..=1000 {
                engine.handle(second(4), Input::Open(open(cookie)));
            }
        });
    });
    c.bench_function("20 000 stuck sockets put together, judged and listed", |b| {
        let engine = crowded();
        b.iter(|| black_box(engine.snapshot(second(20))));
    });
}

fn sample(file: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/samples/haproxy/3.2");
    std::fs::read_to_string(folder.join(file)).expect("a sample")
}

fn parsers(c: &mut Criterion) {
    let sessions = sample("show_sess.txt");
    let session = sessions
        .lines()
        .find(|line| line.contains("proto="))
        .expect("a session")
        .to_owned();
    c.bench_function("a line of show sess", |b| {
        let mut names = Names::default();
        b.iter(|| black_box(parse::stream(black_box(&session), &mut names)));
    });
    let files = sample("show_fd.txt");
    let file = files
        .lines()
        .find(|line| line.contains("fe="))
        .expect("a descriptor")
        .to_owned();
    c.bench_function("a line of show fd", |b| {
        let mut names = Names::default();
        b.iter(|| black_box(parse::fd_line(black_box(&file), &mut names)));
    });
    let answer = sock_diag_answer(1000);
    c.bench_function("1 000 sockets of sock_diag", |b| {
        let mut rows = Vec::new();
        b.iter(|| {
            rows.clear();
            black_box(answers(&answer, &mut rows, &mut 0));
        });
        assert_eq!(rows.len(), 1000);
    });
}

/// `struct nlmsghdr` and `struct inet_diag_msg` for each (include/uapi/linux/inet_diag.h).
fn sock_diag_answer(sockets: u64) -> Vec<u8> {
    const LENGTH: u32 = 16 + 72;
    let mut bytes = Vec::new();
    for cookie in 1..=sockets {
        let mut message = [0u8; LENGTH as usize];
        message[0..4].copy_from_slice(&LENGTH.to_ne_bytes());
        message[4..6].copy_from_slice(&20u16.to_ne_bytes());
        message[16] = 2;
        message[17] = TcpState::CloseWait.number();
        message[20..24].copy_from_slice(&[0x01, 0xbb, 0x9c, 0x40]);
        message[60..68].copy_from_slice(&cookie.to_ne_bytes());
        bytes.extend(message);
    }
    bytes
}

criterion_group!(benches, records, parsers);
criterion_main!(benches);
