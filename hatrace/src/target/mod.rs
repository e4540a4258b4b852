//! Which processes are HAProxy, and which of them are meant.

mod ask;
mod host;
mod neighbours;
mod proc;
mod survey;
mod tables;
mod version;

use std::collections::BTreeMap;

use hatrace_core::ids::{Netns, Pid};
use hatrace_core::input::ProcessChange;

use crate::error::Problem;
pub use ask::parse_pids;
pub use host::host;
pub use proc::{Proc, all_socket_inodes, socket_inodes};
pub use tables::{tables, threads};
pub use version::{haproxy_build, haproxy_version};

/// The HAProxy processes that are followed.
#[derive(Clone, Debug)]
pub struct Target {
    processes: BTreeMap<Pid, Proc>,
    /// Processes whose HAProxy children are followed as well, those of a later reload too.
    masters: Vec<Pid>,
}

impl Target {
    /// The target that `--pid` names. `given`: the option was there, with or without values.
    ///
    /// # Errors
    /// Not a number (usage); no such process, or it is no HAProxy, or none runs (this host can't).
    pub fn resolve(values: &[String], given: bool) -> Result<Self, Problem> {
        let pids = parse_pids(values)?;
        let all = Proc::all();
        if pids.is_empty() {
            return ask::find(&all, given);
        }
        let mut chosen = Vec::new();
        for pid in pids {
            chosen.push(ask::named(pid, &all)?);
        }
        Ok(Self::of(chosen, &all))
    }

    /// The processes of `chosen`, with the workers of those that are masters.
    fn of(chosen: Vec<Proc>, all: &[Proc]) -> Self {
        let children = |of: Pid| {
            all.iter()
                .filter(move |process| process.parent == of && process.is_haproxy())
        };
        let masters: Vec<Pid> = chosen
            .iter()
            .filter(|process| {
                process.wants_to_be_master() && !chosen_is_worker(process, all)
                    || children(process.pid).next().is_some()
            })
            .map(|process| process.pid)
            .collect();
        let mut processes: BTreeMap<Pid, Proc> =
            chosen.into_iter().map(|process| (process.pid, process)).collect();
        for master in &masters {
            for child in children(*master) {
                processes.entry(child.pid).or_insert_with(|| child.clone());
            }
        }
        Self { processes, masters }
    }

    /// The processes followed: workers first, then masters.
    #[must_use]
    pub fn pids(&self) -> Vec<Pid> {
        let is_master = |pid: &&Pid| self.masters.contains(pid);
        let workers = self.processes.keys().filter(|pid| !is_master(pid));
        workers
            .chain(self.processes.keys().filter(is_master))
            .copied()
            .collect()
    }

    /// The master, if one is followed.
    #[must_use]
    pub fn master(&self) -> Option<Pid> {
        self.masters
            .iter()
            .find(|pid| self.processes.contains_key(pid))
            .copied()
    }

    /// Whether a process is a master.
    #[must_use]
    pub fn is_master(&self, pid: Pid) -> bool {
        self.masters.contains(&pid)
    }

    /// The processes followed.
    pub fn processes(&self) -> impl Iterator<Item = &Proc> {
        self.processes.values()
    }

    /// The network namespace of each, where it can be told.
    pub fn namespaces(&self) -> impl Iterator<Item = (Pid, Netns)> {
        self.processes()
            .filter_map(|process| Some((process.pid, process.netns()?)))
    }

    /// HAProxy's process name.
    #[must_use]
    pub fn comm(&self) -> String {
        self.processes
            .values()
            .next()
            .map_or_else(|| "haproxy".to_owned(), |process| process.comm.clone())
    }

    /// Workers that a reload has replaced, with their masters: of a master's workers all but the youngest.
    #[must_use]
    pub fn replaced(&self) -> Vec<(Pid, Pid)> {
        self.masters
            .iter()
            .flat_map(|master| {
                let workers = || {
                    self.processes
                        .values()
                        .filter(move |process| process.parent == *master && process.is_haproxy())
                };
                let youngest = workers().map(|worker| (worker.started, worker.pid)).max();
                workers()
                    .filter(move |worker| Some((worker.started, worker.pid)) != youngest)
                    .map(|worker| (worker.pid, *master))
            })
            .collect()
    }

    /// A process was born by a followed one, as the kernel half tells: it is followed from now on. `None`: it has gone already.
    pub fn born(&mut self, pid: Pid) -> Option<()> {
        let process = Proc::find(pid)?;
        self.processes.insert(pid, process);
        Some(())
    }

    /// A process ended, as the kernel half tells.
    pub fn ended(&mut self, pid: Pid) {
        self.processes.remove(&pid);
    }

    /// Looks at `/proc` again: what has changed since.
    pub fn refresh(&mut self) -> Vec<ProcessChange> {
        let mut changes = Vec::new();
        let gone: Vec<Pid> = self
            .processes
            .values()
            .filter(|process| !process.alive())
            .map(|process| process.pid)
            .collect();
        for pid in gone {
            self.processes.remove(&pid);
            changes.push(ProcessChange::Ended { pid });
        }
        if self
            .masters
            .iter()
            .all(|master| !self.processes.contains_key(master))
        {
            return changes;
        }
        for process in Proc::all() {
            let ours = self.masters.contains(&process.parent) && self.processes.contains_key(&process.parent);
            if ours && process.is_haproxy() && !self.processes.contains_key(&process.pid) {
                changes.push(ProcessChange::Born {
                    pid: process.pid,
                    parent: process.parent,
                });
                self.processes.insert(process.pid, process);
            }
        }
        changes
    }
}

/// A worker's command line says `-W` too: what makes a master is that its parent is no HAProxy.
fn chosen_is_worker(process: &Proc, all: &[Proc]) -> bool {
    all.iter()
        .any(|other| other.pid == process.parent && other.is_haproxy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, name: &str, cmdline: &[&str]) -> Proc {
        Proc {
            pid: Pid(pid),
            parent: Pid(parent),
            started: 1,
            comm: name.to_owned(),
            exe: None,
            cmdline: cmdline.iter().map(|&arg| arg.to_owned()).collect(),
            inner_pids: Vec::new(),
        }
    }

    fn tree() -> Vec<Proc> {
        let line = ["haproxy", "-W", "-f", "x"];
        vec![
            process(1, 0, "init", &[]),
            process(10, 1, "haproxy", &line),
            process(12, 10, "haproxy", &line),
            process(11, 10, "haproxy", &line),
            process(20, 1, "haproxy", &["haproxy", "-db"]),
        ]
    }

    fn pick(pids: &[u32]) -> Target {
        let all = tree();
        let chosen = all
            .iter()
            .filter(|process| pids.contains(&process.pid.0))
            .cloned()
            .collect();
        Target::of(chosen, &all)
    }

    #[test]
    fn a_master_stands_for_its_workers() {
        assert_eq!(pick(&[10]).pids(), [Pid(11), Pid(12), Pid(10)]);
        assert_eq!(pick(&[10]).master(), Some(Pid(10)));
        assert_eq!(pick(&[12, 10]).pids(), pick(&[10]).pids());
    }

    #[test]
    fn a_worker_alone_is_just_that_worker() {
        assert_eq!(pick(&[11]).pids(), [Pid(11)]);
        assert_eq!(pick(&[11]).master(), None);
    }

    #[test]
    fn a_lone_haproxy_is_no_master() {
        assert_eq!(pick(&[20]).pids(), [Pid(20)]);
        assert_eq!(pick(&[20]).master(), None);
    }
}
