//! What a guest's console says of its tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Error;
use serde_json::Value;

use super::boot::Console;
use super::kernels::Kernel;
use super::verified::Record;

/// How a test came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// It could not run there, and why.
    Skipped(String),
}

/// Of one kernel.
pub(crate) struct Outcome {
    pub(super) kernel: &'static Kernel,
    /// By the kernel's own word.
    pub(super) release: Option<String>,
    /// By name.
    pub(super) tests: BTreeMap<String, Verdict>,
    /// The same tests where everything is switched off that some kernels lack.
    pub(super) without: BTreeMap<String, Verdict>,
    /// `doctor`'s checks.
    pub(super) checks: Vec<Value>,
    /// What else went wrong, or why it could not be booted at all.
    pub(super) troubles: Vec<String>,
    /// It isn't here: skipped, not failed.
    absent: bool,
}

impl Outcome {
    fn none(kernel: &'static Kernel) -> Self {
        Self {
            kernel,
            release: None,
            tests: BTreeMap::new(),
            without: BTreeMap::new(),
            checks: Vec::new(),
            troubles: Vec::new(),
            absent: false,
        }
    }

    /// It can't be had.
    pub(super) fn absent(kernel: &'static Kernel, error: &Error) -> Self {
        Self {
            absent: true,
            troubles: vec![format!("{error:#}").replace('\n', " · ")],
            ..Self::none(kernel)
        }
    }

    /// It could not be run.
    pub(super) fn broken(kernel: &'static Kernel, error: &Error) -> Self {
        Self {
            troubles: vec![format!("{error:#}").replace('\n', " · ")],
            ..Self::none(kernel)
        }
    }

    pub(super) fn of(kernel: &'static Kernel, console: &Console) -> Self {
        let mut this = Self::none(kernel);
        this.release.clone_from(&console.booted);
        let mut without = false;
        for line in &console.lines {
            if line == "vm-without" || line == "vm-whole" {
                without = line == "vm-without";
            } else if let Some((name, verdict)) = result(line) {
                let tests = if without {
                    &mut this.without
                } else {
                    &mut this.tests
                };
                tests.insert(name, verdict);
            }
        }
        for line in console.told("vm-skipped: ") {
            let (name, why) = line.split_once(": ").unwrap_or((line, ""));
            for tests in [&mut this.tests, &mut this.without] {
                if let Some(verdict) = tests.get_mut(name) {
                    *verdict = Verdict::Skipped(why.to_owned());
                }
            }
        }
        if let Some(doctor) = console.told("vm-doctor: ").next() {
            let doctor: Value = serde_json::from_str(doctor).unwrap_or_default();
            this.checks = doctor["checks"].as_array().cloned().unwrap_or_default();
        }
        this.troubles.extend(trouble(console));
        if this.tests.is_empty() && this.troubles.is_empty() {
            this.troubles.push("no test ran".to_owned());
        }
        this
    }

    /// Programs that are missing, or have become much dearer for the verifier, are failures.
    pub(super) fn hold_against(&mut self, record: &Record) {
        if !self.absent {
            let worse = record.worse(self);
            self.troubles.extend(worse);
        }
    }

    fn all(&self) -> impl Iterator<Item = (String, &Verdict)> {
        let name = self.kernel.name;
        let whole = self
            .tests
            .iter()
            .map(move |(test, verdict)| (format!("Linux {name}: {test}"), verdict));
        let less = self
            .without
            .iter()
            .map(move |(test, verdict)| (format!("Linux {name}, without what some lack: {test}"), verdict));
        whole.chain(less)
    }

    fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.all().filter(|(_, verdict)| wanted(verdict)).count()
    }

    pub(crate) fn passed(&self) -> usize {
        self.count(|verdict| *verdict == Verdict::Passed)
    }

    pub(crate) fn failed(&self) -> usize {
        let troubles = if self.absent { 0 } else { self.troubles.len() };
        self.count(|verdict| *verdict == Verdict::Failed) + troubles
    }

    pub(crate) fn skipped(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Skipped(_))) + usize::from(self.absent)
    }

    pub(super) fn counts(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed(),
            self.failed(),
            self.skipped()
        )
    }

    /// A line for each that failed, or could not run.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let word = if self.absent { "skipped" } else { "failed" };
        let name = self.kernel.name;
        let troubles = self
            .troubles
            .iter()
            .map(|why| format!("{word}: Linux {name}: {why}"));
        let tests = self.all().filter_map(|(test, verdict)| match verdict {
            Verdict::Passed => None,
            Verdict::Failed => Some(format!("failed: {test} (see target/vm/{name}/console)")),
            Verdict::Skipped(why) => Some(format!("skipped: {test}: {why}")),
        });
        troubles.chain(tests).collect()
    }

    pub(super) fn summary(&self) -> String {
        let mut out = format!(
            "Linux {} ({}): {}\n",
            self.kernel.name,
            self.release.as_deref().unwrap_or("not booted"),
            self.counts()
        );
        for reason in self.reasons() {
            let _ = writeln!(out, "  {reason}");
        }
        out
    }

    /// The check of that name.
    pub(super) fn check(&self, name: &str) -> Option<&Value> {
        self.checks.iter().find(|check| check["name"] == name)
    }

    /// What the verifier has looked at, by program.
    pub(super) fn verified(&self) -> BTreeMap<String, u64> {
        let figures = self
            .check("programs")
            .and_then(|check| check["figures"].as_object());
        figures
            .into_iter()
            .flatten()
            .filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
            .collect()
    }
}

/// `test NAME ... ok`.
fn result(line: &str) -> Option<(String, Verdict)> {
    let (name, verdict) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let verdict = match verdict {
        "ok" => Verdict::Passed,
        "FAILED" => Verdict::Failed,
        other => Verdict::Skipped(other.to_owned()),
    };
    Some((name.to_owned(), verdict))
}

/// What a console says that isn't a test's result: it didn't come up, or not to its end.
fn trouble(console: &Console) -> Option<String> {
    let last = || console.lines.last().map_or("nothing", String::as_str);
    match (&console.booted, console.ended) {
        (None, _) => Some(format!("it didn't boot: {}", last())),
        (Some(_), None) => Some(format!("it didn't come to its end: {}", last())),
        (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::kernels::KERNELS;

    fn console(text: &str) -> Console {
        Console {
            booted: Some("6.1.0".to_owned()),
            ended: Some(0),
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn tests_are_counted_by_part_and_skips_are_no_passes() {
        let console = console(
            "vm-doctor: {\"checks\":[{\"name\":\"programs\",\"figures\":{\"set_state\":7}}]}\n\
             test held::a ... ok\ntest odd::b ... FAILED\ntest matrix::c ... ok\nvm-without\ntest held::a ... ok\n\
             vm-whole\ntest orphaned::d ... FAILED\n\
             vm-skipped: matrix::c: this kernel has no MPTCP",
        );
        let outcome = Outcome::of(&KERNELS[1], &console);
        assert_eq!(outcome.counts(), "2 passed, 2 failed, 1 skipped");
        assert_eq!(outcome.without.len(), 1);
        assert_eq!(outcome.verified()["set_state"], 7);
        let reasons = outcome.reasons();
        assert!(
            reasons
                .iter()
                .any(|why| why.starts_with("failed: Linux 6.1: odd::b")),
            "{reasons:?}"
        );
        assert!(
            reasons.contains(&"skipped: Linux 6.1: matrix::c: this kernel has no MPTCP".to_owned()),
            "{reasons:?}"
        );
    }

    #[test]
    fn a_guest_that_hangs_or_runs_nothing_is_a_failure() {
        let mut hung = console("test held::a ... ok\n[  3.1] Kernel panic");
        hung.ended = None;
        assert_eq!(Outcome::of(&KERNELS[1], &hung).failed(), 1);
        assert_eq!(Outcome::of(&KERNELS[1], &console("")).failed(), 1);
        let absent = Outcome::absent(&KERNELS[1], &anyhow::anyhow!("no network"));
        assert_eq!((absent.failed(), absent.skipped()), (0, 1));
    }
}
