//! The rounds: who runs when, and what is read before and after.

use std::path::PathBuf;

use anyhow::Result;

use super::Effort;
use super::bpfstats;
use super::churn::{self, Churn};
use super::results::{Agent, BpfTime, Results};
use super::rig::Rig;
use super::tracer::{Tracer, Variant};
use crate::process;

/// Apart from HAProxy's, and below the ports that connections take.
const CHURN_PORT: u16 = 18_090;

/// Where and how hard to measure.
pub(super) struct Bench<'a> {
    pub(super) hatrace: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) effort: &'a Effort,
}

impl Bench<'_> {
    /// The tight loop.
    pub(super) fn churn(&self, results: &mut Results) -> Result<()> {
        let connections = self.effort.connections;
        let mut churn = Churn::start(&self.folder, CHURN_PORT, connections)?;
        let mut variants = vec![Variant::Bare, Variant::Control, Variant::Empty, Variant::Traced];
        eprintln!(
            "bench: tight loop: {} turns of {} variants, about {:.0} s",
            self.effort.turns,
            variants.len(),
            churn::expected(connections).as_secs_f64() * (self.effort.turns * variants.len()) as f64
        );
        churn.measure()?;
        for turn in 0..self.effort.turns {
            for variant in order(&variants, turn) {
                match self.churn_turn(&mut churn, variant) {
                    Ok(lap) => results.churn(variant, turn, lap),
                    Err(error) => drop_out(results, &mut variants, variant, "tight loop", &error),
                }
            }
        }
        Ok(())
    }

    fn churn_turn(&self, churn: &mut Churn, variant: Variant) -> Result<churn::Lap> {
        let tracer = Tracer::start(variant, &self.hatrace, churn.pid(), &self.folder)?;
        let lap = churn.measure()?;
        tracer.stop()?;
        Ok(lap)
    }

    /// HAProxy under load, first without the kernel's statistics, then with.
    pub(super) fn rig(&self, results: &mut Results) -> Result<()> {
        let rig = Rig::start(&self.folder)?;
        let mut variants = vec![Variant::Bare, Variant::Control, Variant::Empty, Variant::Traced];
        if process::which("tcpstates").is_some() {
            variants.push(Variant::Tcpstates);
        } else {
            results.missing(
                "HAProxy beside tcpstates",
                "tcpstates (libbpf-tools) is not installed",
            );
        }
        eprintln!(
            "bench: HAProxy: {} rounds of {} variants, {} s each",
            self.effort.rounds,
            variants.len(),
            self.effort.seconds
        );
        rig.load(self.effort.seconds)?;
        for round in 0..self.effort.rounds {
            for variant in order(&variants, round) {
                if let Err(error) = self.rig_turn(&rig, variant, round, results) {
                    drop_out(results, &mut variants, variant, "HAProxy's rate", &error);
                }
            }
        }
        Ok(())
    }

    fn rig_turn(&self, rig: &Rig, variant: Variant, round: usize, results: &mut Results) -> Result<()> {
        let tracer = Tracer::start(variant, &self.hatrace, rig.pid(), &self.folder)?;
        let before = tracer.cpu_seconds();
        let load = rig.load(self.effort.seconds)?;
        let after = tracer.cpu_seconds();
        let memory = tracer.memory();
        let ended = tracer.stop()?;
        results.rate(variant, round, load);
        if matches!(variant, Variant::Traced | Variant::Tcpstates) {
            let cpu = after.zip(before).map(|(after, before)| after - before);
            let requests = load.requests;
            results.agent(
                variant,
                Agent {
                    cpu,
                    requests,
                    memory,
                    lost: ended.lost,
                    sockets: ended.sockets,
                },
            );
        }
        Ok(())
    }

    /// Rounds of their own: reading the clock around every program is most of what a small one costs.
    pub(super) fn bpf_time(&self, results: &mut Results) -> Result<()> {
        const WHAT: &str = "BPF time a connection";
        if process::which("bpftool").is_none() {
            results.missing(WHAT, "bpftool is not installed");
            return Ok(());
        }
        let _statistics = match bpfstats::Enabled::new() {
            Ok(enabled) => enabled,
            Err(error) => {
                results.missing(WHAT, &format!("{error:#}"));
                return Ok(());
            }
        };
        let rig = Rig::start(&self.folder)?;
        rig.load(self.effort.seconds)?;
        let mut variants = vec![Variant::Empty, Variant::Traced];
        for round in 0..self.effort.rounds {
            for variant in order(&variants, round) {
                match self.bpf_turn(&rig, variant) {
                    Ok(time) => results.bpf(variant, time),
                    Err(error) => drop_out(results, &mut variants, variant, WHAT, &error),
                }
            }
        }
        Ok(())
    }

    fn bpf_turn(&self, rig: &Rig, variant: Variant) -> Result<BpfTime> {
        let before = bpfstats::read()?;
        let tracer = Tracer::start(variant, &self.hatrace, rig.pid(), &self.folder)?;
        let start = bpfstats::read()?;
        let load = rig.load(self.effort.seconds)?;
        let end = bpfstats::read()?;
        tracer.stop()?;
        let programs = bpfstats::used(&before, &start, &end);
        if programs.is_empty() {
            anyhow::bail!("none of its programs ran");
        }
        Ok(BpfTime {
            requests: load.requests,
            programs,
        })
    }
}

/// The variants, each round beginning with another one.
fn order(variants: &[Variant], round: usize) -> Vec<Variant> {
    let mut order = variants.to_vec();
    if !order.is_empty() {
        order.rotate_left(round % variants.len());
    }
    order
}

/// A variant that fails once is out, and said to be: half a series would be compared with whole ones.
fn drop_out(
    results: &mut Results,
    variants: &mut Vec<Variant>,
    variant: Variant,
    what: &str,
    error: &anyhow::Error,
) {
    eprintln!("bench: {what}, {}: {error:#}", variant.name());
    results.missing(&format!("{what}, {}", variant.name()), &format!("{error:#}"));
    variants.retain(|other| *other != variant);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_every_place() {
        let variants = [Variant::Bare, Variant::Control, Variant::Traced];
        let firsts: Vec<_> = (0..3).map(|round| order(&variants, round)[0]).collect();
        assert_eq!(firsts, variants);
        assert!(order(&[], 3).is_empty());
    }
}
