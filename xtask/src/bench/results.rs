//! What was measured, and what follows from it.

use serde_json::Value;

use super::asking::Echo;
use super::bpfstats::Used;
use super::churn::Lap;
use super::inside::Timed;
use super::recording::Ends;
use super::rig::{Load, Traffic};
use super::spread::Spread;
use super::tracer::{Ended, Variant};

/// How far the control may be from 1 before a ratio means nothing.
pub(super) const CONTROL_TOLERANCE: f64 = 0.02;

/// Everything one run of the bench has seen.
pub(super) struct Results {
    pub(super) host: Value,
    pub(super) quick: bool,
    laps: Vec<(Variant, usize, Lap)>,
    loads: Vec<(Traffic, Variant, usize, Load)>,
    agents: Vec<(Variant, Agent)>,
    /// What every hatrace of this run said at its end.
    ended: Vec<Ended>,
    bpf: Vec<(Variant, BpfTime)>,
    /// What an echo through HAProxy saw, with HAProxy asked for its sessions and without.
    echoes: Vec<(bool, Echo)>,
    pub(super) points: Vec<Point>,
    /// The longest sweep of each run with so many sockets open as the promise is of, in milliseconds.
    sweeps: Vec<f64>,
    pub(super) made: Vec<Made>,
    reads: Vec<Read>,
    pub(super) logs: Option<super::logs::Times>,
    pub(super) inside: Vec<Timed>,
    /// What was not measured, and why.
    pub(super) missing: Vec<(String, String)>,
}

/// What a tracer used during one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agent {
    /// Seconds, its beginning apart.
    pub(super) cpu: Option<f64>,
    /// Seconds until it was at work: loading, adoption, the first survey.
    pub(super) beginning: Option<f64>,
    pub(super) requests: u64,
    pub(super) memory: Option<Memory>,
}

/// What a process holds, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// Now.
    pub(super) rss: u64,
    /// At most so far: loading the programs takes more than running them.
    pub(super) peak: u64,
}

/// What its programs used during one run.
#[derive(Clone, Debug)]
pub(super) struct BpfTime {
    pub(super) requests: u64,
    pub(super) programs: Vec<Used>,
}

impl BpfTime {
    fn nanoseconds(&self) -> f64 {
        self.programs.iter().map(|p| p.nanoseconds).sum::<u64>() as f64 / self.requests.max(1) as f64
    }

    fn runs(&self) -> f64 {
        self.programs.iter().map(|p| p.runs).sum::<u64>() as f64 / self.requests.max(1) as f64
    }
}

/// hatrace beside so many open sockets, and so much that comes and goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) sockets: usize,
    /// All of them are stuck.
    pub(super) lingering: bool,
    pub(super) traffic: Option<Traffic>,
    pub(super) per_second: f64,
    /// Per connection that came and went.
    pub(super) bpf_ns: Option<f64>,
    /// Of one CPU.
    pub(super) cpu_share: Option<f64>,
    pub(super) memory: Option<Memory>,
    pub(super) ended: Ended,
}

/// A recording that was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) ends: Ends,
    pub(super) seconds: f64,
    /// Connections a second.
    pub(super) rate: f64,
    /// Of one CPU: while only watching, and while recording.
    pub(super) watched: Option<f64>,
    pub(super) recorded: Option<f64>,
    pub(super) bytes_per_second: f64,
}

/// A recording that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) lives: u64,
    pub(super) seconds: f64,
    /// KiB.
    pub(super) peak: u64,
}

impl Results {
    pub(super) fn new(host: Value, quick: bool) -> Self {
        Self {
            host,
            quick,
            laps: Vec::new(),
            loads: Vec::new(),
            agents: Vec::new(),
            ended: Vec::new(),
            bpf: Vec::new(),
            echoes: Vec::new(),
            points: Vec::new(),
            sweeps: Vec::new(),
            made: Vec::new(),
            reads: Vec::new(),
            logs: None,
            inside: Vec::new(),
            missing: Vec::new(),
        }
    }

    pub(super) fn missing(&mut self, what: &str, why: &str) {
        self.missing.push((what.to_owned(), why.to_owned()));
    }

    pub(super) fn lap(&mut self, variant: Variant, turn: usize, lap: Lap) {
        self.laps.push((variant, turn, lap));
    }

    pub(super) fn load(&mut self, traffic: Traffic, variant: Variant, round: usize, load: Load) {
        self.loads.push((traffic, variant, round, load));
    }

    pub(super) fn agent(&mut self, variant: Variant, agent: Agent) {
        self.agents.push((variant, agent));
    }

    pub(super) fn ended(&mut self, ended: Ended) {
        self.ended.push(ended);
    }

