//! How much the verifier looks at, by kernel and program: recorded, so that a program that becomes too dear is noticed before a kernel
//! refuses it (a million instructions is the limit: `BPF_COMPLEXITY_LIMIT_INSNS`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::outcome::Outcome;
use crate::workspace::Workspace;

/// More than so many times the recorded count is a failure.
const MUCH: f64 = 1.5;
/// Below this a count says nothing.
const FEW: u64 = 2_000;

/// Instructions, by kernel and program.
pub(super) struct Record(BTreeMap<String, BTreeMap<String, u64>>);

impl Record {
    fn path(workspace: &Workspace) -> PathBuf {
        workspace.root.join("tests/verified.json")
    }

    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let path = Self::path(workspace);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let value: serde_json::Value =
                    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
                let programs = |value: &serde_json::Value| -> BTreeMap<String, u64> {
                    let all = value.as_object().into_iter().flatten();
                    all.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
                        .collect()
                };
                let kernels = value.as_object().into_iter().flatten();
                Ok(Self(
                    kernels
                        .map(|(name, value)| (name.clone(), programs(value)))
                        .collect(),
                ))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self(BTreeMap::new())),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    pub(super) fn of(outcomes: &[Outcome]) -> Self {
        let of = |outcome: &Outcome| (outcome.kernel.name.to_owned(), outcome.verified());
        Self(
            outcomes
                .iter()
                .map(of)
                .filter(|(_, programs)| !programs.is_empty())
                .collect(),
        )
    }

    pub(super) fn write(&self, workspace: &Workspace) -> Result<()> {
        let path = Self::path(workspace);
        let text = serde_json::to_string_pretty(&self.0).context("writing JSON")? + "\n";
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// What has become worse on a kernel: programs that load no more, and those that are much dearer.
    pub(super) fn worse(&self, outcome: &Outcome) -> Vec<String> {
        let found = outcome.verified();
        self.of_kernel(outcome)
            .filter_map(|(name, before)| match found.get(name) {
                None => Some(format!("{name} loads no more")),
                Some(now) if *now > FEW && *now as f64 > *before as f64 * MUCH => Some(format!(
                    "the verifier looks at {now} instructions for {name}, it was {before}"
                )),
                Some(_) => None,
            })
            .collect()
    }

    /// A line for each count that isn't what was recorded.
    pub(super) fn differences(&self, outcomes: &[Outcome]) -> Vec<String> {
        let mut lines = Vec::new();
        for outcome in outcomes {
            let found = outcome.verified();
            for (name, before) in self.of_kernel(outcome) {
                let now = found.get(name).copied().unwrap_or(0);
                if now != *before {
                    lines.push(format!(
                        "verifier, Linux {}: {name} {before} -> {now}",
                        outcome.kernel.name
                    ));
                }
            }
        }
        lines
    }

    fn of_kernel(&self, outcome: &Outcome) -> impl Iterator<Item = (&String, &u64)> {
        self.0.get(outcome.kernel.name).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::boot::Console;
    use crate::vm::kernels::KERNELS;

    fn outcome(programs: &str) -> Outcome {
        let doctor = format!("vm-doctor: {{\"checks\":[{{\"name\":\"programs\",\"figures\":{programs}}}]}}");
        let console = Console {
            booted: Some("6.1.0".to_owned()),
            ended: Some(0),
            lines: vec![doctor, "test held::a ... ok".to_owned()],
        };
        Outcome::of(&KERNELS[1], &console)
    }

    #[test]
    fn a_program_that_loads_no_more_is_a_failure_and_so_is_one_that_has_become_dear() {
        let record = Record::of(&[outcome(r#"{"set_state":10000,"files":900,"send_reset":100}"#)]);
        let same = outcome(r#"{"set_state":11000,"files":1900,"send_reset":100}"#);
        assert!(record.worse(&same).is_empty(), "{:?}", record.worse(&same));
        let mut gone = outcome(r#"{"set_state":16000,"files":900}"#);
        gone.hold_against(&record);
        assert_eq!(gone.failed(), 2, "{:?}", gone.reasons());
        assert!(
            gone.reasons()
                .iter()
                .any(|why| why.contains("send_reset loads no more"))
        );
        let mut nothing = outcome("{}");
        nothing.hold_against(&record);
        assert_eq!(nothing.failed(), 3, "{:?}", nothing.reasons());
    }
}
