//! What was measured, and what follows from it.

use serde_json::{Value, json};

use super::asking::Echo;
use super::bpfstats::Used;
use super::churn::Lap;
use super::rig::Load;
use super::tracer::Variant;

/// How far the control may be from 1 before a ratio means nothing.
pub(super) const CONTROL_TOLERANCE: f64 = 0.02;

/// Everything one run of the bench has seen.
pub(super) struct Results {
    pub(super) host: Value,
    pub(super) quick: bool,
    laps: Vec<(Variant, usize, Lap)>,
    rates: Vec<(Variant, usize, Load)>,
    agents: Vec<(Variant, Agent)>,
    bpf: Vec<(Variant, BpfTime)>,
    /// What an echo through HAProxy saw, with HAProxy asked for its sessions and without.
    echoes: Vec<(bool, Echo)>,
    /// What was not measured, and why.
    pub(super) missing: Vec<(String, String)>,
}

/// What a tracer used during one run.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) cpu: Option<f64>,
    pub(super) requests: u64,
    pub(super) memory: Option<Memory>,
    pub(super) lost: Option<u64>,
    pub(super) sockets: Option<u64>,
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

/// A middle value with the least and the most that were seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) count: usize,
}

impl Spread {
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let (&min, &max) = (values.first()?, values.last()?);
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self {
            median,
            min,
            max,
            count: values.len(),
        })
    }

    pub(super) fn to_json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max, "count": self.count })
    }
}

impl Results {
    pub(super) fn new(host: Value, quick: bool) -> Self {
        Self {
            host,
            quick,
            laps: Vec::new(),
            rates: Vec::new(),
            agents: Vec::new(),
            bpf: Vec::new(),
            echoes: Vec::new(),
            missing: Vec::new(),
        }
    }

    pub(super) fn echo(&mut self, asked: bool, echo: Echo) {
        self.echoes.push((asked, echo));
    }

    /// A figure of the echoes, with HAProxy asked or not.
    pub(super) fn echoes(&self, asked: bool, figure: impl Fn(&Echo) -> f64) -> Option<Spread> {
        let of = self.echoes.iter().filter(|(was, _)| *was == asked);
        Spread::of(of.map(|(_, echo)| figure(echo)).collect())
    }

    pub(super) fn missing(&mut self, what: &str, why: &str) {
        self.missing.push((what.to_owned(), why.to_owned()));
    }

    pub(super) fn churn(&mut self, variant: Variant, turn: usize, lap: Lap) {
        self.laps.push((variant, turn, lap));
    }

    pub(super) fn rate(&mut self, variant: Variant, round: usize, load: Load) {
        self.rates.push((variant, round, load));
    }

    pub(super) fn agent(&mut self, variant: Variant, agent: Agent) {
        self.agents.push((variant, agent));
    }

    pub(super) fn bpf(&mut self, variant: Variant, time: BpfTime) {
        self.bpf.push((variant, time));
    }

    /// The best lap of each turn, ns a connection.
    pub(super) fn laps(&self, variant: Variant) -> Option<Spread> {
        Spread::of(
            self.laps
                .iter()
                .filter(|(v, ..)| *v == variant)
                .map(|(.., lap)| lap.best)
                .collect(),
        )
    }

    /// The middle lap of each turn: what the best of eight hides.
    fn middle_laps(&self, variant: Variant) -> Option<Spread> {
        Spread::of(
            self.laps
                .iter()
                .filter(|(v, ..)| *v == variant)
                .map(|(.., lap)| lap.median)
                .collect(),
        )
    }

    /// The best of all turns less another variant's best, ns: noise only ever adds.
    pub(super) fn laps_over(&self, variant: Variant, floor: Variant) -> Option<f64> {
        Some(self.laps(variant)?.min - self.laps(floor)?.min)
    }

    /// The same within each turn: how far one turn may be trusted.
    pub(super) fn laps_over_by_turn(&self, variant: Variant, floor: Variant) -> Option<Spread> {
        let of = |wanted: Variant| self.laps.iter().filter(move |(v, ..)| *v == wanted);
        let differences = of(variant).filter_map(|(_, turn, lap)| {
            let (.., other) = of(floor).find(|(_, t, _)| t == turn)?;
            Some(lap.best - other.best)
        });
        Spread::of(differences.collect())
    }

    pub(super) fn rates(&self, variant: Variant) -> Option<Spread> {
        Spread::of(
            self.rates
                .iter()
                .filter(|(v, ..)| *v == variant)
                .map(|(.., load)| load.per_second)
                .collect(),
        )
    }

    /// Rates over another variant's of the same round.
    pub(super) fn ratio(&self, variant: Variant, over: Variant) -> Option<Spread> {
        let of = |wanted: Variant| self.rates.iter().filter(move |(v, ..)| *v == wanted);
        let ratios = of(variant).filter_map(|(_, round, load)| {
            let (.., other) = of(over).find(|(_, r, _)| r == round)?;
            Some(load.per_second / other.per_second)
        });
        Spread::of(ratios.collect())
    }

    /// Whether this machine was quiet enough for ratios to mean something; None: no control ran.
    pub(super) fn control_holds(&self) -> Option<bool> {
        Some((self.ratio(Variant::Control, Variant::Bare)?.median - 1.0).abs() <= CONTROL_TOLERANCE)
    }

    pub(super) fn load_errors(&self) -> u64 {
        self.rates.iter().map(|(.., load)| load.errors).sum()
    }

