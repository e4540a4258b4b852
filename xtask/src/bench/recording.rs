//! Recordings: what making one costs at a thousand connections a second, how large it becomes, and how long a million lives take to read.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::measure::Bench;
use super::results::{Made, Read, Results};
use super::rig::haproxy;
use super::tracer::{Tracer, Variant};
use crate::process::Guarded;

const FRONT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 18_089);
const BACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 18_090);
/// Connections a second.
const RATE: u64 = 1000;
/// Longer than what counts as lingering: such a life is delivered, and recorded, by itself.
const HELD: Duration = Duration::from_millis(1200);
/// Lives that are read.
const SOME: u64 = 100_000;
const MANY: u64 = 1_000_000;
/// Loading, adoption, the first survey; and the first connections' end.
const BEGINNING: Duration = Duration::from_secs(3);

/// What becomes of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Both sides close at once: lives that the kernel half only counts.
    AtOnce,
    /// The client closes after [`HELD`]: two lives to record for each.
    Lingering,
}

impl Ends {
    pub(super) const ALL: [Self; 2] = [Self::AtOnce, Self::Lingering];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "closed at once",
            Self::Lingering => "every one of them lingering for 1.2 s",
        }
    }
}

/// All of it.
pub(super) fn measure(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let config = format!(
        "global\n  maxconn 9000\n  nbthread 2\n  stats socket {} level operator\n\
         defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n\
         frontend fe\n  bind {FRONT}\n  default_backend be\n\
         backend be\n  server s1 {BACK}\n",
        bench.folder.join("recording.sock").display()
    );
    let proxy = haproxy(&bench.folder, "recording.cfg", &config, FRONT)?;
    let listener = TcpListener::bind(BACK).context("listening")?;
    let mut header = None;
    for ends in Ends::ALL {
        eprintln!(
            "bench: {RATE} connections a second recorded, {}, {} s",
            ends.name(),
            bench.effort.recorded
        );
        let file = bench.folder.join("recording.hatrace");
        let _ = std::fs::remove_file(&file);
        results.made(made(bench, &proxy, &listener, ends, &file)?);
        header = Some(header_of(&file)?);
    }
    let header = header.context("nothing was recorded")?;
    for (lives, times) in [(SOME, 1), (MANY, bench.effort.replays)] {
        let file = bench.folder.join("lives.hatrace");
        write(&file, header.clone(), lives)?;
        for _ in 0..times {
            eprintln!("bench: {lives} lives read");
            results.read(read(bench, &file, lives)?);
        }
    }
    Ok(())
}

/// Records while connections come and go; before that, the same load is only watched.
fn made(bench: &Bench<'_>, proxy: &Guarded, listener: &TcpListener, ends: Ends, file: &Path) -> Result<Made> {
    let enough = Arc::new(AtomicBool::new(false));
    let server = {
        let (listener, enough) = (listener.try_clone()?, Arc::clone(&enough));
        std::thread::spawn(move || serve(&listener, &enough))
    };
    let load = {
        let enough = Arc::clone(&enough);
        std::thread::spawn(move || load(ends, &enough))
    };
    let length = Duration::from_secs(u64::from(bench.effort.recorded));
    let watching = Tracer::start(Variant::Traced, &bench.hatrace, &[proxy.pid()], &bench.folder)?;
    let (_, watched, _) = share(&watching, length / 3, None)?;
    watching.stop()?;
    let recorder = Tracer::recording(&bench.hatrace, proxy.pid(), file)?;
    let (seconds, recorded, bytes) = share(&recorder, length, Some(file))?;
    enough.store(true, Ordering::Relaxed);
    let rate = load.join().map_err(|_| anyhow::anyhow!("the load failed"))??;
    // Whom the server waits for in accept().
    drop(TcpStream::connect(BACK));
    let _ = server.join();
    recorder.stop()?;
    ensure!(
        rate > 0.9 * RATE as f64,
        "this machine came to {rate:.0} connections a second only"
    );
    Ok(Made {
        ends,
        seconds,
        rate,
        watched,
        recorded,
        bytes_per_second: bytes as f64 / seconds,
    })
}

/// A time, its beginning apart: how long it was, a tracer's part of one CPU, and by how much a file grew.
fn share(tracer: &Tracer, length: Duration, file: Option<&Path>) -> Result<(f64, Option<f64>, u64)> {
    std::thread::sleep(BEGINNING);
    let size = || file.map_or(Ok(0), size);
    let (start, cpu, bytes) = (Instant::now(), tracer.cpu_seconds(), size()?);
    std::thread::sleep(length);
    let seconds = start.elapsed().as_secs_f64();
    let used = tracer.cpu_seconds().zip(cpu);
    let share = used.map(|(after, before)| (after - before) / seconds);
    Ok((seconds, share, size()?.saturating_sub(bytes)))
}

fn size(file: &Path) -> Result<u64> {
    let data = std::fs::metadata(file).with_context(|| format!("looking at {}", file.display()))?;
    Ok(data.len())
}

