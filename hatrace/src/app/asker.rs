//! When HAProxy is asked: only while something lingers that has no name, one process at a time, never longer than a hundredth of the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hatrace_core::ids::Pid;
use hatrace_core::input::{Gap, Input};
use hatrace_core::naming::{Asking, Wants};
use hatrace_core::sock::HeldSock;
use hatrace_core::stream::{Access, Told, Unreachable};
use hatrace_core::tcp::TcpState;
use hatrace_core::time::Mono;
use tokio::sync::oneshot;

use super::tap::Tap;
use crate::cli::ApiOptions;
use crate::clock;
use crate::error::Problem;
use crate::haproxy::{Answers, Names, Questions, Reach, configured_by};
use crate::port::Source;
use crate::target::{Proc, haproxy_version};
use crate::view::out::Words;

mod settle;

pub(super) use settle::Settle;

/// One part in a hundred: after an answer that took a millisecond, 99 of silence.
const SILENCE: u32 = 99;
/// How often the engine is asked what it would like to know.
const THOUGHT: Duration = Duration::from_millis(200);
/// What one round's questions about single descriptors may take.
const ALLOWED: Duration = Duration::from_millis(100);
/// A process that can't be asked is tried again after this, then twice that, and so on up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The asking of every process followed.
pub(super) struct Asker {
    options: ApiOptions,
    words: Words,
    processes: BTreeMap<Pid, Process>,
    /// Masters: they serve nobody's connections, and are not asked.
    masters: BTreeSet<Pid>,
    running: Option<Running>,
    /// Away with the task that is running.
    names: Option<Names>,
    next_thought: Mono,
    warned: BTreeSet<(Pid, Unreachable)>,
}

#[derive(Default)]
struct Process {
    /// Away with the task that is running.
    reach: Option<Reach>,
    not_before: Mono,
    failures: u32,
    /// Rounds of questions, the first contact not counted.
    rounds: u64,
}

/// Questions on their way.
struct Running {
    pid: Pid,
    done: oneshot::Receiver<Done>,
    /// The sockets before the first question; `None`: nothing was asked but who is there.
    before: Option<Vec<HeldSock>>,
    cost_before: Duration,
}

struct Done {
    reach: Reach,
    names: Names,
    answers: Answers,
}

impl Asker {
    pub(super) fn new(options: ApiOptions, words: Words) -> Self {
        Self {
            options,
            words,
            processes: BTreeMap::new(),
            masters: BTreeSet::new(),
            running: None,
            names: Some(Names::default()),
            next_thought: Mono::default(),
            warned: BTreeSet::new(),
        }
    }

    /// HAProxy's version by its own word, where it was reached.
    pub(super) fn version(&self) -> Option<String> {
        self.processes
            .values()
            .find_map(|process| process.reach.as_ref()?.info().version.clone())
    }

    /// Makes the first contact with every process, waiting no longer than a moment for it.
    pub(super) async fn open(&mut self, source: &mut dyn Source, engine: &mut Tap) {
        const MOMENT: Duration = Duration::from_millis(700);
        self.until(source, engine, MOMENT, |this| {
            this.running.is_none() && this.unopened().is_none()
        })
        .await;
    }

