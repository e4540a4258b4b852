//! `lint`: everything that judges the source without running it.

use anyhow::Result;

use crate::failure::Failure;
use crate::setup::{self, Purpose};
use crate::workspace::Workspace;
use crate::{build, process};

/// A check's name, and the check.
type Check = (&'static str, fn(&Workspace) -> Result<()>);

const CHECKS: [Check; 6] = [
    ("format", format),
    ("clippy", clippy),
    ("kernel half", build::check_kernel_half),
    ("docs", docs),
    ("licences", licences),
    ("tidy", tidy),
];

pub(crate) fn command(workspace: &Workspace, args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        return Err(Failure::unknown("lint", arg));
    }
    setup::ensure(&[Purpose::Build])?;
    // All of them, even after a failure: one run should show everything there is to mend.
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        eprintln!("lint: {name}");
        if let Err(error) = check(workspace) {
            eprintln!("lint: {name} failed: {error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("lint: {} checks passed", CHECKS.len());
        return Ok(());
    }
    anyhow::bail!(
        "lint: {} of {} checks failed: {}",
        failed.len(),
        CHECKS.len(),
        failed.join(", ")
    )
}

fn format(workspace: &Workspace) -> Result<()> {
    process::run(workspace.cargo("fmt").args(["--all", "--check"]))
}

/// Host crates: the workspace's default members.
fn clippy(workspace: &Workspace) -> Result<()> {
    process::run(with_object(workspace, "clippy").args([
        "--all-targets",
        "--keep-going",
        "--",
        "-D",
        "warnings",
    ]))
}

fn docs(workspace: &Workspace) -> Result<()> {
    process::run(
        with_object(workspace, "doc")
            .env("RUSTDOCFLAGS", "-D warnings")
            .arg("--no-deps"),
    )
}

/// A source check needs no kernel half; but where there is one it is used, because changing
/// `HATRACE_EBPF_OBJECT` between calls compiles hatrace again.
fn with_object(workspace: &Workspace, subcommand: &str) -> std::process::Command {
    let mut cargo = workspace.cargo(subcommand);
    if !workspace.object().is_file() && std::env::var_os("HATRACE_EBPF_OBJECT").is_none() {
        cargo.env("HATRACE_EBPF_OBJECT", "none");
    }
    cargo
}

/// Without the advisories: they are a download of a database, and change without a change here.
fn licences(workspace: &Workspace) -> Result<()> {
    if process::which("cargo-deny").is_none() {
        eprintln!("lint: licences not checked: cargo-deny is not installed (cargo install cargo-deny)");
        return Ok(());
    }
    process::run(
        workspace
            .cargo("deny")
            .args(["check", "licenses", "bans", "sources"]),
    )
}

/// The architecture's own test, shown with its warnings. In release, like `cargo xtask test`, which then
/// has nothing left to compile for it.
fn tidy(workspace: &Workspace) -> Result<()> {
    let test = [
        "--release",
        "--quiet",
        "--package",
        "hatrace-tests",
        "--test",
        "tidy",
        "--",
        "--nocapture",
    ];
    process::run(workspace.cargo("test").args(test))
}
