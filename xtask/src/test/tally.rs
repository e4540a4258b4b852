//! Counting what libtest prints, line by line.

use std::collections::BTreeSet;
use std::fmt;

/// Counts of one or several runs of `cargo test`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// One line per skipped or failed test.
    reasons: BTreeSet<String>,
}

impl Tally {
    /// One line of libtest's output.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.skipped += count(counts, "ignored");
        } else if let Some((name, verdict)) = line.strip_prefix("test ").and_then(|l| l.rsplit_once(" ... "))
        {
            if verdict == "FAILED" {
                self.reasons.insert(format!("failed: {name}"));
            } else if let Some(why) = verdict.strip_prefix("ignored") {
                let why = why.trim_start_matches([',', ' ']);
                let why = if why.is_empty() {
                    "marked #[ignore] without a reason"
                } else {
                    why
                };
                self.reasons.insert(format!("skipped: {name}: {why}"));
            }
        }
    }

    /// A run that broke off before libtest could count: it did not compile, or was killed.
    pub(super) fn broke(&mut self, stage: &str, why: &str) {
        self.failed += 1;
        self.reasons.insert(format!("failed: {stage}: {why}"));
    }

    /// The lines that tests which could not run have left. libtest has counted these as passed.
    pub(super) fn skip(&mut self, lines: &str) {
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            if self.reasons.insert(line.trim().to_owned()) {
                self.passed = self.passed.saturating_sub(1);
                self.skipped += 1;
            }
        }
    }

    /// What was counted elsewhere.
    pub(super) fn other(&mut self, passed: usize, failed: usize, skipped: usize, reasons: Vec<String>) {
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
        self.reasons.extend(reasons);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.reasons.extend(other.reasons);
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.passed + self.failed + self.skipped == 0
    }

    /// Skips first, failures last: nearest to where one looks.
    pub(super) fn reasons(&self) -> impl Iterator<Item = &str> {
        self.reasons.iter().rev().map(String::as_str)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; 1 ignored; …`.
fn count(counts: &str, what: &str) -> usize {
    let words: Vec<&str> = counts
        .split([' ', ';', '.'])
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(2)
        .find(|pair| pair[1] == what)
        .and_then(|pair| pair[0].parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.line(line));
        tally
    }

    #[test]
    fn several_binaries_add_up() {
        let tally = tally(
            "running 3 tests\ntest a ... ok\ntest b ... ignored, takes an hour\ntest c ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test result: ok. 20 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!(tally.to_string(), "21 passed, 1 failed, 1 skipped");
        let reasons: Vec<_> = tally.reasons().collect();
        assert_eq!(reasons, ["skipped: b: takes an hour", "failed: c"]);
    }

    #[test]
    fn a_test_that_could_not_run_is_not_green() {
        let mut tally = tally("test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n");
        tally.skip("skipped: live: not root\n\nskipped: live: not root\n");
        assert_eq!(tally.to_string(), "1 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn a_run_that_broke_off_is_a_failure() {
        let mut tally = tally("error: could not compile\n");
        tally.broke("live", "exit status: 101");
        assert_eq!(tally.to_string(), "0 passed, 1 failed, 0 skipped");
    }
}
