//! The last word before a view is drawn, and what may still be asked for it.

use std::time::Duration;

use hatrace_core::Engine;
use hatrace_core::ids::{Fd, Pid, SessionPtr};
use hatrace_core::time::Mono;

use super::super::tap::Tap;
use super::{Asker, SILENCE};
use crate::clock;
use crate::haproxy::{Reach, Verbatim};
use crate::port::Source;

/// What the last word before a view is drawn may cost, and whom it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Settle {
    /// What lingers without a name, and names that were told a while ago.
    Lingering,
    /// The same, and the figures of `show stat`, once: the end of a watch.
    Watched,
    /// Everything: all sessions of every process.
    Sessions {
        /// With the figures of `show stat`.
        figures: bool,
    },
}

impl Asker {
    /// The last word before a view is drawn: one more round with each process that has something to tell.
    pub(in crate::app) async fn settle(&mut self, what: Settle, source: &mut dyn Source, engine: &mut Tap) {
        const PATIENCE: Duration = Duration::from_secs(6);
        if self.options.off {
            self.step(clock::now(), source, engine);
            return;
        }
        let end = clock::now().plus(PATIENCE);
        let left = |now: Mono| end.since(now);
        self.until(source, engine, left(clock::now()), |this| {
            this.running.is_none() && this.unopened().is_none()
        })
        .await;
        let pids: Vec<Pid> = self.processes.keys().copied().collect();
        for pid in pids {
            if !self.ready(pid) || !self.finish(source, engine) {
                continue;
            }
            let now = clock::now();
            let (again, everything, figures) = match what {
                Settle::Lingering => (Some(self.options.interval), false, false),
                Settle::Watched => (Some(self.options.interval), false, true),
                Settle::Sessions { figures } => (Some(Duration::ZERO), true, figures),
            };
            let wants = engine.wants(now, again).remove(&pid).unwrap_or_default();
            let afford = everything || self.affords(pid, now, engine);
            if (wants.is_empty() && !everything && !figures) || !afford {
                continue;
            }
            self.ask(pid, &wants, everything, figures, source, engine);
            let patience = left(clock::now());
            self.wait(source, engine, patience).await;
        }
    }

    /// A process's own words on what is stuck; `None`: it can't be asked.
    pub(in crate::app) async fn verbatim(
        &mut self,
        pid: Pid,
        sessions: &[SessionPtr],
        fds: &[Fd],
        allowed: Duration,
    ) -> Option<Verbatim> {
        let reach = self.processes.get_mut(&pid)?.reach.as_mut()?;
        Some(reach.verbatim(sessions, fds, allowed).await)
    }

    /// Waits for what is on its way, asking nothing more.
    pub(super) async fn wait(&mut self, source: &mut dyn Source, engine: &mut Tap, patience: Duration) {
        let end = clock::now().plus(patience);
        while !self.finish(source, engine) && clock::now() < end {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) fn ready(&self, pid: Pid) -> bool {
        let process = self.processes.get(&pid);
        process.is_some_and(|process| process.reach.as_ref().is_some_and(Reach::ready))
    }

    /// Whether one more round, as long as the longest answer so far, stays within a hundredth of the time watched. The first is always
    /// afforded: without it there would be no names at all.
    pub(super) fn affords(&self, pid: Pid, now: Mono, engine: &Engine) -> bool {
        let Some(process) = self.processes.get(&pid) else {
            return false;
        };
        let Some(asking) = process.reach.as_ref().map(Reach::asking) else {
            return false;
        };
        process.rounds == 0 || (asking.took + asking.longest) * (SILENCE + 1) <= engine.watched(now)
    }
}
