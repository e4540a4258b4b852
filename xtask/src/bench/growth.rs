//! How cost grows: with the connections that are open, and with those that come and go beside them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::bpfstats;
use super::hold::{Holder, MOST};
use super::measure::Bench;
use super::results::{Point, Results};
use super::rig::{Rig, Traffic, haproxy};
use super::tracer::{Tracer, Variant};
use crate::process::Guarded;

/// With so many open sockets the time of a sweep is a promise, and measured in so many runs.
const SWEPT: usize = 20_000;
const SWEEPS: usize = 9;
const FRONT_PORT: u16 = 18_087;
const BACK_PORT: u16 = 18_088;

/// HAProxys with connections open through them, nothing moving.
struct Crowd {
    proxies: Vec<Guarded>,
    holders: Vec<Holder>,
}

impl Crowd {
    /// So many sockets of HAProxy's, two a connection, in as many processes as it takes.
    fn of(bench: &Bench<'_>, sockets: usize) -> Result<Self> {
        let mut this = Self {
            proxies: Vec::new(),
            holders: Vec::new(),
        };
        let mut pairs = sockets / 2;
        while pairs > 0 {
            let now = pairs.min(MOST);
            pairs -= now;
            let number = u8::try_from(this.proxies.len() + 1).context("too many HAProxys")?;
            let front = SocketAddr::from((Ipv4Addr::new(127, 1, number, 1), FRONT_PORT));
            let back = SocketAddr::from((Ipv4Addr::new(127, 1, number, 2), BACK_PORT));
            let config = format!(
                "global\n  maxconn 9500\n  nbthread 2\n\
                 defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
                 frontend fe\n  bind {front}\n  default_backend be\n\
                 backend be\n  server s1 {back}\n"
            );
            this.proxies.push(haproxy(
                &bench.folder,
                &format!("crowd-{number}.cfg"),
                &config,
                front,
            )?);
            this.holders.push(Holder::open(front, back, now)?);
        }
        Ok(this)
    }

    fn pids(&self) -> Vec<u32> {
        self.proxies.iter().map(Guarded::pid).collect()
    }

    fn leak(&mut self) -> Result<()> {
        self.holders.iter_mut().try_for_each(Holder::leak)
    }
}

