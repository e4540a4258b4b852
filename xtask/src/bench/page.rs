//! docs/PERFORMANCE.md.

use std::fmt::Write as _;

use super::claims::claims;
use super::growth::Slope;
use super::results::{CONTROL_TOLERANCE, Point, Results};
use super::rig::Traffic;
use super::spread::Spread;
use super::tracer::Variant;

/// The page, whole.
pub(super) fn markdown(results: &Results) -> String {
    let mut out = head(results);
    promises(results, &mut out);
    beside_others(results, &mut out);
    programs(results, &mut out);
    traffic(results, &mut out);
    growth(results, &mut out);
    logs(results, &mut out);
    inside(results, &mut out);
    missing(results, &mut out);
    how(&mut out);
    out
}

fn head(results: &Results) -> String {
    let host = |key: &str| match &results.host[key] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!(
        "# What tracing costs\n\n\
         Written by `cargo xtask bench`; do not edit. Numbers of other machines differ: run it there.\n\n\
         {} · {} CPUs ({}) · {} GiB · Linux {} · {} · {}\n\n",
        host("date"),
        host("cpus"),
        host("cpu"),
        host("memory_gib"),
        host("kernel"),
        host("haproxy"),
        host("hatrace"),
    )
}

fn promises(results: &Results, out: &mut String) {
    *out += "## What is promised\n\n\
             | promise | budget | measured | | the same procedure without hatrace |\n|---|---|---|---|---|\n";
    for claim in claims(results) {
        let measured = claim.measured.as_deref().unwrap_or("not measured");
        let _ = writeln!(
            out,
            "| {} | {} | {measured} | {} | {} |",
            claim.what,
            claim.budget,
            claim.verdict(),
            claim.control
        );
    }
}

fn cell(spread: Option<Spread>, show: impl Fn(Spread) -> String) -> String {
    spread.map_or_else(|| "—".to_owned(), show)
}

fn ranged(spread: Option<Spread>, digits: usize) -> String {
    cell(spread, |s| {
        format!(
            "{:.digits$} ({:.digits$} to {:.digits$})",
            s.median, s.low, s.high
        )
    })
}

fn beside_others(results: &Results, out: &mut String) {
    *out += "\n## Beside other tools, under full churn\n\n\
             | beside the load | HAProxy, req/s | ÷ control | a request's p50, p99 in ms | BPF ns a connection | CPU s of the tool / 100 000 | its memory, MiB | tight loop, ns a connection |\n\
             |---|---|---|---|---|---|---|---|\n";
    for variant in Variant::ALL {
        let churn = Traffic::Churn;
        let _ = writeln!(
            out,
            "| {} | {} | {} | {}, {} | {} | {} | {} | {} |",
            variant.name(),
            ranged(results.loads(churn, variant, |load| load.per_second), 0),
            ranged(results.ratio(churn, variant, Variant::Control), 3),
            cell(results.loads(churn, variant, |load| load.latency.0), |s| format!(
                "{:.2}",
                s.median
            )),
            cell(results.loads(churn, variant, |load| load.latency.1), |s| format!(
                "{:.1}",
                s.median
            )),
            ranged(results.bpf_time(variant).map(|(time, _)| time), 0),
            cell(results.agent_cpu(variant), |s| format!("{:.2}", s.median)),
            results
                .agent_memory(variant)
                .map_or_else(|| "—".to_owned(), |m| format!("{:.1}", m.rss as f64 / 1024.0)),
            ranged(results.laps(variant), 0),
        );
    }
    *out += "\n*bare* is nothing; *control* a program that only sleeps, started and stopped like the others; *empty* has \
             programs that return at once on hatrace's hooks; *tcpstates* and *tcplife* are libbpf-tools', which see the whole host; \
             *bpftrace* counts transitions by state in a map; *ss* is `ss -tan` once a second.\n";
}