    /// CPU seconds of the agent per 100 000 connections.
    pub(super) fn agent_cpu(&self, variant: Variant) -> Option<Spread> {
        let of = self.agents.iter().filter(|(v, _)| *v == variant);
        Spread::of(
            of.filter_map(|(_, a)| Some(a.cpu? * 100_000.0 / a.requests.max(1) as f64))
                .collect(),
        )
    }

    /// The most of any round.
    pub(super) fn agent_memory(&self, variant: Variant) -> Option<Memory> {
        let of = self
            .agents
            .iter()
            .filter(|(v, _)| *v == variant)
            .filter_map(|(_, a)| a.memory);
        of.reduce(|a, b| Memory {
            rss: a.rss.max(b.rss),
            peak: a.peak.max(b.peak),
        })
    }

    /// Lost records, over all rounds that said; and how many sockets those rounds had seen.
    pub(super) fn lost(&self) -> Option<(u64, u64)> {
        let said: Vec<_> = self
            .agents
            .iter()
            .filter_map(|(_, a)| Some((a.lost?, a.sockets.unwrap_or(0))))
            .collect();
        (!said.is_empty()).then(|| {
            said.iter()
                .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        })
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

    pub(super) fn to_json(&self) -> Value {
        let spread = |s: Option<Spread>| s.map_or(Value::Null, Spread::to_json);
        let each = |value: &dyn Fn(Variant) -> Value| -> Value {
            ALL.into_iter()
                .map(|v| (v.name().to_owned(), value(v)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        json!({
            "schema": 1,
            "host": self.host,
            "quick": self.quick,
            "churn_best_ns": each(&|v| spread(self.laps(v))),
            "churn_over_empty_by_turn_ns":
                each(&|v| spread(self.laps_over_by_turn(v, Variant::Empty))),
            "churn_median_ns": each(&|v| spread(self.middle_laps(v))),
            "requests_per_second": each(&|v| spread(self.rates(v))),
            "ratio_to_bare": each(&|v| spread(self.ratio(v, Variant::Bare))),
            "ratio_to_control": each(&|v| spread(self.ratio(v, Variant::Control))),
            "control_holds": self.control_holds(),
            "load_errors": self.load_errors(),
            "agent_cpu_s_per_100k": each(&|v| spread(self.agent_cpu(v))),
            "agent_rss_kib": each(&|v| json!(self.agent_memory(v).map(|m| m.rss))),
            "agent_peak_kib": each(&|v| json!(self.agent_memory(v).map(|m| m.peak))),
            "lost": self.lost().map(|(lost, _)| lost),
            "echo_held_up_permille": {
                "asked": spread(self.echoes(true, |echo| echo.held_up)),
                "not_asked": spread(self.echoes(false, |echo| echo.held_up)),
            },
            "echo_max_ms": {
                "asked": spread(self.echoes(true, |echo| echo.max.as_secs_f64() * 1e3)),
                "not_asked": spread(self.echoes(false, |echo| echo.max.as_secs_f64() * 1e3)),
            },
            "asking_permille_by_hatrace": spread(self.echoes(true, |echo| echo.said)),
            "bpf_ns_per_connection": each(&|v| spread(self.bpf_time(v).map(|(time, _)| time))),
            "bpf_runs_per_connection": each(&|v| json!(self.bpf_time(v).map(|(_, runs)| runs))),
            "bpf_programs": self.bpf.iter().map(|(v, time)| json!({
                "variant": v.name(),
                "requests": time.requests,
                "programs": time.programs.iter().map(|p| json!({
                    "name": p.name, "ns": p.nanoseconds, "runs": p.runs,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "not_measured": self.missing.iter().map(|(what, why)| json!({ "what": what, "why": why }))
                .collect::<Vec<_>>(),
        })
    }
}

pub(super) const ALL: [Variant; 5] = [
    Variant::Bare,
    Variant::Control,
    Variant::Empty,
    Variant::Traced,
    Variant::Tcpstates,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn load(per_second: f64) -> Load {
        Load {
            requests: 1000,
            per_second,
            errors: 0,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut results = Results::new(Value::Null, true);
        for (round, bare) in [(0, 100.0), (1, 200.0), (2, 400.0)] {
            results.rate(Variant::Bare, round, load(bare));
            results.rate(Variant::Control, round, load(bare * 1.01));
        }
        results.rate(Variant::Traced, 1, load(190.0));
        let ratio = results.ratio(Variant::Traced, Variant::Bare).unwrap();
        assert_eq!((ratio.median, ratio.count), (0.95, 1));
        assert_eq!(results.control_holds(), Some(true));
        assert_eq!(results.ratio(Variant::Empty, Variant::Bare), None);
    }

    #[test]
    fn the_agent_is_charged_by_connection() {
        let mut results = Results::new(Value::Null, true);
        let agent = Agent {
            cpu: Some(0.02),
            requests: 10_000,
            memory: Some(Memory {
                rss: 8000,
                peak: 9000,
            }),
            lost: Some(0),
            sockets: Some(4),
        };
        results.agent(Variant::Traced, agent);
        assert!((results.agent_cpu(Variant::Traced).unwrap().median - 0.2).abs() < 1e-9);
        assert_eq!(results.lost(), Some((0, 4)));
        let programs = vec![Used {
            name: "p".to_owned(),
            nanoseconds: 5000,
            runs: 40,
        }];
        results.bpf(
            Variant::Traced,
            BpfTime {
                requests: 10,
                programs,
            },
        );
        let (time, runs) = results.bpf_time(Variant::Traced).unwrap();
        assert_eq!((time.median, runs), (500.0, 4.0));
    }

    #[test]
    fn an_even_count_has_its_middle_between_two() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
