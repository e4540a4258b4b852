//! `build`: the kernel half for bpfel-unknown-none, then hatrace, which carries it inside.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};

use crate::failure::Failure;
use crate::process;
use crate::setup::toolchain::{self, DEBIAN_RUSTC, Toolchain};
use crate::setup::{self, Purpose};
use crate::workspace::Workspace;

pub(crate) fn command(workspace: &Workspace, args: &[String]) -> Result<()> {
    let mut debug = false;
    for arg in args {
        match arg.as_str() {
            "--debug" => debug = true,
            other => return Err(Failure::unknown("build", other)),
        }
    }
    setup::ensure(&[Purpose::Build])?;
    build(workspace, debug)
}

/// Both halves. The machine is expected to be set up.
pub(crate) fn build(workspace: &Workspace, debug: bool) -> Result<()> {
    let start = Instant::now();
    kernel_half(workspace)?;
    let mut host = workspace.cargo("build");
    host.args(["--package", "hatrace"]);
    if !debug {
        host.arg("--release");
    }
    process::run(&mut host)?;
    let profile = if debug { "debug" } else { "release" };
    let binary = workspace.target.join(profile).join("hatrace");
    eprintln!(
        "built {} in {:.1} s",
        binary.display(),
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Compiles the kernel half and puts the object where `hatrace/build.rs` looks for it.
pub(crate) fn kernel_half(workspace: &Workspace) -> Result<()> {
    let toolchain = ready()?;
    let output = workspace.target.join("ebpf-build");
    let linker = format!("linker={}", toolchain.linker().display());
    // debuginfo becomes the object's BTF.
    let flags = ["-C", &linker, "-C", "debuginfo=2", "-C", "link-arg=--btf"];
    let mut cargo = cargo_for_bpf(workspace, &toolchain, "build", &output, &flags);
    // Cargo takes neither per package, and the host's crates want neither.
    cargo.args([
        "--config",
        "profile.release.lto=true",
        "--config",
        "profile.release.panic=\"abort\"",
    ]);
    process::run(&mut cargo).with_context(|| format!("compiling the kernel half with {toolchain}"))?;
    let built = output
        .join("bpfel-unknown-none")
        .join("release")
        .join("hatrace-ebpf");
    place(&built, &workspace.object(), newest_source(workspace))
}

/// Only asks the compiler, with its warnings as errors: what lint wants.
pub(crate) fn check_kernel_half(workspace: &Workspace) -> Result<()> {
    let toolchain = ready()?;
    let output = workspace.target.join("ebpf-lint");
    // clippy needs a `core` of its own version; with Debian's compiler there is none.
    let clippy = matches!(toolchain, Toolchain::Nightly { .. }) && nightly_clippy(&toolchain);
    let subcommand = if clippy { "clippy" } else { "check" };
    let flags = ["-D", "warnings", "-C", "target-cpu=v3"];
    process::run(&mut cargo_for_bpf(
        workspace, &toolchain, subcommand, &output, &flags,
    ))
}

fn ready() -> Result<Toolchain> {
    toolchain::find().map_err(|_| Failure::missing("nothing here compiles for BPF; try: cargo xtask setup"))
}

fn nightly_clippy(toolchain: &Toolchain) -> bool {
    let Toolchain::Nightly { name, .. } = toolchain else {
        return false;
    };
    process::capture(Command::new("rustup").args(["run", name, "cargo", "clippy", "--version"])).is_ok()
}

fn cargo_for_bpf(
    workspace: &Workspace,
    toolchain: &Toolchain,
    subcommand: &str,
    output: &Path,
    flags: &[&str],
) -> Command {
    let mut cargo = match toolchain {
        Toolchain::Nightly { name, .. } => {
            let mut cargo = Command::new("rustup");
            cargo.args(["run", name, "cargo", subcommand, "-Z", "build-std=core"]);
            cargo
        }
        Toolchain::Debian { .. } => workspace.cargo(subcommand),
    };
    for (variable, _) in std::env::vars_os() {
        if variable.to_str().is_some_and(is_foreign) {
            cargo.env_remove(variable);
        }
    }
    if let Toolchain::Debian { .. } = toolchain {
        // aya-ebpf wants features that a stable compiler has but hides.
        cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
    }
    // The instruction set: v3 has the 32-bit registers and the atomics that 5.12 brought.
    let flags = [&["-C", "target-cpu=v3"], flags].concat();
    cargo
        .current_dir(&workspace.root)
        // Set and empty switches off a wrapper that the user's configuration names: it may not know BPF.
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .args([
            "--release",
            "--package",
            "hatrace-ebpf",
            "--target",
            "bpfel-unknown-none",
            "--target-dir",
        ])
        .arg(output);
    cargo
}

/// What the outer cargo, rustup, or a user's tuning of host builds leaves in the environment. Networks,
/// registries and CARGO_HOME stay.
fn is_foreign(variable: &str) -> bool {
    const NAMES: [&str; 6] = [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC",
        "RUSTUP_TOOLCHAIN",
        "LD_LIBRARY_PATH",
        "CARGO_MAKEFLAGS",
    ];
    const PREFIXES: [&str; 6] = [
        "CARGO_BUILD_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_UNSTABLE_",
    ];
    NAMES.contains(&variable) || PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// Copies only what changed, so that hatrace is not compiled again for nothing; but an object must not
/// look older than its sources, or hatrace's build script would call it stale for ever.
fn place(built: &Path, object: &Path, newest_source: Option<SystemTime>) -> Result<()> {
    let fresh = fs::read(built).with_context(|| format!("reading {}", built.display()))?;
    if fs::read(object).is_ok_and(|old| old == fresh) {
        let file = fs::File::options().append(true).open(object)?;
        if newest_source > file.metadata()?.modified().ok() {
            file.set_modified(SystemTime::now())?;
        }
        return Ok(());
    }
    let folder = object.parent().context("the object's place has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::write(object, fresh).with_context(|| format!("writing {}", object.display()))
}

/// The newest source of the kernel half; the same folders that `hatrace/build.rs` compares with.
fn newest_source(workspace: &Workspace) -> Option<SystemTime> {
    let folders = ["hatrace-ebpf/src", "hatrace-common/src"];
    folders
        .iter()
        .filter_map(|folder| newest(&workspace.root.join(folder)))
        .max()
}

fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                newest(&path)
            } else {
                entry.metadata().ok()?.modified().ok()
            }
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_registry_is_not_foreign() {
        for mine in [
            "CARGO_HOME",
            "CARGO_HTTP_PROXY",
            "CARGO_REGISTRIES_X_INDEX",
            "HTTPS_PROXY",
            "PATH",
        ] {
            assert!(!is_foreign(mine), "{mine}");
        }
        for foreign in [
            "RUSTUP_TOOLCHAIN",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_TARGET_DIR",
        ] {
            assert!(is_foreign(foreign), "{foreign}");
        }
    }

    #[test]
    fn an_unchanged_object_keeps_its_date() {
        let folder = std::env::temp_dir().join(format!("hatrace-place-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (built, object) = (folder.join("built"), folder.join("ebpf/object"));
        fs::write(&built, "elf").unwrap();
        place(&built, &object, None).unwrap();
        let before = fs::metadata(&object).unwrap().modified().unwrap();
        place(&built, &object, Some(before)).unwrap();
        assert_eq!(fs::metadata(&object).unwrap().modified().unwrap(), before);
        std::thread::sleep(std::time::Duration::from_millis(20));
        place(&built, &object, Some(SystemTime::now())).unwrap();
        assert!(fs::metadata(&object).unwrap().modified().unwrap() > before);
        fs::remove_dir_all(&folder).unwrap();
    }
}
