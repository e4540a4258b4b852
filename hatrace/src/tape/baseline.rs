//! What a reader must know who begins with a later file: what was said in earlier ones and still holds.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use hatrace_core::ids::Pid;
use hatrace_core::input::{Counts, Input};
use hatrace_core::stream::{FdUse, Told};
use hatrace_core::time::Mono;

/// Answers of one process that are kept for the names they have. They are rare: listeners and servers are asked about once.
const KEPT: usize = 64;

/// What still holds. Cheap to clone: it is, once for each member.
#[derive(Clone, Debug, Default)]
pub(super) struct Baseline {
    /// How each process was configured, how its asking goes.
    said: BTreeMap<(Pid, &'static str), (Mono, Arc<Input>)>,
    /// Answers with names of listeners and servers.
    names: BTreeMap<Pid, VecDeque<(Mono, Arc<Input>)>>,
    counts: Option<(Mono, Arc<Counts>)>,
}

impl Baseline {
    /// Learns from what the engine is given.
    pub(super) fn take(&mut self, at: Mono, input: &Input) {
        let said = || (at, Arc::new(input.clone()));
        match input {
            Input::Configured(pid, _) => {
                self.said.insert((*pid, "configured"), said());
            }
            Input::Asking(asking) => {
                self.said.insert((asking.pid, "asking"), said());
            }
            Input::Counts(counts) => self.counts = Some((at, Arc::new((**counts).clone()))),
            Input::Told(told) => {
                if told.streams.is_some() || !told.details.is_empty() {
                    self.said.insert((told.pid, "told"), said());
                }
                if has_names(told) {
                    let names = self.names.entry(told.pid).or_default();
                    names.push_back((at, Arc::new(Input::Told(Box::new(names_of(told))))));
                    if names.len() > KEPT {
                        names.pop_front();
                    }
                }
            }
            _ => {}
        }
    }

    /// All of it, oldest first.
    pub(super) fn inputs(&self) -> Vec<(Mono, Arc<Input>)> {
        let counts = self.counts.iter().map(|(at, counts)| {
            let counts = Input::Counts(Box::new((**counts).clone()));
            (*at, Arc::new(counts))
        });
        let names = self.names.values().flatten().cloned();
        let mut all: Vec<_> = self.said.values().cloned().chain(names).chain(counts).collect();
        all.sort_by_key(|(at, _)| *at);
        all
    }
}

fn has_names(told: &Told) -> bool {
    told.servers.is_some() || told.fds.iter().any(|line| line.what == FdUse::Listener)
}

/// The names alone: of an answer with a million streams little is left.
fn names_of(told: &Told) -> Told {
    Told {
        streams: None,
        details: Vec::new(),
        ..told.clone()
    }
}
