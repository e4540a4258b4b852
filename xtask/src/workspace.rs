//! Where things are, and how cargo is called on them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::process;

/// The clone this xtask was compiled from, as cargo sees it.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Absolute; honours `CARGO_TARGET_DIR` and cargo's own configuration.
    pub(crate) target: PathBuf,
    metadata: Value,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask's folder has no parent: the clone was moved; run cargo clean -p xtask")?
            .to_path_buf();
        let json = process::capture(
            Command::new(cargo())
                .args([
                    "metadata",
                    "--no-deps",
                    "--format-version",
                    "1",
                    "--manifest-path",
                ])
                .arg(root.join("Cargo.toml")),
        )?;
        let metadata: Value = serde_json::from_str(&json).context("reading what `cargo metadata` printed")?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo metadata names no target_directory")?
            .into();
        Ok(Self {
            root,
            target,
            metadata,
        })
    }

    /// cargo on this workspace, leaving its output where this workspace's output goes.
    ///
    /// The target directory is passed on absolute: a relative `CARGO_TARGET_DIR` would mean another
    /// place to a cargo that starts in the root.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(cargo());
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .arg(subcommand);
        command
    }

    /// The compiled kernel half: one fixed place, known to `hatrace/build.rs`.
    pub(crate) fn object(&self) -> PathBuf {
        self.target.join("ebpf").join("hatrace.bpf.o")
    }

    pub(crate) fn binary(&self) -> PathBuf {
        self.target.join("release").join("hatrace")
    }

    /// The integration tests of a package, by name.
    pub(crate) fn test_targets(&self, package: &str) -> Result<Vec<String>> {
        let packages = self.metadata["packages"]
            .as_array()
            .context("cargo metadata lists no packages")?;
        let package = packages
            .iter()
            .find(|p| p["name"] == package)
            .ok_or_else(|| anyhow!("no package `{package}` in this workspace"))?;
        let targets = package["targets"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(targets
            .iter()
            .filter(|t| {
                t["kind"]
                    .as_array()
                    .is_some_and(|kinds| kinds.iter().any(|k| k == "test"))
            })
            .filter_map(|t| t["name"].as_str().map(str::to_owned))
            .collect())
    }
}

/// The cargo that started this program. It is the toolchain's own, not rustup's shim, so it stays the
/// same whatever `RUSTUP_TOOLCHAIN` says.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// `$CARGO_HOME`, where `cargo install` puts programs (its `bin` may be missing from PATH).
pub(crate) fn cargo_home() -> Option<PathBuf> {
    home("CARGO_HOME", ".cargo")
}

/// `$RUSTUP_HOME`, where the toolchains are.
pub(crate) fn rustup_home() -> Option<PathBuf> {
    home("RUSTUP_HOME", ".rustup")
}

fn home(variable: &str, folder: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(folder)))
}