/// What each program is for, by its name in the kernel.
fn purpose(name: &str) -> &'static str {
    match name {
        "set_state" => "every transition of every TCP socket on the host",
        "send_reset" => "a RST that went out, as evidence on a life, or that there is no timewait",
        "retransmit" => "a segment sent again, by a socket that connects or closes",
        "process_fork" | "process_exec" | "process_exit" => "processes of HAProxy's that come and go",
        "timewait_end" => "the end of a timewait",
        _ => "",
    }
}

fn programs(results: &Results, out: &mut String) {
    let programs = results.programs(Variant::Traced);
    let Some((floor, runs)) = results.bpf_time(Variant::Empty) else {
        return;
    };
    *out += "\n## Program by program\n\n| program | what for | runs a connection | ns a run | ns a connection |\n|---|---|---|---|---|\n";
    for (name, runs, ns) in &programs {
        let _ = writeln!(
            out,
            "| {name} | {} | {runs:.2} | {:.0} | {ns:.0} |",
            purpose(name),
            ns / runs
        );
    }
    let _ = writeln!(
        out,
        "| *empty* | the same hook, nothing done | {runs:.2} | {:.0} | {:.0} |\n\n\
         A proxied connection is four sockets on this host, of which two are HAProxy's. What `set_state` takes above the floor is: for the \
         transitions of the other two, a look at the socket's cookie, or at a bit of its port or of the process (some ns a run); for \
         HAProxy's own, the record of the life, one cache line that another CPU has often written last (about 50 ns a transition where it \
         has), a cookie and a claimed record for each life, and the clock at its own doings, three times a connection. What segments have \
         done takes its time from the segment. Nothing is sent to the agent for a connection that ends in order. The other programs run \
         where something is unusual.",
        floor.median / runs,
        floor.median
    );
}

fn traffic(results: &Results, out: &mut String) {
    *out += "\n## Other traffic\n\n| HAProxy's load | beside it | req/s | ÷ control | a request's p50, p99 in ms |\n|---|---|---|---|---|\n";
    for traffic in [Traffic::KeepAlive, Traffic::Crowded] {
        for variant in Variant::OURS {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {}, {} |",
                traffic.name(),
                variant.name(),
                ranged(results.loads(traffic, variant, |load| load.per_second), 0),
                ranged(results.ratio(traffic, variant, Variant::Control), 3),
                cell(
                    results.loads(traffic, variant, |load| load.latency.0),
                    |s| format!("{:.2}", s.median)
                ),
                cell(
                    results.loads(traffic, variant, |load| load.latency.1),
                    |s| format!("{:.1}", s.median)
                ),
            );
        }
    }
}

fn growth(results: &Results, out: &mut String) {
    if results.points.is_empty() {
        return;
    }
    *out += "\n## How cost grows\n\n\
             Open sockets of HAProxy's (two a connection, in as many HAProxys as it takes), and what comes and goes beside them.\n\n\
             | open sockets | beside them | req/s | BPF ns a connection | agent: % of a CPU | its memory, MiB | maps, MiB | longest scan, sweep, survey in ms | lost |\n\
             |---|---|---|---|---|---|---|---|---|\n";
    for point in &results.points {
        let _ = writeln!(out, "{}", row(point));
    }
    if let Some(slope) = Slope::of(&results.points) {
        *out += "\n";
        *out += &slope.in_words();
    }
}

fn row(point: &Point) -> String {
    let dash = || "—".to_owned();
    let looks = point.ended.looks;
    format!(
        "| {}{} | {} | {:.0} | {} | {} | {} | {} | {} | {} |",
        point.sockets,
        if point.lingering { ", all lingering" } else { "" },
        point.traffic.map_or("nothing", Traffic::name),
        point.per_second,
        point.bpf_ns.map_or_else(dash, |ns| format!("{ns:.0}")),
        point
            .cpu_share
            .map_or_else(dash, |share| format!("{:.1}", share * 100.0)),
        point
            .memory
            .map_or_else(dash, |memory| format!("{:.1}", memory.rss as f64 / 1024.0)),
        point
            .ended
            .map_bytes
            .map_or_else(dash, |bytes| format!("{:.1}", bytes as f64 / f64::from(1 << 20))),
        looks.map_or_else(dash, |[scan, sweep, survey]| format!(
            "{scan:.1}, {sweep:.1}, {survey:.1}"
        )),
        point.ended.lost.map_or_else(dash, |lost| lost.to_string()),
    )
}

