//! Puts the compiled kernel half where `include_bytes_aligned!(concat!(env!("OUT_DIR"), "/hatrace.bpf.o"))`
//! finds it. It never compiles it: that takes another compiler, and is what `cargo xtask build` does.
//!
//! Looked for in this order:
//! 1. `HATRACE_EBPF_OBJECT`: a path, or `none` for an empty object. With `none` hatrace compiles, and its
//!    checks and host tests run, but it cannot trace.
//! 2. `ebpf/hatrace.bpf.o` in the target directory in use. Cargo tells a build script no such directory;
//!    `OUT_DIR` is `TARGET[/TRIPLE]/PROFILE/build/hatrace-HASH/out`, so it is four or five levels up.
//! 3. `target/ebpf/hatrace.bpf.o` in the workspace, for a `CARGO_TARGET_DIR` set only for this call.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;
use std::{env, fs};

const OBJECT: &str = "ebpf/hatrace.bpf.o";
const VARIABLE: &str = "HATRACE_EBPF_OBJECT";
const SOURCES: [&str; 2] = ["hatrace-ebpf/src", "hatrace-common/src"];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // cargo prints it as an error of this package and stops; a panic would bury it in a backtrace.
            println!("cargo::error={error}");
            ExitCode::SUCCESS
        }
    }
}

fn embed() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo set no OUT_DIR")?);
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo set no CARGO_MANIFEST_DIR")?);
    let root = package.parent().ok_or("hatrace is not inside its workspace")?;
    let embedded = out.join("hatrace.bpf.o");

    let object = match env::var_os(VARIABLE) {
        Some(none) if none == "none" => {
            fs::write(&embedded, [])?;
            return Ok(());
        }
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => find(&out, root).ok_or(
            "the kernel half is not compiled yet: run `cargo xtask build` \
             (or set HATRACE_EBPF_OBJECT=none to check and test the rest without it)",
        )?,
    };
    println!("cargo::rerun-if-changed={}", object.display());
    fs::copy(&object, &embedded).map_err(|error| {
        format!(
            "copying the kernel half {}: {error}; try: cargo xtask build",
            object.display()
        )
    })?;

    let built = fs::metadata(&object)?.modified()?;
    for folder in SOURCES.map(|folder| root.join(folder)) {
        println!("cargo::rerun-if-changed={}", folder.display());
        if newest(&folder).is_some_and(|changed| changed > built) {
            println!(
                "cargo::warning={} is newer than the compiled kernel half: run `cargo xtask build`",
                folder.display()
            );
        }
    }
    Ok(())
}

fn find(out: &Path, root: &Path) -> Option<PathBuf> {
    let targets = out.ancestors().skip(4).take(2).map(Path::to_path_buf);
    targets
        .chain([root.join("target")])
        .map(|target| target.join(OBJECT))
        .find(|object| object.is_file())
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