/// Closes what it is given at once, its reading side later.
fn serve(listener: &TcpListener, enough: &AtomicBool) {
    let mut closed: VecDeque<(Instant, TcpStream)> = VecDeque::new();
    while let Ok((stream, _)) = listener.accept() {
        if enough.load(Ordering::Relaxed) {
            return;
        }
        let _ = stream.shutdown(Shutdown::Write);
        closed.push_back((Instant::now(), stream));
        while closed.front().is_some_and(|(then, _)| then.elapsed() > HELD * 2) {
            closed.pop_front();
        }
    }
}

/// Connects at the rate until it is enough; says what the rate was.
fn load(ends: Ends, enough: &AtomicBool) -> Result<f64> {
    let start = Instant::now();
    let mut held: VecDeque<(Instant, TcpStream)> = VecDeque::new();
    let mut made = 0u64;
    while !enough.load(Ordering::Relaxed) {
        let due = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX) * RATE / 1_000_000;
        while made < due {
            let stream = TcpStream::connect(FRONT).context("connecting")?;
            made += 1;
            match ends {
                Ends::AtOnce => drop(stream),
                Ends::Lingering => held.push_back((Instant::now(), stream)),
            }
        }
        while held.front().is_some_and(|(then, _)| then.elapsed() > HELD) {
            held.pop_front();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(made as f64 / start.elapsed().as_secs_f64())
}

/// The first header of a recording.
fn header_of(file: &Path) -> Result<Value> {
    let opened = std::fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let mut line = String::new();
    BufReader::new(MultiGzDecoder::new(opened))
        .read_line(&mut line)
        .with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&line).context("reading a recording's header")
}

/// A recording of so many lives that lingered for two seconds, two thousand a second.
fn write(path: &PathBuf, mut header: Value, lives: u64) -> Result<()> {
    const PER_SECOND: u64 = 2000;
    const SECOND: u64 = 1_000_000_000;
    let begin = header["context"]["started_mono"].as_u64().context("no clock")?;
    let mut file = std::fs::File::create(path).with_context(|| format!("making {}", path.display()))?;
    for member in 0..lives.div_ceil(PER_SECOND) {
        header["member"] = member.into();
        let mut packed = GzEncoder::new(Vec::new(), Compression::new(4));
        writeln!(packed, "{header}")?;
        for nth in 0..PER_SECOND.min(lives - member * PER_SECOND) {
            let at = begin + (member + 3) * SECOND + nth * (SECOND / PER_SECOND);
            let since = at - 2 * SECOND;
            let life = json!({
                "cookie": 1_000_000 + member * PER_SECOND + nth, "side": "client", "netns": 4_026_531_840_u32, "pid": 77,
                "closing": { "state": "FIN_WAIT1", "at": { "exact": since } },
                "second": { "state": "FIN_WAIT2", "at": { "exact": since + 45_000 } },
                "retransmits": 0, "reset_sent": false, "adopted": false,
            });
            let ended = json!({
                "life": life, "at": at, "from": "FIN_WAIT2", "sk_err": 104, "dead": false, "done": false, "unaccepted": false,
                "endpoints": { "local": "10.0.0.1:443", "peer": format!("10.0.{}.{}:40000", nth % 4, nth % 250) },
                "unread": 0, "unacked": 0,
            });
            writeln!(
                packed,
                "{}",
                json!({ "at": at, "what": { "input": { "ended": ended } } })
            )?;
            if nth % (PER_SECOND / 4) == 0 {
                writeln!(packed, "{}", json!({ "at": at, "what": { "scan": [] } }))?;
            }
        }
        file.write_all(&packed.finish()?)?;
    }
    Ok(())
}

/// Reports of it, as a user would.
fn read(bench: &Bench<'_>, file: &Path, lives: u64) -> Result<Read> {
    let mut command = Command::new(&bench.hatrace);
    command.args(["report", "--json", "--from"]).arg(file);
    let start = Instant::now();
    let mut child = Guarded::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let status = format!("/proc/{}/status", child.pid());
    let mut peak = 0;
    // It prints at its end only, and less than a pipe holds: nobody has to read meanwhile.
    let seconds = loop {
        let seconds = start.elapsed().as_secs_f64();
        if child.0.try_wait()?.is_some() {
            break seconds;
        }
        ensure!(seconds < 120.0, "reading {lives} lives doesn't end");
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut text = String::new();
    let mut stdout = child.0.stdout.take().context("no output")?;
    stdout.read_to_string(&mut text)?;
    let report: Value = serde_json::from_str(&text).context("reading the report")?;
    let rows = report["dwell"].as_array().context("no dwell times")?;
    let ended = rows
        .iter()
        .find(|row| row["state"] == "FIN_WAIT2")
        .map(|row| &row["ended"]);
    ensure!(
        ended.and_then(Value::as_u64) == Some(lives),
        "{lives} lives were written, and {ended:?} read"
    );
    Ok(Read { lives, seconds, peak })
}
