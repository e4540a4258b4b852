//! Who compiles the kernel half: a nightly with its sources, or Debian's rustc with a prebuilt `core`.
//!
//! rustup ships no `core` for bpfel-unknown-none, so either cargo builds it (`-Z build-std`, a nightly and
//! rust-src), or it comes from `libstd-rust-web-dev-bpf`. bpf-linker does the linking in both.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{process, workspace};

/// Debian's compiler, whose package is called rustc-web.
pub(crate) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The `core` for BPF that Debian builds for it.
const DEBIAN_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none/lib";
/// The oldest bpf-linker that reads what these compilers write.
const LINKER: (u32, u32) = (0, 13);
/// Set to `nightly` or `debian` to take that one and no other.
const CHOICE: &str = "HATRACE_EBPF_TOOLCHAIN";

/// A compiler for bpfel-unknown-none that is ready to use.
#[derive(Debug)]
pub(crate) enum Toolchain {
    Nightly { name: String, linker: PathBuf },
    Debian { linker: PathBuf },
}

/// What keeps this machine from compiling the kernel half.
#[derive(Debug, Default)]
pub(crate) struct Lack {
    pub(crate) rustc: bool,
    pub(crate) linker: bool,
}

pub(crate) fn find() -> Result<Toolchain, Lack> {
    let choice = std::env::var(CHOICE).unwrap_or_default();
    let nightly = if choice == "debian" {
        None
    } else {
        nightly_with_sources()
    };
    let debian = choice != "nightly" && Path::new(DEBIAN_RUSTC).exists() && has_core(Path::new(DEBIAN_CORE));
    match (nightly, debian, linker()) {
        (Some(name), _, Some(linker)) => Ok(Toolchain::Nightly { name, linker }),
        (None, true, Some(linker)) => Ok(Toolchain::Debian { linker }),
        (nightly, debian, linker) => Err(Lack {
            rustc: nightly.is_none() && !debian,
            linker: linker.is_none(),
        }),
    }
}

impl Toolchain {
    pub(crate) fn linker(&self) -> &Path {
        match self {
            Self::Nightly { linker, .. } | Self::Debian { linker } => linker,
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nightly { name, .. } => write!(f, "{name} and its rust-src"),
            Self::Debian { .. } => write!(f, "Debian's {DEBIAN_RUSTC} (rustc-web)"),
        }
    }
}

/// The newest of rustup's nightlies that has rust-src. Read from the file system: asking rustup costs more
/// than the rest of setup together.
fn nightly_with_sources() -> Option<String> {
    let toolchains = workspace::rustup_home()?.join("toolchains");
    let mut names: Vec<String> = std::fs::read_dir(&toolchains)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("nightly"))
        .filter(|name| {
            toolchains
                .join(name)
                .join("lib/rustlib/src/rust/library/core")
                .is_dir()
        })
        .collect();
    // `nightly-x86_64…` sorts behind every dated one, and is the one kept up to date.
    names.sort();
    names.pop()
}

fn has_core(folder: &Path) -> bool {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// bpf-linker, if it is new enough: an older one fails late, with "Invalid record" or worse.
fn linker() -> Option<PathBuf> {
    let linker = process::which("bpf-linker")?;
    let said = process::capture(Command::new(&linker).arg("--version")).ok()?;
    (version(&said)? >= LINKER).then_some(linker)
}

/// `bpf-linker 0.13.0` -> (0, 13).
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(1)?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        assert_eq!(version("bpf-linker 0.13.0\n"), Some((0, 13)));
        assert!(version("bpf-linker 0.9.15").unwrap() < LINKER);
        assert!(version("bpf-linker 1.0.0").unwrap() > LINKER);
        assert_eq!(version("bpf-linker"), None);
    }
}
