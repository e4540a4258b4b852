//! The rounds: who runs when, and what is read before and after.

use std::path::PathBuf;

use anyhow::Result;

use super::Effort;
use super::bpfstats;
use super::churn::{self, Churn};
use super::hold::MOST;
use super::results::{Agent, BpfTime, Results};
use super::rig::{Rig, Traffic};
use super::tracer::{Tracer, Variant};

/// Apart from HAProxy's, and below the ports that connections take.
const LOOP_PORT: u16 = 18_090;

/// What is to be decided is between two variants; the others take part in every so many turns and rounds.
const CONTROLLED: usize = 4;
/// Seconds of a round in which rates are compared.
const ROUND: u32 = 1;

/// After this long hatrace has looked around, for the first time.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(1);

/// Where and how hard to measure.
pub(super) struct Bench<'a> {
    pub(super) hatrace: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) effort: &'a Effort,
}

impl Bench<'_> {
    /// The tight loop.
    pub(super) fn tight_loop(&self, results: &mut Results) -> Result<()> {
        let connections = self.effort.connections;
        let mut churn = Churn::start(&self.folder, LOOP_PORT, connections)?;
        let mut variants = Variant::OURS.to_vec();
        let runs = self.effort.turns * 2 + self.effort.turns.div_ceil(CONTROLLED) * 2;
        eprintln!(
            "bench: tight loop: {} turns, about {:.0} s",
            self.effort.turns,
            churn::expected(connections).as_secs_f64() * runs as f64
        );
        churn.measure()?;
        for turn in 0..self.effort.turns {
            for variant in order(&variants, turn) {
                if turn % CONTROLLED != 0 && !matches!(variant, Variant::Empty | Variant::Traced) {
                    continue;
                }
                match self.loop_turn(&mut churn, variant) {
                    Ok(lap) => results.lap(variant, turn, lap),
                    Err(error) => drop_out(results, &mut variants, variant, "tight loop", &error),
                }
            }
        }
        Ok(())
    }

    fn loop_turn(&self, churn: &mut Churn, variant: Variant) -> Result<churn::Lap> {
        let tracer = Tracer::start(variant, &self.hatrace, &[churn.pid()], &self.folder)?;
        let lap = churn.measure()?;
        tracer.stop()?;
        Ok(lap)
    }

    /// HAProxy under churn, alone and beside other tools; with keep-alive; and with thousands of connections open.
    pub(super) fn haproxy(&self, results: &mut Results) -> Result<()> {
        let rig = Rig::start(&self.folder)?;
        let mut peers = Variant::PEERS.to_vec();
        peers.retain(|peer| {
            let absent = peer.absent();
            if let Some(why) = absent {
                results.missing(&format!("HAProxy beside {}", peer.name()), why);
            }
            absent.is_none()
        });
        let all = [&Variant::OURS[..], &peers].concat();
        let ours = |round: usize| {
            if round.is_multiple_of(CONTROLLED) {
                Variant::OURS.to_vec()
            } else {
                vec![Variant::Control, Variant::Traced]
            }
        };
        let rounds = self.effort.rounds;
        rig.load(Traffic::Churn, self.effort.seconds)?;
        self.traffic(
            &rig,
            Traffic::Churn,
            rounds,
            |round| {
                // Those beside us are slow, and far away from any doubt: fewer rounds will do.
                if round % self.effort.peers_every == 0 {
                    all.clone()
                } else {
                    ours(round)
                }
            },
            results,
        );
        for variant in all.iter().copied().filter(|variant| variant.is_tracer()) {
            if let Err(error) = self.long_turn(&rig, variant, results) {
                results.missing(&format!("{}'s own use", variant.name()), &format!("{error:#}"));
            }
        }
        self.traffic(&rig, Traffic::KeepAlive, rounds.div_ceil(3), ours, results);
        let _held = rig.hold(MOST)?;
        self.traffic(&rig, Traffic::Crowded, rounds.div_ceil(2), ours, results);
        Ok(())
    }

    fn traffic(
        &self,
        rig: &Rig,
        traffic: Traffic,
        rounds: usize,
        variants: impl Fn(usize) -> Vec<Variant>,
        results: &mut Results,
    ) {
        eprintln!(
            "bench: HAProxy, {}: {rounds} rounds, {ROUND} s each",
            traffic.name()
        );
        let mut out = Vec::new();
        for round in 0..rounds {
            for variant in order(&variants(round), round) {
                if out.contains(&variant) {
                    continue;
                }
                if let Err(error) = self.traffic_turn(rig, traffic, variant, round, results) {
                    eprintln!("bench: {}, {}: {error:#}", traffic.name(), variant.name());
                    results.missing(
                        &format!("{}, {}", traffic.name(), variant.name()),
                        &format!("{error:#}"),
                    );
                    out.push(variant);
                }
            }
        }
    }

    fn traffic_turn(
        &self,
        rig: &Rig,
        traffic: Traffic,
        variant: Variant,
        round: usize,
        results: &mut Results,
    ) -> Result<()> {
        let tracer = Tracer::start(variant, &self.hatrace, &[rig.pid()], &self.folder)?;
        // A round is to be of what goes on, not of loading: that is told by itself. The same pause for each: a load that follows the one
        // before at once is faster than one after a second of rest.
        std::thread::sleep(SETTLED);
        let load = rig.load(traffic, ROUND)?;
        results.ended(tracer.stop()?);
        results.load(traffic, variant, round, load);
        Ok(())
    }

    /// What a tracer itself uses: over a longer time, because what it does now and then counts as well.
    fn long_turn(&self, rig: &Rig, variant: Variant, results: &mut Results) -> Result<()> {
        eprintln!(
            "bench: {} under full churn, {} s",
            variant.name(),
            self.effort.long
        );
        let tracer = Tracer::start(variant, &self.hatrace, &[rig.pid()], &self.folder)?;
        std::thread::sleep(std::time::Duration::from_secs(2));
        let before = tracer.cpu_seconds();
        let load = rig.load(Traffic::Churn, self.effort.long)?;
        let cpu = tracer
            .cpu_seconds()
            .zip(before)
            .map(|(after, before)| after - before);
        let memory = tracer.memory();
        results.ended(tracer.stop()?);
        results.agent(
            variant,
            Agent {
                cpu,
                beginning: before,
                requests: load.requests,
                memory,
            },
        );
        Ok(())
    }

    /// Rounds of their own: reading the clock around every program is most of what a small one costs.
    pub(super) fn bpf_time(&self, results: &mut Results) -> Result<()> {
        const WHAT: &str = "BPF time a connection";
        let _statistics = match bpfstats::enable() {
            Ok(enabled) => enabled,
            Err(error) => {
                results.missing(WHAT, &format!("{error:#}"));
                return Ok(());
            }
        };
        let rig = Rig::start(&self.folder)?;
        rig.load(Traffic::Churn, self.effort.seconds)?;
        let mut variants = vec![Variant::Empty, Variant::Traced];
        variants.extend(
            Variant::PEERS
                .into_iter()
                .filter(|peer| peer.has_programs() && peer.absent().is_none()),
        );
        let rounds = self.effort.bpf_rounds;
        eprintln!(
            "bench: BPF time: {rounds} rounds of {} variants, {} s each",
            variants.len(),
            self.effort.seconds
        );
        for round in 0..rounds {
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
        let tracer = Tracer::start(variant, &self.hatrace, &[rig.pid()], &self.folder)?;
        let start = bpfstats::read()?;
        let load = rig.load(Traffic::Churn, self.effort.seconds)?;
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
