//! The results as a table for the terminal, and as the page docs/PERFORMANCE.md.

use std::fmt::Write as _;

use super::results::{ALL, CONTROL_TOLERANCE, Results, Spread};
use super::tracer::Variant;

/// How far the tight loop's control may be from bare, ns: half of what is to be decided.
const CHURN_TOLERANCE: f64 = 400.0;

/// One promise of hatrace beside what was measured.
struct Claim {
    what: &'static str,
    budget: &'static str,
    measured: Option<String>,
    /// None: the measurement can't decide.
    met: Option<bool>,
    /// What the same procedure shows when nothing is traced.
    control: String,
}

fn claims(results: &Results) -> Vec<Claim> {
    let ratio = results.ratio(Variant::Traced, Variant::Control);
    let control = results.ratio(Variant::Control, Variant::Bare);
    let quiet = results.control_holds();
    let control_text = control.map_or("not run".to_owned(), |c| {
        let doubt = if quiet == Some(true) {
            ""
        } else {
            ": too noisy to decide"
        };
        format!(
            "control ÷ bare {:.3} ({:.3} to {:.3}){doubt}",
            c.median, c.min, c.max
        )
    });

    let churn = results.laps_over(Variant::Traced, Variant::Empty);
    let by_turn = results.laps_over_by_turn(Variant::Traced, Variant::Empty);
    let churn_noise = results.laps_over(Variant::Control, Variant::Bare);
    let churn_quiet = churn_noise.is_some_and(|ns| ns.abs() <= CHURN_TOLERANCE);
    let churn_control = churn_noise.map_or("not run".to_owned(), |ns| {
        let doubt = if churn_quiet { "" } else { ": too noisy to decide" };
        format!("control − bare {ns:+.0} ns{doubt}")
    });

    let traced = results.bpf_time(Variant::Traced);
    let floor = results.bpf_time(Variant::Empty);
    let over = traced
        .zip(floor)
        .map(|((traced, _), (floor, _))| traced.median - floor.median);
    let floor_text = floor.map_or("not run".to_owned(), |(f, runs)| {
        format!(
            "empty programs {:.0} ns ({:.0} to {:.0}), {runs:.0} runs",
            f.median, f.min, f.max
        )
    });

    let cpu = results.agent_cpu(Variant::Traced);
    let memory = results.agent_memory(Variant::Traced);
    let mib = |kib: u64| kib as f64 / 1024.0;
    let lost = results.lost();
    let mut claims = vec![
        Claim {
            what: "HAProxy's requests a second, a connection each: traced ÷ control",
            budget: "≥ 0.96",
            measured: ratio.map(|r| format!("{:.3} ({:.3} to {:.3})", r.median, r.min, r.max)),
            met: ratio.filter(|_| quiet == Some(true)).map(|r| r.median >= 0.96),
            control: control_text,
        },
        Claim {
            what: "BPF time a proxied connection, gross: traced − empty programs",
            budget: "≤ 2000 ns",
            measured: over
                .zip(traced)
                .map(|(over, (t, runs))| format!("{over:+.0} ns ({:.0} in all, {runs:.0} runs)", t.median)),
            met: over.map(|over| over <= 2000.0),
            control: floor_text,
        },
        Claim {
            what: "tight loop, a connection (two traced sockets): traced − empty programs",
            budget: "≤ 800 ns",
            measured: churn.zip(by_turn).map(|(ns, t)| {
                format!(
                    "{ns:+.0} ns (by turn {:+.0}, {:+.0} to {:+.0})",
                    t.median, t.min, t.max
                )
            }),
            met: churn.filter(|_| churn_quiet).map(|ns| ns <= 800.0),
            control: churn_control,
        },
        Claim {
            what: "agent CPU for 100 000 proxied connections",
            budget: "≤ 0.3 s",
            measured: cpu.map(|c| format!("{:.2} s ({:.2} to {:.2})", c.median, c.min, c.max)),
            met: cpu.map(|c| c.median <= 0.3),
            control: results
                .agent_cpu(Variant::Tcpstates)
                .map_or("—".to_owned(), |c| format!("tcpstates {:.2} s", c.median)),
        },
        Claim {
            what: "agent memory, resident under the load (the budget adds 300 B an open socket)",
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
        },
        Claim {
            what: "records lost under the load above",
            budget: "0",
            measured: lost.map(|(lost, sockets)| format!("{lost} (of {sockets} sockets)")),
            met: lost
                .filter(|(_, sockets)| *sockets > 0)
                .map(|(lost, _)| lost == 0),
            control: "—".to_owned(),
        },
    ];
    claims.push(asking(results));
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
        what: "HAProxy with 4 000 sessions asked for them: time an echo through it is held up over 1 ms, asked − not asked",
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

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "NOT MET",
        None => "undecided",
    }
}