fn logs(results: &Results, out: &mut String) {
    if let Some(logs) = &results.logs {
        let _ = writeln!(out, "\n## Logs\n\n{}. Both count the same.", logs.words());
    }
}

fn inside(results: &Results, out: &mut String) {
    if results.inside.is_empty() {
        return;
    }
    *out += "\n## Inside the agent\n\nSingle steps by Criterion (`cargo bench -p hatrace`), medians.\n\n| step | time |\n|---|---|\n";
    for timed in &results.inside {
        let time = match timed.ns {
            ns if ns < 1e4 => format!("{ns:.0} ns"),
            ns if ns < 1e7 => format!("{:.1} µs", ns / 1e3),
            ns => format!("{:.1} ms", ns / 1e6),
        };
        let _ = writeln!(out, "| {} | {time} |", timed.what);
    }
}

fn missing(results: &Results, out: &mut String) {
    if results.missing.is_empty() && results.load_errors() == 0 {
        return;
    }
    *out += "\n## Not measured\n\n";
    for (what, why) in &results.missing {
        let _ = writeln!(out, "* {what}: {}", why.replace('\n', " · "));
    }
    if results.load_errors() > 0 {
        let _ = writeln!(out, "* wrk counted {} errors in all", results.load_errors());
    }
}

fn how(out: &mut String) {
    let _ = write!(
        out,
        "\n## How\n\n\
         Everything runs in a network namespace of its own. The variants take turns within each round, in an order \
         that moves; a ratio is taken within a round, and counts only while control ÷ bare is within {:.0} % of 1. \
         The tight loop is one process that connects to itself, shuts down and resets, on one core: best of eight \
         laps a turn; two variants are subtracted within a turn. Rounds begin a second after their variant, when hatrace has loaded and looked around once: what that takes is told by itself. A sweep's time is taken when the TIME_WAITs of earlier rounds are gone. HAProxy has two threads, a \
         second HAProxy as origin and wrk as client with 64 connections at a time, all on this host; under churn a connection per \
         request on both sides: four sockets a request. The control of the tight loop, and of rates what is neither control nor traced, take part in every fourth turn and round, other people's \
         tools in every twentieth. BPF time is the kernel's own \
         (`bpf_stats`), in rounds of its own, because measuring it costs more than a small program does: most of an empty program's time \
         is that. A figure is the median of its rounds; in brackets is what the true median lies between with 95 % of confidence \
         (by a sign test; of fewer than six rounds, the least and the most). A promise counts as met, or not met, where all of that is \
         on one side of its budget.\n",
        CONTROL_TOLERANCE * 100.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rig::Load;
    use crate::bench::table::table;

    #[test]
    fn a_noisy_machine_decides_nothing() {
        let mut results = Results::new(serde_json::json!({ "cpus": 2 }), false);
        for (variant, rate) in [
            (Variant::Bare, 100.0),
            (Variant::Control, 90.0),
            (Variant::Traced, 90.0),
        ] {
            let load = Load {
                requests: 9,
                per_second: rate,
                latency: (1.0, 2.0),
                errors: 0,
            };
            results.load(Traffic::Churn, variant, 0, load);
        }
        results.missing("tight loop, traced", "no\nBTF");
        let page = markdown(&results);
        assert!(
            page.contains("| 1.000 (1.000 to 1.000, 1 rounds) | undecided |"),
            "{page}"
        );
        assert!(page.contains("too noisy to decide"), "{page}");
        assert!(page.contains("* tight loop, traced: no · BTF"), "{page}");
        assert!(table(&results).contains("missing   tight loop, traced"), "{page}");
    }
}
