//! What this host allows, what it costs to lack, and the remedy.
//!
//! Readings of `/proc` and `/sys`, put into words. It loads nothing itself: what only a try can tell (does the kernel half load?) comes
//! in as [`Probes`]. Everything is read below a root that tests replace, so a host that nobody has can be judged too.

mod host;
mod process;
mod programs;
mod tcp;

pub use host::Host;

use std::collections::BTreeMap;

use hatrace_core::stream::Access;

use crate::ability::Abilities;
use crate::port::{Check, Status};

impl Check {
    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            status: Status::Ok,
            found: found.into(),
            costs: None,
            remedy: None,
            figures: BTreeMap::new(),
        }
    }

    fn warn(name: &str, found: impl Into<String>, costs: impl Into<String>) -> Self {
        Self {
            status: Status::Warn,
            costs: Some(costs.into()),
            ..Self::ok(name, found)
        }
    }

    fn fail(name: &str, found: impl Into<String>, costs: impl Into<String>) -> Self {
        Self {
            status: Status::Fail,
            ..Self::warn(name, found, costs)
        }
    }

    #[must_use]
    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// What was tried by those who know how, with the reason where it failed.
#[derive(Clone, Debug)]
pub struct Probes {
    /// The programs without which nothing is traced loaded; what the verifier has looked at, by program.
    pub core: Result<BTreeMap<String, u32>, String>,
    /// What can't be had beyond them.
    pub abilities: Abilities,
    /// A SOCK_DIAG dump of TCP sockets came to its end.
    pub sock_diag: Result<(), String>,
    /// HAProxy's processes: pid, and role in a word (`worker`, `master`).
    pub haproxy: Vec<(u32, String)>,
    /// Whether those that serve connections can be asked for their sessions.
    pub access: Vec<(u32, Access)>,
}

/// All checks, in the order in which one asks: may I, can this kernel, does it load, how full is it, who is there.
#[must_use]
pub fn checks(host: &Host, probes: &Probes) -> Vec<Check> {
    let mut checks = programs::checks(host, probes);
    checks.extend(tcp::checks(host, probes));
    checks.extend(process::checks(host, probes));
    checks
}

#[cfg(test)]
mod tests;