/// For the terminal.
pub(super) fn table(results: &Results) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<10} {:>14} {:>18} {:>16} {:>14}",
        "VARIANT", "LOOP ns/conn", "HAPROXY req/s", "÷ CONTROL", "BPF ns/conn"
    );
    for variant in ALL {
        let cell =
            |s: Option<Spread>, digits: usize| s.map_or("-".to_owned(), |s| format!("{:.digits$}", s.median));
        let _ = writeln!(
            out,
            "{:<10} {:>14} {:>18} {:>16} {:>14}",
            variant.name(),
            results
                .laps(variant)
                .map_or("-".to_owned(), |s| format!("{:.0}", s.min)),
            cell(results.rates(variant), 0),
            cell(results.ratio(variant, Variant::Control), 3),
            cell(results.bpf_time(variant).map(|(time, _)| time), 0),
        );
    }
    out.push('\n');
    for claim in claims(results) {
        let measured = claim.measured.as_deref().unwrap_or("not measured");
        let _ = writeln!(
            out,
            "{:<9} {}\n          {measured}; budget {}; {}",
            verdict(claim.met),
            claim.what,
            claim.budget,
            claim.control
        );
    }
    if results.load_errors() > 0 {
        let _ = writeln!(out, "warning   wrk counted {} errors", results.load_errors());
    }
    for (what, why) in &results.missing {
        let _ = writeln!(out, "missing   {what}: {why}");
    }
    out
}

/// docs/PERFORMANCE.md.
pub(super) fn markdown(results: &Results) -> String {
    let host = |key: &str| match &results.host[key] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut out = format!(
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
    );
    out += "| promise | budget | measured | | the same procedure without hatrace |\n|---|---|---|---|---|\n";
    for claim in claims(results) {
        let measured = claim.measured.as_deref().unwrap_or("not measured");
        let _ = writeln!(
            out,
            "| {} | {} | {measured} | {} | {} |",
            claim.what,
            claim.budget,
            verdict(claim.met),
            claim.control
        );
    }
    out += "\n| beside the load | tight loop, ns a connection: best (median of the turns' best) | HAProxy, req/s: median (least to most) | ÷ control | agent CPU s / 100 000 |\n|---|---|---|---|---|\n";
    for variant in ALL {
        let dash = || "—".to_owned();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            variant.name(),
            results
                .laps(variant)
                .map_or_else(dash, |s| format!("{:.0} ({:.0})", s.min, s.median)),
            results.rates(variant).map_or_else(dash, |s| format!(
                "{:.0} ({:.0} to {:.0})",
                s.median, s.min, s.max
            )),
            results
                .ratio(variant, Variant::Control)
                .map_or_else(dash, |s| format!(
                    "{:.3} ({:.3} to {:.3})",
                    s.median, s.min, s.max
                )),
            results
                .agent_cpu(variant)
                .map_or_else(dash, |s| format!("{:.2}", s.median)),
        );
    }
    out += "\n*bare* is nothing; *control* a program that only sleeps, started and stopped like the others; *empty* has \
            programs that return at once on hatrace's hooks; *tcpstates* is Debian's libbpf-tools.\n";
    if !results.missing.is_empty() || results.load_errors() > 0 {
        out += "\n## Not measured\n\n";
        for (what, why) in &results.missing {
            let _ = writeln!(out, "* {what}: {}", why.replace('\n', " · "));
        }
        if results.load_errors() > 0 {
            let _ = writeln!(out, "* wrk counted {} errors in all", results.load_errors());
        }
    }
    let _ = write!(
        out,
        "\n## How\n\n\
         Everything runs in a network namespace of its own. The variants take turns within each round, in an order \
         that moves; a ratio is taken within a round, and counts only while control ÷ bare is within {:.0} % of 1. \
         The tight loop is one process that connects to itself, shuts down and resets, on one core: best of eight \
         laps a turn, and the best of all turns where two variants are subtracted. HAProxy has two threads, a \
         second HAProxy as origin and wrk as client, all on this host, with a connection per request on both sides: \
         four sockets a request. BPF time is the kernel's own (`bpf_stats`), in rounds of its own, because measuring \
         it costs more than a small program does.\n",
        CONTROL_TOLERANCE * 100.0
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rig::Load;

    #[test]
    fn a_noisy_machine_decides_nothing() {
        let mut results = Results::new(serde_json::json!({ "cpus": 2 }), false);
        for (variant, rate) in [
            (Variant::Bare, 100.0),
            (Variant::Control, 90.0),
            (Variant::Traced, 90.0),
        ] {
            results.rate(
                variant,
                0,
                Load {
                    requests: 9,
                    per_second: rate,
                    errors: 0,
                },
            );
        }
        results.missing("tight loop, traced", "no\nBTF");
        let page = markdown(&results);
        assert!(page.contains("| 1.000 (1.000 to 1.000) | undecided |"), "{page}");
        assert!(page.contains("too noisy to decide"), "{page}");
        assert!(page.contains("* tight loop, traced: no · BTF"), "{page}");
        assert!(table(&results).contains("missing   tight loop, traced"), "{page}");
    }
}
