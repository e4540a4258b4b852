//! What hatrace promises, beside what was measured.

use super::growth::Slope;
use super::recording::Ends;
use super::results::Results;
use super::rig::Traffic;
use super::spread::Spread;
use super::tracer::Variant;

/// How far the tight loop's control may be from bare, ns: half of what is to be decided.
const LOOP_TOLERANCE: f64 = 400.0;
/// Programs' time of others over hatrace's: at least so many times.
const OVER_TCPSTATES: f64 = 70.0;
const OVER_TCPLIFE: f64 = 15.0;

/// One promise of hatrace beside what was measured.
pub(super) struct Claim {
    pub(super) what: String,
    pub(super) budget: &'static str,
    pub(super) measured: Option<String>,
    /// None: the measurement can't decide.
    pub(super) met: Option<bool>,
    /// What the same procedure shows when nothing is traced.
    pub(super) control: String,
}

impl Claim {
    pub(super) fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "undecided",
        }
    }
}

/// All of them, in the order of the page.
pub(super) fn claims(results: &Results) -> Vec<Claim> {
    let mut claims: Vec<Claim> = [Traffic::Churn, Traffic::KeepAlive, Traffic::Crowded]
        .into_iter()
        .map(|traffic| rate(results, traffic))
        .collect();
    claims.push(bpf_time(results));
    claims.push(beside(results, Variant::Tcpstates, "≥ 70 times", OVER_TCPSTATES));
    claims.push(beside(results, Variant::Tcplife, "≥ 15 times", OVER_TCPLIFE));
    claims.push(tight_loop(results));
    claims.push(agent_cpu(results));
    claims.push(agent_memory(results));
    claims.push(lost(results));
    claims.extend(growth(results));
    claims.push(asking(results));
    claims.extend(recordings(results));
    claims
}

fn rate(results: &Results, traffic: Traffic) -> Claim {
    let ratio = results.ratio(traffic, Variant::Traced, Variant::Control);
    let control = results.ratio(traffic, Variant::Control, Variant::Bare);
    let quiet = results.control_holds(traffic) == Some(true);
    Claim {
        what: format!(
            "HAProxy's requests a second, {}: traced ÷ control",
            traffic.name()
        ),
        budget: "≥ 0.96",
        measured: ratio.map(|r| {
            format!(
                "{:.3} ({:.3} to {:.3}, {} rounds)",
                r.median, r.low, r.high, r.count
            )
        }),
        met: ratio.filter(|_| quiet).and_then(|r| r.is_at_least(0.96)),
        control: control.map_or("not run".to_owned(), |c| {
            let doubt = if quiet { "" } else { ": too noisy to decide" };
            format!(
                "control ÷ bare {:.3} ({:.3} to {:.3}){doubt}",
                c.median, c.low, c.high
            )
        }),
    }
}

fn bpf_time(results: &Results) -> Claim {
    let traced = results.bpf_time(Variant::Traced);
    let floor = results.bpf_time(Variant::Empty);
    let over = traced
        .zip(floor)
        .map(|((traced, _), (floor, _))| traced.median - floor.median);
    Claim {
        what: "BPF time a proxied connection (four sockets), gross: traced − empty programs".to_owned(),
        budget: "≤ 2000 ns",
        measured: over.zip(traced).map(|(over, (t, runs))| {
            format!(
                "{over:+.0} ns ({:.0} in all, {:.0} to {:.0}, {runs:.0} runs)",
                t.median, t.min, t.max
            )
        }),
        met: over.map(|over| over <= 2000.0),
        control: floor.map_or("not run".to_owned(), |(f, runs)| {
            format!(
                "empty programs {:.0} ns ({:.0} to {:.0}), {runs:.0} runs",
                f.median, f.min, f.max
            )
        }),
    }
}

fn beside(results: &Results, other: Variant, budget: &'static str, least: f64) -> Claim {
    let times = results
        .bpf_time(other)
        .zip(results.bpf_time(Variant::Traced))
        .map(|((other, _), (ours, _))| (other.median / ours.median, other));
    Claim {
        what: format!(
            "BPF time a proxied connection: {} ÷ hatrace, same rounds",
            other.name()
        ),
        budget,
        measured: times.map(|(times, time)| format!("{times:.0} times ({:.1} µs)", time.median / 1e3)),
        met: times.map(|(times, _)| times >= least),
        control: "—".to_owned(),
    }
}

