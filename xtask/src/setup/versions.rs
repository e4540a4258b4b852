//! Other versions of HAProxy than this machine's own, for the tests: Debian's newer releases' packages, unpacked side by side below
//! `target/haproxy`, each with the libraries it was built against. Nothing of it is installed; a test enters it with chroot.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::archive::Archive;
use super::debian;
use crate::process;
use crate::workspace::Workspace;

/// A release of Debian, and what it is wanted for.
struct Release {
    name: &'static str,
    /// Releases its dependencies may come from as well.
    with: &'static [&'static str],
    why: &'static str,
}

const RELEASES: [Release; 3] = [
    Release {
        name: "trixie",
        with: &[],
        why: "HAProxy 3.0",
    },
    Release {
        name: "sid",
        with: &[],
        why: "the newest HAProxy that Debian ships",
    },
    Release {
        name: "experimental",
        with: &["sid"],
        why: "one newer still",
    },
];

/// Unpacks those that aren't there yet. One that can't be had is said and lived without: its tests are skipped, by name.
pub(crate) fn ensure(workspace: &Workspace) {
    if !debian::is_debian() || !process::is_root() {
        return;
    }
    for release in &RELEASES {
        let folder = workspace.target.join("haproxy").join(release.name);
        if folder.join("ready").exists() {
            continue;
        }
        eprintln!(
            "setup: {}, from Debian {}: for the tests, unpacked in {} (about 5 s)",
            release.why,
            release.name,
            folder.display()
        );
        if let Err(error) = unpack(release, &folder) {
            eprintln!("  it can't be had, its tests will be skipped: {error:#}");
        }
    }
}

fn unpack(release: &Release, folder: &Path) -> Result<()> {
    // What an earlier try has left half done.
    let _ = std::fs::remove_dir_all(folder);
    let root = folder.join("root");
    std::fs::create_dir_all(&root)?;
    let suites: Vec<&str> = std::iter::once(release.name)
        .chain(release.with.iter().copied())
        .collect();
    let archive = Archive::open(folder, &suites)?;
    process::capture(archive.apt("apt-get").args([
        "install",
        "--yes",
        "--download-only",
        "--no-install-recommends",
        "--target-release",
        release.name,
        "haproxy",
    ]))?;
    for package in packages(&archive.packages())? {
        process::capture(Command::new("dpkg-deb").arg("-x").arg(package).arg(&root))?;
    }
    // What base-files would bring: the merged /usr; what running needs beside it.
    for link in ["bin", "sbin", "lib", "lib64"] {
        std::fs::create_dir_all(root.join("usr").join(link))?;
        if !root.join(link).exists() {
            std::os::unix::fs::symlink(Path::new("usr").join(link), root.join(link))?;
        }
    }
    for part in ["tmp", "run", "dev", "proc"] {
        std::fs::create_dir_all(root.join(part))?;
    }
    let null = root.join("dev/null");
    process::capture(
        Command::new("mknod")
            .args(["-m", "666"])
            .arg(&null)
            .args(["c", "1", "3"]),
    )?;
    let version = process::capture(
        Command::new("chroot")
            .arg(&root)
            .args(["/usr/sbin/haproxy", "-v"]),
    )?;
    archive.close()?;
    let version = version
        .split_whitespace()
        .nth(2)
        .context("haproxy -v names no version")?
        .to_owned();
    std::fs::write(folder.join("ready"), version)?;
    Ok(())
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            found.push(path);
        }
    }
    Ok(found)
}
