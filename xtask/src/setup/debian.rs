//! Installing on Debian, one line a step: what, why, and about how long it takes.

use std::process::{Command, Stdio};

use super::{Missing, toolchain};
use crate::{process, workspace};

/// What bpf-linker needs to be compiled, and the compiler it serves. bookworm has them in its security
/// archive, because Firefox needs them too.
const COMPILER: [(&str, &str, &str); 2] = [
    (
        "rustc-web",
        "a rustc that can write BPF; rustup's has no `core` for it",
        "40 s",
    ),
    ("libstd-rust-web-dev-bpf", "that `core`, prebuilt", "5 s"),
];
const LINKER: [(&str, &str, &str); 5] = [
    ("llvm-22-dev", "bpf-linker links against it", "60 s"),
    ("libpolly-22-dev", "a part of LLVM that llvm-config names", "3 s"),
    ("libzstd-dev", "LLVM was built with it", "2 s"),
    ("zlib1g-dev", "LLVM was built with it", "2 s"),
    ("g++", "brings libstdc++, which LLVM is written against", "15 s"),
];

/// A step that is yet to be done.
struct Step {
    what: &'static str,
    why: &'static str,
    takes: &'static str,
    how: Command,
}

pub(super) fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line.trim() == "ID=debian")
}

/// Does what it can: a step that fails is shown, and what is then still missing is the caller's to judge
/// (an optional tool that an archive lacks must not keep anyone from building).
pub(super) fn install(missing: &Missing) {
    let steps = plan(missing);
    let total = steps.len();
    for (index, mut step) in steps.into_iter().enumerate() {
        eprintln!(
            "[{}/{total}] {}: {} (about {})",
            index + 1,
            step.what,
            step.why,
            step.takes
        );
        // Quiet unless it fails: then the last lines are what one wants to read.
        if let Err(error) = process::capture(&mut step.how) {
            eprintln!("  {} was not installed: {error:#}", step.what);
        }
    }
}

fn plan(missing: &Missing) -> Vec<Step> {
    let mut packages: Vec<(&str, &str, &str)> = Vec::new();
    let lack = if missing.toolchain {
        toolchain::find().err().unwrap_or_default()
    } else {
        Default::default()
    };
    if lack.rustc {
        packages.extend(COMPILER);
    }
    if lack.linker {
        packages.extend(LINKER);
    }
    packages.extend(
        missing
            .tools
            .iter()
            .map(|need| (need.packages.debian, need.why, need.takes)),
    );
    packages.retain(|(package, ..)| !installed(package));
    packages.dedup_by_key(|(package, ..)| *package);

    let mut steps = Vec::new();
    if !packages.is_empty() {
        steps.push(Step {
            what: "apt-get update",
            why: "the machine's list of packages may be old",
            takes: "5 s",
            how: apt(&["update"]),
        });
    }
    for (what, why, takes) in packages {
        // --no-remove: rustc-web replaces Debian's own rustc; that is for the user to decide, not for us.
        let how = apt(&["install", "-y", "--no-install-recommends", "--no-remove", what]);
        steps.push(Step {
            what,
            why,
            takes,
            how,
        });
    }
    if lack.linker {
        steps.push(Step {
            what: "bpf-linker 0.13",
            why: "links the kernel half; compiled here, against LLVM 22",
            takes: "2 min",
            how: bpf_linker(),
        });
    }
    steps
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("-q")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn bpf_linker() -> Command {
    let mut command = Command::new(workspace::cargo());
    command
        .args([
            "install",
            "bpf-linker@0.13.0",
            "--locked",
            "--no-default-features",
            "--features",
            "llvm-22",
        ])
        .env("LLVM_PREFIX", "/usr/lib/llvm-22")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // From anywhere but the workspace: its configuration is not meant for a foreign crate.
        .current_dir("/");
    if process::which("bpf-linker").is_some() {
        command.arg("--force");
    }
    command
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}
