//! Debian's archive, read by apt with a state of its own: this machine's packages are neither read nor touched.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// A keyring that every Debian has.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Lists of some suites, in a folder that may be thrown away.
pub(crate) struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Fetches the lists of packages of `suites` (`sid`, `bookworm-security`) from where this machine's own packages come from.
    pub(crate) fn open(folder: &Path, suites: &[&str]) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(folder.join(part))
                .with_context(|| format!("making {}", folder.display()))?;
        }
        let mut sources = String::new();
        for suite in suites {
            let mirror = mirror(suite.ends_with("-security"))?;
            sources += &format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        }
        std::fs::write(folder.join("sources.list"), sources)?;
        std::fs::write(folder.join("status"), "")?;
        let this = Self {
            folder: folder.to_owned(),
        };
        process::capture(this.apt("apt-get").arg("update"))?;
        Ok(this)
    }

    /// `apt-get` or `apt-cache` on these lists.
    pub(crate) fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
        let place = |name: &str| self.folder.join(name).display().to_string();
        for (key, value) in [
            ("Dir::Etc::SourceList", place("sources.list")),
            ("Dir::Etc::SourceParts", "/dev/null".to_owned()),
            ("Dir::State", place("")),
            ("Dir::State::Lists", place("lists")),
            ("Dir::State::status", place("status")),
            ("Dir::Cache", place("cache")),
            ("Acquire::Languages", "none".to_owned()),
            // A suite that is archived says no more how long it is valid.
            ("Acquire::Check-Valid-Until", "false".to_owned()),
            ("APT::Sandbox::User", "root".to_owned()),
            ("Debug::NoLocking", "1".to_owned()),
        ] {
            command.arg("-o").arg(format!("{key}={value}"));
        }
        command
    }

    /// Where `apt-get install --download-only` leaves packages.
    pub(crate) fn packages(&self) -> PathBuf {
        self.folder.join("cache/archives")
    }

    /// Throws the lists and packages away.
    pub(crate) fn close(self) -> Result<()> {
        for spent in ["lists", "cache"] {
            std::fs::remove_dir_all(self.folder.join(spent))?;
        }
        for spent in ["sources.list", "status"] {
            std::fs::remove_file(self.folder.join(spent))?;
        }
        Ok(())
    }
}

/// The archive this machine's own packages come from, or its security updates.
fn mirror(security: bool) -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME)",
        "Created-By: Packages",
    ]);
    let targets = process::capture(&mut command)?;
    let found = targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        // Security and updates have a codename with a hyphen.
        .find(|(_, codename)| {
            codename.contains('-') == security && (!security || codename.ends_with("-security"))
        });
    let (uri, _) = found.context("apt knows no such archive: apt-get update")?;
    Ok(uri.to_owned())
}