    async fn until(
        &mut self,
        source: &mut dyn Source,
        engine: &mut Tap,
        patience: Duration,
        enough: impl Fn(&Self) -> bool,
    ) {
        let end = clock::now().plus(patience);
        loop {
            self.step(clock::now(), source, engine);
            if enough(self) || clock::now() >= end {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn unopened(&self) -> Option<Pid> {
        let unopened = |process: &&Process| {
            process
                .reach
                .as_ref()
                .is_some_and(|reach| reach.asking().access.is_none())
        };
        self.processes
            .iter()
            .find(|(_, process)| unopened(process))
            .map(|(pid, _)| *pid)
    }

    /// Takes an answer that has come, or asks what is to be asked next.
    pub(super) fn step(&mut self, now: Mono, source: &mut dyn Source, engine: &mut Tap) {
        self.follow(source, engine);
        if self.options.off || !self.finish(source, engine) {
            return;
        }
        if let Some(pid) = self.unopened().or_else(|| self.due_again(now)) {
            self.start(pid, None, Questions::default(), Duration::ZERO);
            return;
        }
        let ready = |process: &Process| process.reach.as_ref().is_some_and(Reach::ready);
        let due = |process: &Process| ready(process) && process.not_before <= now;
        if now < self.next_thought || !self.processes.values().any(due) {
            return;
        }
        self.next_thought = now.plus(THOUGHT);
        let due = engine.wants(now, None).into_iter().find(|(pid, wants)| {
            let process = self.processes.get(pid);
            let due = process.is_some_and(|process| process.not_before <= now);
            due && !wants.is_empty() && self.affords(*pid, now, engine)
        });
        if let Some((pid, wants)) = due {
            self.ask(pid, &wants, false, false, source, engine);
        }
    }

    /// Processes come and go.
    fn follow(&mut self, source: &dyn Source, engine: &mut Tap) {
        let pids = source.pids();
        self.processes.retain(|pid, _| pids.contains(pid));
        for pid in pids {
            if self.processes.contains_key(&pid) || self.masters.contains(&pid) {
                continue;
            }
            let Some(process) = Proc::find(pid).filter(Proc::is_haproxy) else {
                continue;
            };
            let master = process.master();
            if master.is_none() && has_workers(pid) {
                self.masters.insert(pid);
                continue;
            }
            let configuration = configured_by(&process, haproxy_version(&process)).configuration();
            engine.handle(clock::now(), Input::Configured(pid, Arc::new(configuration)));
            if self.options.off {
                let asking = Asking {
                    pid,
                    access: Some(Access::Off),
                    questions: 0,
                    took: Duration::ZERO,
                    longest: Duration::ZERO,
                };
                engine.handle(clock::now(), Input::Asking(asking));
            }
            let reach = Reach::new(process, master, self.options.socket.clone());
            self.processes.insert(
                pid,
                Process {
                    reach: Some(reach),
                    ..Process::default()
                },
            );
        }
    }

    fn due_again(&self, now: Mono) -> Option<Pid> {
        let refused = |process: &Process| process.reach.as_ref().is_some_and(|reach| !reach.ready());
        self.processes
            .iter()
            .find(|(_, process)| refused(process) && process.not_before <= now)
            .map(|(pid, _)| *pid)
    }

    /// `true`: nothing is on its way (any more).
    fn finish(&mut self, source: &mut dyn Source, engine: &mut Tap) -> bool {
        let Some(running) = &mut self.running else {
            return true;
        };
        let done = match running.done.try_recv() {
            Ok(done) => done,
            Err(oneshot::error::TryRecvError::Empty) => return false,
            Err(oneshot::error::TryRecvError::Closed) => {
                // The task failed: its process is looked for anew.
                let pid = running.pid;
                self.running = None;
                self.names.get_or_insert_default();
                self.processes.remove(&pid);
                return true;
            }
        };
        let Some(running) = self.running.take() else {
            return true;
        };
        self.settle_one(running, done, source, engine);
        true
    }

    fn settle_one(&mut self, running: Running, done: Done, source: &mut dyn Source, engine: &mut Tap) {
        let (pid, now) = (running.pid, clock::now());
        let (reach, answers) = (done.reach, done.answers);
        self.names = Some(done.names);
        let asking = reach.asking().clone();
        self.warn(&asking);
        let cost = asking.took.saturating_sub(running.cost_before);
        let ready = reach.ready();
        engine.handle(now, Input::Asking(asking));
        if let Some(process) = self.processes.get_mut(&pid) {
            process.reach = Some(reach);
            process.rounds += u64::from(running.before.is_some());
            if ready && running.before.is_none() {
                // That somebody is there doesn't shorten the pause after an answer that didn't come.
            } else if ready {
                process.failures = 0;
                process.not_before = now.plus(self.options.interval.max(cost * SILENCE));
            } else {
                let pause = FIRST_RETRY.saturating_mul(1 << process.failures.min(10));
                process.not_before = now.plus(pause.min(LONGEST_RETRY));
                process.failures += 1;
            }
        }
        let Some(before) = running.before else { return };
        match source.held(&[pid]) {
            Ok(after) => {
                let told = Told {
                    pid,
                    before,
                    after,
                    streams: answers.streams,
                    details: answers.details,
                    asked: answers.asked,
                    fds: answers.fds,
                    servers: answers.servers,
                    figures: answers.figures,
                };
                engine.handle(clock::now(), Input::Told(Box::new(told)));
            }
            Err(why) => engine.handle(now, Input::Gap(Gap::SweepFailed { why })),
        }
    }

    /// Once for each process and reason.
    fn warn(&mut self, asking: &Asking) {
        if let (Some(Access::Refused { code, .. }), Some(problem)) = (&asking.access, refusal(asking))
            && self.warned.insert((asking.pid, *code))
        {
            self.words.warn(&problem);
        }
    }

    fn ask(
        &mut self,
        pid: Pid,
        wants: &Wants,
        everything: bool,
        figures: bool,
        source: &mut dyn Source,
        engine: &mut Tap,
    ) {
        let before = match source.held(&[pid]) {
            Ok(before) => before,
            Err(why) => {
                engine.handle(clock::now(), Input::Gap(Gap::SweepFailed { why }));
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.not_before = clock::now().plus(self.options.interval);
                }
                return;
            }
        };
        let unknown = |held: &&HeldSock| held.state == TcpState::Listen && !engine.knows_listener(held);
        let questions = Questions {
            streams: everything || !wants.sockets.is_empty(),
            sockets: wants.sockets.iter().map(|(fd, _)| *fd).collect(),
            listeners: before.iter().filter(unknown).map(|held| held.fd).collect(),
            servers: everything || wants.servers,
            figures,
        };
        self.start(pid, Some(before), questions, ALLOWED);
    }

    fn start(&mut self, pid: Pid, before: Option<Vec<HeldSock>>, questions: Questions, allowed: Duration) {
        let Some(reach) = self
            .processes
            .get_mut(&pid)
            .and_then(|process| process.reach.take())
        else {
            return;
        };
        let names = self.names.take().unwrap_or_default();
        let (tell, done) = oneshot::channel();
        self.running = Some(Running {
            pid,
            done,
            cost_before: reach.asking().took,
            before,
        });
        let knock = self
            .running
            .as_ref()
            .is_some_and(|running| running.before.is_none());
        tokio::spawn(async move {
            let (mut reach, mut names) = (reach, names);
            let mut answers = Answers::default();
            if knock {
                reach.open().await;
            } else {
                answers = reach.round(&questions, allowed, &mut names).await;
            }
            let _ = tell.send(Done {
                reach,
                names,
                answers,
            });
        });
    }
}

/// Why a process can't be asked, and what to do about it.
pub(super) fn refusal(asking: &Asking) -> Option<Problem> {
    let Some(Access::Refused { why, remedy, .. }) = &asking.access else {
        return None;
    };
    let problem = Problem::cannot(format!("{why}: sessions of {} stay unnamed", asking.pid));
    Some(match remedy {
        Some(remedy) => problem.remedy(remedy),
        None => problem,
    })
}

fn has_workers(pid: Pid) -> bool {
    Proc::all()
        .iter()
        .any(|other| other.parent == pid && other.is_haproxy())
}
