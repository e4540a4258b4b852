//! The results for the terminal.

use std::fmt::Write as _;

use super::claims::claims;
use super::results::Results;
use super::rig::Traffic;
use super::spread::Spread;
use super::tracer::Variant;

pub(super) fn table(results: &Results) -> String {
    let mut out = String::new();
    variants(results, &mut out);
    programs(results, &mut out);
    for claim in claims(results) {
        let Some(measured) = &claim.measured else { continue };
        let _ = writeln!(
            out,
            "{:<9} {}\n          {measured}; budget {}; {}",
            claim.verdict(),
            claim.what,
            claim.budget,
            claim.control
        );
    }
    if let Some(logs) = &results.logs {
        let _ = writeln!(out, "logs      {}", logs.words());
    }
    for timed in &results.inside {
        let _ = writeln!(out, "inside    {}: {:.0} ns", timed.what, timed.ns);
    }
    if results.load_errors() > 0 {
        let _ = writeln!(out, "warning   wrk counted {} errors", results.load_errors());
    }
    for (what, why) in &results.missing {
        let _ = writeln!(out, "missing   {what}: {why}");
    }
    out
}

fn variants(results: &Results, out: &mut String) {
    let _ = writeln!(
        out,
        "{:<10} {:>14} {:>18} {:>12} {:>12} {:>14}",
        "VARIANT", "LOOP ns/conn", "HAPROXY req/s", "÷ CONTROL", "p99 ms", "BPF ns/conn"
    );
    let cell =
        |s: Option<Spread>, digits: usize| s.map_or("-".to_owned(), |s| format!("{:.digits$}", s.median));
    for variant in Variant::ALL {
        let churn = Traffic::Churn;
        let _ = writeln!(
            out,
            "{:<10} {:>14} {:>18} {:>12} {:>12} {:>14}",
            variant.name(),
            cell(results.laps(variant), 0),
            cell(results.loads(churn, variant, |load| load.per_second), 0),
            cell(results.ratio(churn, variant, Variant::Control), 3),
            cell(results.loads(churn, variant, |load| load.latency.1), 1),
            cell(results.bpf_time(variant).map(|(time, _)| time), 0),
        );
    }
    out.push('\n');
}

fn programs(results: &Results, out: &mut String) {
    for (name, runs, ns) in results.programs(Variant::Traced) {
        let _ = writeln!(
            out,
            "program   {name}: {ns:.0} ns a connection, {runs:.2} runs of {:.0} ns",
            ns / runs
        );
    }
}
