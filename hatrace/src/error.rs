//! What went wrong, on what, and what to do: the one shape in which a user meets an error.

use std::fmt;

/// Exit codes (0 done, 1 failed, 2 usage, 3 this host or target can't).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something failed that should have worked.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// This host or this target can't do it.
    Cannot = 3,
}

/// An error as it is told to a user: what failed and on what, then what to do about it.
#[derive(Debug)]
pub struct Problem {
    /// The process's exit code.
    pub exit: Exit,
    /// What failed, on what: one sentence without a full stop.
    pub what: String,
    /// What to do: printed as `try:` lines.
    pub remedies: Vec<String>,
}

impl Problem {
    /// Something failed that should have worked.
    pub fn failed(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            what: what.into(),
            remedies: Vec::new(),
        }
    }

    /// The command line is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            what: what.into(),
            remedies: Vec::new(),
        }
    }

    /// This host or this target can't do it.
    pub fn cannot(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Cannot,
            what: what.into(),
            remedies: Vec::new(),
        }
    }

    /// The same, with one more thing to try.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedies.push(remedy.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for remedy in &self.remedies {
            write!(f, "\n  try: {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
