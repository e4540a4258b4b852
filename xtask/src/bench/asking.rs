//! What it costs HAProxy to be asked for its sessions, seen from its own side: one connection's echo while thousands of others are open.
//!
//! The control is the same hatrace that doesn't ask. Waves of connections begin to linger during both, so that there is always
//! something to ask about.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::results::Results;
use crate::process::{self, Guarded};

const FRONT: u16 = 18_082;
const BACK: u16 = 18_083;
/// Twice as many sockets on each side of this process and of HAProxy: below the 20 000 files a process may have.
pub(super) const SESSIONS: usize = 4_000;
/// An echo that takes longer than this was held up.
pub(super) const HELD_UP: Duration = Duration::from_millis(1);

/// What the echo saw of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    /// Part of the time in which an echo was held up, in thousandths.
    pub(super) held_up: f64,
    pub(super) p50: Duration,
    pub(super) max: Duration,
    /// What hatrace itself says that it took, in thousandths of the time.
    pub(super) said: f64,
    /// Lingering sockets that got their session, of all.
    pub(super) named: (u64, u64),
}

fn config(socket: &Path) -> String {
    format!(
        "global\n  maxconn 9000\n  nbthread 2\n  stats socket {} level operator\n\
         defaults\n  mode tcp\n  timeout connect 5s\n\
         frontend fe\n  bind 127.0.0.1:{FRONT}\n  default_backend be\n\
         backend be\n  server s1 127.0.0.1:{BACK}\n",
        socket.display()
    )
}

/// Both kinds of run, by turns.
pub(super) fn measure(hatrace: &Path, folder: &Path, rounds: usize, results: &mut Results) -> Result<()> {
    for _ in 0..rounds {
        for asked in [false, true] {
            eprintln!(
                "bench: {SESSIONS} sessions, HAProxy {}",
                if asked { "asked" } else { "not asked" }
            );
            results.echo(asked, run(hatrace, folder, asked)?);
        }
    }
    Ok(())
}

fn run(hatrace: &Path, folder: &Path, asked: bool) -> Result<Echo> {
    const SECONDS: u64 = 12;
    let haproxy = process::which("haproxy").context("haproxy is not installed")?;
    let (file, socket) = (folder.join("asking.cfg"), folder.join("asking.sock"));
    std::fs::write(&file, config(&socket)).with_context(|| format!("writing {}", file.display()))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, BACK)).context("listening")?;
    let mut command = Command::new(haproxy);
    command.args(["-db", "-f"]).arg(&file).stdin(Stdio::null());
    let proxy = Guarded::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let mut pairs = Vec::with_capacity(SESSIONS);
    let (echo, answering) = pair(&listener).context("HAProxy doesn't take connections")?;
    while pairs.len() < SESSIONS {
        pairs.push(pair(&listener)?);
    }
    let mirror = std::thread::spawn(move || mirror(answering));

    let json = folder.join("asking.json");
    let seconds = SECONDS.to_string();
    let mut command = Command::new(hatrace);
    command
        .args(["report", "--quiet", "--json", "-d", &seconds, "-o"])
        .arg(&json)
        .args((!asked).then_some("--no-api"))
        .args(["--pid", &proxy.pid().to_string()]);
    let mut tracer = Guarded::spawn(command.stdin(Stdio::null()))?;
    let (times, length) = listen_to(&echo, &pairs, &mut tracer)?;
    drop(echo);
    let _ = mirror.join();
    drop((tracer, pairs, proxy));
    let text = std::fs::read_to_string(&json).context("reading hatrace's report")?;
    let report: Value = serde_json::from_str(&text).context("reading hatrace's report")?;
    Ok(seen(times, length, &report))
}

/// A connection through HAProxy, both its ends.
fn pair(listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let until = Instant::now() + Duration::from_secs(10);
    let client = loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, FRONT)) {
            Ok(client) => break client,
            Err(error) => ensure!(Instant::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    client.set_nodelay(true)?;
    let (server, _) = listener.accept()?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

fn mirror(mut stream: TcpStream) {
    let mut byte = [0u8; 1];
    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
}

/// An echo a millisecond until hatrace ends; every second a wave of servers closes its half.
fn listen_to(
    mut echo: &TcpStream,
    pairs: &[(TcpStream, TcpStream)],
    tracer: &mut Guarded,
) -> Result<(Vec<Duration>, Duration)> {
    const WAVE: usize = 40;
    let start = Instant::now();
    let mut waves = pairs.chunks(WAVE);
    let mut next = Duration::from_millis(500);
    let (mut times, mut byte) = (Vec::new(), [1u8; 1]);
    while tracer.0.try_wait()?.is_none() {
        ensure!(start.elapsed() < Duration::from_secs(60), "hatrace doesn't end");
        if start.elapsed() > next {
            next += Duration::from_secs(1);
            for (_, server) in waves.next().unwrap_or_default() {
                let _ = server.shutdown(Shutdown::Write);
            }
        }
        let sent = Instant::now();
        echo.write_all(&byte)?;
        echo.read_exact(&mut byte)?;
        times.push(sent.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((times, start.elapsed()))
}

fn seen(mut times: Vec<Duration>, length: Duration, report: &Value) -> Echo {
    let held_up: Duration = times.iter().filter(|time| **time > HELD_UP).sum();
    times.sort_unstable();
    let share = report["target"]["api"][0]["share"].as_f64().unwrap_or(0.0);
    let lingering = report["lingering"].as_array().map_or(0, Vec::len) as u64;
    Echo {
        held_up: held_up.as_secs_f64() / length.as_secs_f64() * 1000.0,
        p50: times.get(times.len() / 2).copied().unwrap_or_default(),
        max: times.last().copied().unwrap_or_default(),
        said: share * 1000.0,
        named: (report["totals"]["with_session"].as_u64().unwrap_or(0), lingering),
    }
}