fn tight_loop(results: &Results) -> Claim {
    let over = results.laps_over(Variant::Traced, Variant::Empty);
    let noise = results.laps_over(Variant::Control, Variant::Bare);
    let quiet = noise.is_some_and(|ns| ns.median.abs() <= LOOP_TOLERANCE);
    let told = |ns: Spread| format!("{:+.0} ns ({:+.0} to {:+.0}", ns.median, ns.low, ns.high);
    Claim {
        what: "tight loop, a connection (two traced sockets): traced − empty programs".to_owned(),
        budget: "≤ 800 ns",
        measured: over.map(|ns| format!("{}, {} turns)", told(ns), ns.count)),
        met: over.filter(|_| quiet).and_then(|ns| ns.is_at_most(800.0)),
        control: noise.map_or("not run".to_owned(), |ns| {
            let doubt = if quiet { "" } else { ": too noisy to decide" };
            format!("control − bare {}){doubt}", told(ns))
        }),
    }
}

fn agent_cpu(results: &Results) -> Claim {
    let cpu = results.agent_cpu(Variant::Traced);
    Claim {
        what: "agent CPU for 100 000 proxied connections".to_owned(),
        budget: "≤ 0.3 s",
        measured: cpu.map(|c| {
            let beginning = results.agent_beginning(Variant::Traced).unwrap_or(0.0);
            format!(
                "{:.2} s, and once {beginning:.2} s to load and look around",
                c.median
            )
        }),
        met: cpu.map(|c| c.median <= 0.3),
        control: results
            .agent_cpu(Variant::Tcpstates)
            .map_or("—".to_owned(), |c| format!("tcpstates {:.2} s", c.median)),
    }
}

fn agent_memory(results: &Results) -> Claim {
    let memory = results.agent_memory(Variant::Traced);
    let mib = |kib: u64| kib as f64 / 1024.0;
    Claim {
        what: "agent memory, resident under full churn".to_owned(),
        budget: "≤ 30 MiB",
        measured: memory.map(|m| {
            format!(
                "{:.1} MiB (at most {:.1}, while loading)",
                mib(m.rss),
                mib(m.peak)
            )
        }),
        met: memory.map(|m| m.rss <= 30 * 1024),
        control: results
            .agent_memory(Variant::Tcpstates)
            .map_or("—".to_owned(), |m| format!("tcpstates {:.1} MiB", mib(m.rss))),
    }
}

fn lost(results: &Results) -> Claim {
    let lost = results.lost();
    Claim {
        what: "records lost in all that was measured here".to_owned(),
        budget: "0",
        measured: lost.map(|(lost, sockets, missed)| {
            format!("{lost} (of {sockets} sockets; the kernel missed {missed} runs, of whomsoever's sockets)")
        }),
        met: lost
            .filter(|(_, sockets, _)| *sockets > 0)
            .map(|(lost, ..)| lost == 0),
        control: "—".to_owned(),
    }
}

fn growth(results: &Results) -> Vec<Claim> {
    let Some(slope) = Slope::of(&results.points) else {
        return Vec::new();
    };
    let dash = || "—".to_owned();
    let claim = |what: &str, budget, measured: Option<f64>, unit: &str, most: f64| Claim {
        what: what.to_owned(),
        budget,
        measured: measured.map(|value| format!("{value:.0} {unit}")),
        met: measured.map(|value| value <= most),
        control: dash(),
    };
    vec![
        claim(
            "agent memory for each more socket that is open",
            "≤ 300 B",
            slope.rss,
            "B",
            300.0,
        ),
        claim(
            "kernel memory of the maps for each more socket that is open",
            "≤ 200 B",
            slope.maps,
            "B",
            200.0,
        ),
        sweep(results),
    ]
}

fn sweep(results: &Results) -> Claim {
    let longest = results.sweeps();
    Claim {
        what: "a sweep with 20 000 open sockets, the longest of each run".to_owned(),
        budget: "≤ 20 ms",
        measured: longest.map(|ms| {
            format!(
                "{:.1} ms ({:.1} to {:.1}, {} runs)",
                ms.median, ms.low, ms.high, ms.count
            )
        }),
        met: longest.and_then(|ms| ms.is_at_most(20.0)),
        control: "—".to_owned(),
    }
}

