//! The results as JSON.

use serde_json::{Value, json};

use super::results::{Point, Results};
use super::rig::Traffic;
use super::spread::Spread;
use super::tracer::Variant;

impl Spread {
    pub(super) fn to_json(self) -> Value {
        json!({
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "min": self.min,
            "max": self.max,
            "count": self.count,
        })
    }
}

impl Results {
    /// All of it, for who compares runs.
    pub(super) fn to_json(&self) -> Value {
        let spread = |s: Option<Spread>| s.map_or(Value::Null, Spread::to_json);
        let each = |value: &dyn Fn(Variant) -> Value| -> Value {
            Variant::ALL
                .into_iter()
                .map(|v| (v.name().to_owned(), value(v)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let traffic = |traffic: Traffic| {
            json!({
                "requests_per_second": each(&|v| spread(self.loads(traffic, v, |load| load.per_second))),
                "ratio_to_bare": each(&|v| spread(self.ratio(traffic, v, Variant::Bare))),
                "ratio_to_control": each(&|v| spread(self.ratio(traffic, v, Variant::Control))),
                "p50_ms": each(&|v| spread(self.loads(traffic, v, |load| load.latency.0))),
                "p99_ms": each(&|v| spread(self.loads(traffic, v, |load| load.latency.1))),
                "control_holds": self.control_holds(traffic),
            })
        };
        json!({
            "schema": 2,
            "host": self.host,
            "quick": self.quick,
            "loop": {
                "best_ns": each(&|v| spread(self.laps(v))),
                "middle_ns": each(&|v| spread(self.middle_laps(v))),
                "over_empty_by_turn_ns": each(&|v| spread(self.laps_over(v, Variant::Empty))),
            },
            "haproxy": {
                "churn": traffic(Traffic::Churn),
                "keep_alive": traffic(Traffic::KeepAlive),
                "crowded": traffic(Traffic::Crowded),
            },
            "load_errors": self.load_errors(),
            "agent_cpu_s_per_100k": each(&|v| spread(self.agent_cpu(v))),
            "agent_rss_kib": each(&|v| json!(self.agent_memory(v).map(|m| m.rss))),
            "agent_peak_kib": each(&|v| json!(self.agent_memory(v).map(|m| m.peak))),
            "lost": self.lost().map(|(lost, sockets, missed)| json!({ "records": lost, "sockets": sockets, "missed_runs": missed })),
            "asking": {
                "held_up_permille": {
                    "asked": spread(self.echoes(true, |echo| echo.held_up)),
                    "not_asked": spread(self.echoes(false, |echo| echo.held_up)),
                },
                "max_ms": {
                    "asked": spread(self.echoes(true, |echo| echo.max.as_secs_f64() * 1e3)),
                    "not_asked": spread(self.echoes(false, |echo| echo.max.as_secs_f64() * 1e3)),
                },
                "permille_by_hatrace": spread(self.echoes(true, |echo| echo.said)),
            },
            "bpf_ns_per_connection": each(&|v| spread(self.bpf_time(v).map(|(time, _)| time))),
            "bpf_programs": each(&|v| self.programs(v).into_iter().map(|(name, runs, ns)| {
                json!({ "name": name, "runs_per_connection": runs, "ns_per_connection": ns })
            }).collect()),
            "growth": self.points.iter().copied().map(Point::to_json).collect::<Vec<_>>(),
            "logs": self.logs.as_ref().map(super::logs::Times::to_json),
            "recorded": self.made.iter().map(|made| json!({
                "ends": made.ends.name(),
                "seconds": made.seconds,
                "connections_per_second": made.rate,
                "cpu_share": made.recorded,
                "cpu_share_without_recording": made.watched,
                "bytes_per_second": made.bytes_per_second,
            })).collect::<Vec<_>>(),
            "million_lives_read_s": spread(self.reads(true, |read| read.seconds)),
            "million_lives_read_kib": spread(self.reads(true, |read| read.peak as f64)),
            "fewer_lives_read_kib": spread(self.reads(false, |read| read.peak as f64)),
            "inside": self.inside.iter().map(|timed| json!({ "what": timed.what, "ns": timed.ns })).collect::<Vec<_>>(),
            "not_measured": self.missing.iter().map(|(what, why)| json!({ "what": what, "why": why }))
                .collect::<Vec<_>>(),
        })
    }
}

impl Point {
    fn to_json(self) -> Value {
        json!({
            "sockets": self.sockets,
            "lingering": self.lingering,
            "traffic": self.traffic.map(Traffic::name),
            "requests_per_second": self.per_second,
            "bpf_ns_per_connection": self.bpf_ns,
            "cpu_share": self.cpu_share,
            "rss_kib": self.memory.map(|memory| memory.rss),
            "map_bytes": self.ended.map_bytes,
            "scan_sweep_survey_ms": self.ended.looks,
            "lost": self.ended.lost,
        })
    }
}
