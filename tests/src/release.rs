//! The HAProxys there are to test with: this machine's own, and those that `cargo xtask test` has unpacked beside it.

use std::path::PathBuf;

use crate::skip;

/// One version of HAProxy.
#[derive(Clone, Debug)]
pub struct Release {
    /// The root it runs in, with its own libraries; `None`: this machine's own.
    pub root: Option<PathBuf>,
    /// Its version.
    pub version: String,
}

impl Release {
    /// This machine's own.
    ///
    /// # Panics
    /// When it doesn't say its version.
    #[must_use]
    pub fn own() -> Self {
        let output = std::process::Command::new("haproxy")
            .arg("-v")
            .output()
            .expect("haproxy runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Self {
            root: None,
            version: text.split_whitespace().nth(2).expect("a version").to_owned(),
        }
    }

    /// That of a release of Debian; where it isn't unpacked, `test` is reported as skipped.
    ///
    /// # Panics
    /// When this test's own place can't be told.
    #[must_use]
    pub fn of(debian: &str, test: &str) -> Option<Self> {
        let folder = std::env::var_os("HATRACE_HAPROXY_DIR").map_or_else(
            || {
                let test = std::env::current_exe().expect("this test's path");
                test.ancestors()
                    .nth(3)
                    .expect("the target directory")
                    .join("haproxy")
            },
            PathBuf::from,
        );
        let folder = folder.join(debian);
        match std::fs::read_to_string(folder.join("ready")) {
            Ok(version) => Some(Self {
                root: Some(folder.join("root")),
                version: version.trim().to_owned(),
            }),
            Err(_) => {
                skip(
                    test,
                    &format!("the HAProxy of Debian {debian} isn't unpacked (cargo xtask test does it)"),
                );
                None
            }
        }
    }

    /// Major and minor.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn number(&self) -> (u32, u32) {
        let mut parts = self.version.split(['.', '-']).map(|part| part.parse().ok());
        let mut next = || parts.next().flatten().expect("a number");
        (next(), next())
    }
}