/// Waits until most TIME_WAITs of the load before are gone: they stand in the kernel's table, and every walk of it meets them.
fn calm() {
    const ENOUGH: u64 = 1000;
    let start = Instant::now();
    let timewaits = || -> Option<u64> {
        let text = std::fs::read_to_string("/proc/net/sockstat").ok()?;
        let line = text.lines().find(|line| line.starts_with("TCP:"))?;
        line.split_whitespace()
            .skip_while(|word| *word != "tw")
            .nth(1)?
            .parse()
            .ok()
    };
    while timewaits().is_some_and(|count| count > ENOUGH) && start.elapsed() < Duration::from_secs(75) {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Every size with every traffic, and one size where all that is open lingers.
pub(super) fn measure(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let rig = Rig::start(&bench.folder)?;
    for &sockets in bench.effort.sizes {
        if sockets == SWEPT {
            calm();
        }
        let mut crowd = Crowd::of(bench, sockets).with_context(|| format!("opening {sockets} sockets"))?;
        for traffic in [None, Some(Traffic::Slow), Some(Traffic::Churn)] {
            results.point(point(bench, &rig, &crowd, sockets, traffic, false)?);
        }
        if sockets == SWEPT {
            calm();
            for _ in 0..SWEEPS {
                results.sweep(&point(bench, &rig, &crowd, sockets, None, false)?);
            }
        }
        if sockets == bench.effort.leaks {
            crowd.leak()?;
            std::thread::sleep(Duration::from_secs(1));
            results.point(point(bench, &rig, &crowd, sockets, None, true)?);
        }
    }
    Ok(())
}

fn point(
    bench: &Bench<'_>,
    rig: &Rig,
    crowd: &Crowd,
    sockets: usize,
    traffic: Option<Traffic>,
    lingering: bool,
) -> Result<Point> {
    let seconds = bench.effort.seconds.max(3);
    eprintln!(
        "bench: {sockets} sockets{}, {}",
        if lingering { " that linger" } else { "" },
        traffic.map_or("nothing else", Traffic::name)
    );
    let mut pids = crowd.pids();
    pids.push(rig.pid());
    // What the programs take is told by connection; where none comes, the statistics would only make each run of them dearer.
    let _statistics = traffic.map(|_| bpfstats::enable()).transpose()?;
    let before = bpfstats::read()?;
    let tracer = Tracer::start(Variant::Traced, &bench.hatrace, &pids, &bench.folder)?;
    // Adoption and the first survey are the beginning's; what goes on is what grows.
    std::thread::sleep(Duration::from_secs(2));
    let (start, cpu) = (bpfstats::read()?, tracer.cpu_seconds());
    let mut load = None;
    match traffic {
        Some(traffic) => load = Some(rig.load(traffic, seconds)?),
        None => std::thread::sleep(Duration::from_secs(u64::from(seconds))),
    }
    let cpu = tracer
        .cpu_seconds()
        .zip(cpu)
        .map(|(after, before)| after - before);
    let used = bpfstats::used(&before, &start, &bpfstats::read()?);
    let memory = tracer.memory();
    let ended = tracer.stop()?;
    let nanoseconds: u64 = used.iter().map(|program| program.nanoseconds).sum();
    Ok(Point {
        sockets,
        lingering,
        traffic,
        per_second: load.map_or(0.0, |load| load.per_second),
        bpf_ns: load.map(|load| nanoseconds as f64 / load.requests as f64),
        cpu_share: cpu.map(|cpu| cpu / f64::from(seconds)),
        memory,
        ended,
    })
}

/// What each more open socket costs, from the smallest size to the largest.
pub(super) struct Slope {
    /// Bytes of the agent's memory.
    pub(super) rss: Option<f64>,
    /// Bytes of the maps.
    pub(super) maps: Option<f64>,
    /// Milliseconds of a scan, a sweep and a survey.
    looks: Option<[f64; 3]>,
    /// Of a CPU, while nothing comes and goes.
    cpu: Option<f64>,
    /// Nanoseconds in BPF programs for a connection that comes and goes.
    bpf: Option<f64>,
}

impl Slope {
    /// None: fewer than two sizes were measured.
    pub(super) fn of(points: &[Point]) -> Option<Self> {
        let of = |traffic: Option<Traffic>| {
            points
                .iter()
                .filter(move |point| point.traffic == traffic && !point.lingering)
        };
        let (first, last) = (of(None).next()?, of(None).next_back()?);
        let sockets = last.sockets.checked_sub(first.sockets).filter(|more| *more > 0)? as f64;
        let slope = |first: Option<f64>, last: Option<f64>| Some(((last? - first?) / sockets).max(0.0));
        let rss = |point: &Point| point.memory.map(|memory| memory.rss as f64 * 1024.0);
        let maps = |point: &Point| point.ended.map_bytes.map(|bytes| bytes as f64);
        let (from, to) = (first.ended.looks, last.ended.looks);
        let look = |index: usize| slope(from.map(|looks| looks[index]), to.map(|looks| looks[index]));
        let churn = || of(Some(Traffic::Churn));
        Some(Self {
            rss: slope(rss(first), rss(last)),
            maps: slope(maps(first), maps(last)),
            looks: (|| Some([look(0)?, look(1)?, look(2)?]))(),
            cpu: slope(first.cpu_share, last.cpu_share),
            bpf: slope(
                churn().next().and_then(|point| point.bpf_ns),
                churn().next_back().and_then(|point| point.bpf_ns),
            ),
        })
    }

    /// What that comes to, for a thousand more and for a million: computed, and said so.
    pub(super) fn in_words(&self) -> String {
        let told = |value: Option<f64>, show: &dyn Fn(f64) -> String| value.map_or("?".to_owned(), show);
        let mib = |bytes: f64| format!("{:.0} MiB", bytes * 1e6 / f64::from(1 << 20));
        let look = |index: usize| self.looks.map(|looks| looks[index]);
        let seconds = |ms: f64| format!("{:.1} s", ms * 1e6 / 1e3);
        format!(
            "From the first size to the last, each thousand more open sockets cost {} of the agent's memory, {} of the maps', {} of a CPU \
             while they are idle, and {} a connection beside them.\n\n\
             *Computed from these slopes, not measured:* with a million open sockets of HAProxy's the agent would hold {} more and the maps \
             {} more; a scan of the table would take {}, a sweep {}, a survey {}, in which nothing else is done: the survey is what breaks \
             first. The ring holds about 25 000 records meanwhile, so records are lost when more lives than that linger and end during one \
             survey; surveys and scans space themselves out by what they take. Of a million that *linger* at once, the engine lists \
             200 000 and counts the others (`evicted`).\n",
            told(self.rss, &|bytes| format!("{:.0} KiB", bytes * 1e3 / 1024.0)),
            told(self.maps, &|bytes| format!("{:.0} KiB", bytes * 1e3 / 1024.0)),
            told(self.cpu, &|share| format!("{:.3} %", share * 1e3 * 100.0)),
            told(self.bpf, &|ns| format!("{:+.1} ns", ns * 1e3)),
            told(self.rss, &mib),
            told(self.maps, &mib),
            told(look(0), &seconds),
            told(look(1), &seconds),
            told(look(2), &seconds),
        )
    }
}