/// What a recording costs, and how long one takes to read.
fn recordings(results: &Results) -> Vec<Claim> {
    const GIGABYTE: f64 = 1e9;
    let dash = || "—".to_owned();
    let mut claims = Vec::new();
    for made in &results.made {
        let hourly = made.bytes_per_second * 3600.0;
        let what = format!(
            "{:.0} connections a second recorded, {}",
            made.rate,
            made.ends.name()
        );
        // Where everything lingers, watching itself takes most of it: what a recording adds is what is promised of it.
        let (said, share) = match made.ends {
            Ends::AtOnce => ("CPU of the agent, of one core", made.recorded),
            Ends::Lingering => (
                "CPU that recording adds, of one core",
                made.recorded
                    .zip(made.watched)
                    .map(|(with, without)| with - without),
            ),
        };
        let percent = |share: Option<f64>| share.map(|share| format!("{:.2} %", share * 100.0));
        claims.push(Claim {
            what: format!("{what}: {said}"),
            budget: "≤ 2 %",
            measured: percent(share).map(|share| format!("{share} ({:.0} s)", made.seconds)),
            met: share.map(|share| share <= 0.02),
            control: percent(made.watched).map_or_else(dash, |share| format!("watching alone {share}")),
        });
        claims.push(Claim {
            what: format!("{what}: size, computed for an hour"),
            budget: "≤ 1 GB",
            measured: Some(format!("{:.0} MB", hourly / 1e6)),
            met: Some(hourly <= GIGABYTE),
            control: dash(),
        });
    }
    let seconds = results.reads(true, |read| read.seconds);
    let peak = |longest| results.reads(longest, |read| read.peak as f64 / 1024.0);
    claims.push(Claim {
        what: "a recording with a million lives, reported".to_owned(),
        budget: "≤ 3 s",
        measured: seconds.map(|s| {
            format!(
                "{:.2} s ({:.2} to {:.2}, {} runs)",
                s.median, s.low, s.high, s.count
            )
        }),
        met: seconds.and_then(|s| s.is_at_most(3.0)),
        control: dash(),
    });
    claims.push(Claim {
        what: "memory for that, beside the same with 100 000 lives".to_owned(),
        budget: "≤ 1.1 times",
        measured: peak(true)
            .zip(peak(false))
            .map(|(many, some)| format!("{:.1} MiB, beside {:.1}", many.median, some.median)),
        met: peak(true)
            .zip(peak(false))
            .map(|(many, some)| many.median <= some.median * 1.1),
        control: dash(),
    });
    claims
}

/// What being asked costs HAProxy, by a connection's echo.
fn asking(results: &Results) -> Claim {
    let (asked, not) = (
        results.echoes(true, |echo| echo.held_up),
        results.echoes(false, |echo| echo.held_up),
    );
    let worst = |asked| results.echoes(asked, |echo| echo.max.as_secs_f64() * 1e3);
    let middle = |asked| results.echoes(asked, |echo| echo.p50.as_secs_f64() * 1e6);
    let told = |asked: bool| {
        let (worst, middle) = (worst(asked)?, middle(asked)?);
        Some(format!("p50 {:.0} µs, worst {:.0} ms", middle.median, worst.max))
    };
    let said = results.echoes(true, |echo| echo.said);
    let named = results.echoes(true, |echo| echo.named.0 as f64 / echo.named.1.max(1) as f64);
    Claim {
        what: "HAProxy with 4 000 sessions asked for them: time an echo through it is held up over 1 ms, asked − not asked".to_owned(),
        budget: "≤ 1 %",
        measured: asked.zip(not).map(|(asked, not)| {
            format!(
                "{:+.2} % ({:.2} asked; {}; hatrace itself says {:.2} %, {:.0} % of what lingers named)",
                (asked.median - not.median) / 10.0,
                asked.median / 10.0,
                told(true).unwrap_or_default(),
                said.map_or(0.0, |said| said.median / 10.0),
                named.map_or(0.0, |named| named.min * 100.0)
            )
        }),
        met: asked
            .zip(not)
            .map(|(asked, not)| asked.median - not.median <= 10.0),
        control: not.map_or("not run".to_owned(), |not| {
            format!(
                "--no-api {:.2} %; {}",
                not.median / 10.0,
                told(false).unwrap_or_default()
            )
        }),
    }
}