    pub(super) fn bpf(&mut self, variant: Variant, time: BpfTime) {
        self.bpf.push((variant, time));
    }

    pub(super) fn echo(&mut self, asked: bool, echo: Echo) {
        self.echoes.push((asked, echo));
    }

    pub(super) fn sweep(&mut self, point: &Point) {
        self.sweeps.extend(point.ended.looks.map(|looks| looks[1]));
    }

    pub(super) fn sweeps(&self) -> Option<Spread> {
        Spread::of(self.sweeps.clone())
    }

    pub(super) fn made(&mut self, made: Made) {
        self.made.push(made);
    }

    pub(super) fn read(&mut self, read: Read) {
        self.reads.push(read);
    }

    /// A figure of the readings of the longest recording (`true`), or of the shorter one.
    pub(super) fn reads(&self, longest: bool, figure: impl Fn(&Read) -> f64) -> Option<Spread> {
        let most = self.reads.iter().map(|read| read.lives).max()?;
        let of = self.reads.iter().filter(|read| (read.lives == most) == longest);
        Spread::of(of.map(figure).collect())
    }

    pub(super) fn point(&mut self, point: Point) {
        self.points.push(point);
    }

    /// A figure of the echoes, with HAProxy asked or not.
    pub(super) fn echoes(&self, asked: bool, figure: impl Fn(&Echo) -> f64) -> Option<Spread> {
        let of = self.echoes.iter().filter(|(was, _)| *was == asked);
        Spread::of(of.map(|(_, echo)| figure(echo)).collect())
    }

    /// The best lap of each turn, ns a connection.
    pub(super) fn laps(&self, variant: Variant) -> Option<Spread> {
        let of = self.laps.iter().filter(|(v, ..)| *v == variant);
        Spread::of(of.map(|(.., lap)| lap.best).collect())
    }

    /// The middle lap of each turn: what the best of eight hides.
    pub(super) fn middle_laps(&self, variant: Variant) -> Option<Spread> {
        let of = self.laps.iter().filter(|(v, ..)| *v == variant);
        Spread::of(of.map(|(.., lap)| lap.median).collect())
    }

    /// A variant's best lap less another one's of the same turn, ns.
    pub(super) fn laps_over(&self, variant: Variant, floor: Variant) -> Option<Spread> {
        let of = |wanted: Variant| self.laps.iter().filter(move |(v, ..)| *v == wanted);
        let differences = of(variant).filter_map(|(_, turn, lap)| {
            let (.., other) = of(floor).find(|(_, t, _)| t == turn)?;
            Some(lap.best - other.best)
        });
        Spread::of(differences.collect())
    }

    /// A figure of wrk's.
    pub(super) fn loads(
        &self,
        traffic: Traffic,
        variant: Variant,
        figure: impl Fn(&Load) -> f64,
    ) -> Option<Spread> {
        let of = self
            .loads
            .iter()
            .filter(|(t, v, ..)| *t == traffic && *v == variant);
        Spread::of(of.map(|(.., load)| figure(load)).collect())
    }

    /// Rates over another variant's of the same round.
    pub(super) fn ratio(&self, traffic: Traffic, variant: Variant, over: Variant) -> Option<Spread> {
        let of = |wanted: Variant| {
            let all = self.loads.iter();
            all.filter(move |(t, v, ..)| *t == traffic && *v == wanted)
        };
        let ratios = of(variant).filter_map(|(_, _, round, load)| {
            let (.., other) = of(over).find(|(_, _, r, _)| r == round)?;
            Some(load.per_second / other.per_second)
        });
        Spread::of(ratios.collect())
    }

    /// Whether this machine was quiet enough for ratios to mean something; None: no control ran.
    pub(super) fn control_holds(&self, traffic: Traffic) -> Option<bool> {
        let control = self.ratio(traffic, Variant::Control, Variant::Bare)?;
        Some((control.median - 1.0).abs() <= CONTROL_TOLERANCE)
    }

    pub(super) fn load_errors(&self) -> u64 {
        self.loads.iter().map(|(.., load)| load.errors).sum()
    }

    fn agents(&self, variant: Variant) -> impl Iterator<Item = &Agent> {
        let of = self.agents.iter();
        of.filter(move |(v, _)| *v == variant).map(|(_, agent)| agent)
    }

    /// CPU seconds of the agent per 100 000 connections of churn.
    pub(super) fn agent_cpu(&self, variant: Variant) -> Option<Spread> {
        let of = self.agents(variant);
        Spread::of(
            of.filter_map(|a| Some(a.cpu? * 100_000.0 / a.requests.max(1) as f64))
                .collect(),
        )
    }

