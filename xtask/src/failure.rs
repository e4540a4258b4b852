//! Failures whose exit code says more than "failed".

use std::fmt;

/// An error that knows its exit code; every other error exits with 1.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The command line is wrong: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
        Self {
            code: 2,
            message: message.into(),
        }
        .into()
    }

    /// This machine lacks something: exit code 3, so that a script can tell it from a failure of hatrace.
    pub(crate) fn missing(message: impl Into<String>) -> anyhow::Error {
        Self {
            code: 3,
            message: message.into(),
        }
        .into()
    }

    /// An argument that the command does not take.
    pub(crate) fn unknown(command: &str, argument: &str) -> anyhow::Error {
        Self::usage(format!(
            "`{command}` does not take `{argument}`; try: cargo xtask help"
        ))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