    /// CPU seconds of its beginning.
    pub(super) fn agent_beginning(&self, variant: Variant) -> Option<f64> {
        self.agents(variant)
            .filter_map(|agent| agent.beginning)
            .reduce(f64::max)
    }

    /// The most of any round of churn.
    pub(super) fn agent_memory(&self, variant: Variant) -> Option<Memory> {
        let of = self.agents(variant).filter_map(|agent| agent.memory);
        of.reduce(|a, b| Memory {
            rss: a.rss.max(b.rss),
            peak: a.peak.max(b.peak),
        })
    }

    /// Lost records, over everything that hatrace saw here; of how many sockets; and runs that the kernel missed.
    pub(super) fn lost(&self) -> Option<(u64, u64, u64)> {
        let all = self
            .ended
            .iter()
            .chain(self.points.iter().map(|point| &point.ended));
        let said = all.filter_map(|ended| Some((ended.lost?, ended.sockets?, ended.missed.unwrap_or(0))));
        said.reduce(|a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2))
    }

    /// Nanoseconds in BPF programs a proxied connection, and runs of programs.
    pub(super) fn bpf_time(&self, variant: Variant) -> Option<(Spread, f64)> {
        let of = || {
            self.bpf
                .iter()
                .filter(|(v, _)| *v == variant)
                .map(|(_, time)| time)
        };
        let runs = Spread::of(of().map(BpfTime::runs).collect())?;
        Some((Spread::of(of().map(BpfTime::nanoseconds).collect())?, runs.median))
    }

    /// Each program of a variant: its name, its runs a connection, its nanoseconds a connection; the dearest first.
    pub(super) fn programs(&self, variant: Variant) -> Vec<(String, f64, f64)> {
        let rounds: Vec<&BpfTime> = self
            .bpf
            .iter()
            .filter(|(v, _)| *v == variant)
            .map(|(_, time)| time)
            .collect();
        let requests = rounds.iter().map(|time| time.requests).sum::<u64>().max(1) as f64;
        let mut sums: std::collections::BTreeMap<&str, (u64, u64)> = std::collections::BTreeMap::new();
        for program in rounds.iter().flat_map(|time| &time.programs) {
            let sum = sums.entry(&program.name).or_default();
            *sum = (sum.0 + program.runs, sum.1 + program.nanoseconds);
        }
        let mut programs: Vec<_> = sums
            .into_iter()
            .map(|(name, (runs, ns))| (name.to_owned(), runs as f64 / requests, ns as f64 / requests))
            .collect();
        programs.sort_by(|a, b| b.2.total_cmp(&a.2));
        programs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(per_second: f64) -> Load {
        Load {
            requests: 1000,
            per_second,
            latency: (1.0, 2.0),
            errors: 0,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut results = Results::new(Value::Null, true);
        let churn = Traffic::Churn;
        for (round, bare) in [(0, 100.0), (1, 200.0), (2, 400.0)] {
            results.load(churn, Variant::Bare, round, load(bare));
            results.load(churn, Variant::Control, round, load(bare * 1.01));
        }
        results.load(churn, Variant::Traced, 1, load(190.0));
        results.load(Traffic::KeepAlive, Variant::Traced, 1, load(1.0));
        let ratio = results.ratio(churn, Variant::Traced, Variant::Bare).unwrap();
        assert_eq!((ratio.median, ratio.count), (0.95, 1));
        assert_eq!(results.control_holds(churn), Some(true));
        assert_eq!(results.ratio(churn, Variant::Empty, Variant::Bare), None);
    }

    #[test]
    fn the_agent_is_charged_by_connection() {
        let mut results = Results::new(Value::Null, true);
        let agent = Agent {
            cpu: Some(0.02),
            beginning: None,
            requests: 10_000,
            memory: Some(Memory {
                rss: 8000,
                peak: 9000,
            }),
        };
        results.agent(Variant::Traced, agent);
        results.ended(Ended {
            lost: Some(0),
            sockets: Some(4),
            missed: Some(1),
            ..Ended::default()
        });
        assert!((results.agent_cpu(Variant::Traced).unwrap().median - 0.2).abs() < 1e-9);
        assert_eq!(results.lost(), Some((0, 4, 1)));
        for requests in [10, 30] {
            let programs = vec![Used {
                name: "p".to_owned(),
                nanoseconds: 500 * requests,
                runs: 4 * requests,
            }];
            results.bpf(Variant::Traced, BpfTime { requests, programs });
        }
        let (time, runs) = results.bpf_time(Variant::Traced).unwrap();
        assert_eq!((time.median, runs), (500.0, 4.0));
        assert_eq!(results.programs(Variant::Traced), [("p".to_owned(), 4.0, 500.0)]);
    }
}
