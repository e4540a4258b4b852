//! Other versions of HAProxy than this machine's own, for the tests: Debian's newer releases' packages, unpacked side by side below
//! `target/haproxy`, each with the libraries it was built against. Nothing of it is installed; a test enters it with chroot.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

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

/// A keyring that every Debian has.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

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
    for part in ["lists/partial", "cache/archives/partial", "root"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let mirror = mirror()?;
    let sources: String = std::iter::once(&release.name)
        .chain(release.with)
        .map(|suite| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
        .collect();
    std::fs::write(folder.join("sources.list"), sources)?;
    std::fs::write(folder.join("status"), "")?;
    process::capture(apt(folder).arg("update"))?;
    process::capture(apt(folder).args([
        "install",
        "--yes",
        "--download-only",
        "--no-install-recommends",
        "--target-release",
        release.name,
        "haproxy",
    ]))?;
    for package in packages(&folder.join("cache/archives"))? {
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
    for spent in ["lists", "cache"] {
        std::fs::remove_dir_all(folder.join(spent))?;
    }
    let version = version
        .split_whitespace()
        .nth(2)
        .context("haproxy -v names no version")?
        .to_owned();
    std::fs::write(folder.join("ready"), version)?;
    Ok(())
}

/// apt with a state of its own: this machine's packages are neither read nor touched.
fn apt(folder: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
    let place = |name: &str| folder.join(name).display().to_string();
    for (key, value) in [
        ("Dir::Etc::SourceList", place("sources.list")),
        ("Dir::Etc::SourceParts", "/dev/null".to_owned()),
        ("Dir::State", place("")),
        ("Dir::State::Lists", place("lists")),
        ("Dir::State::status", place("status")),
        ("Dir::Cache", place("cache")),
        ("Acquire::Languages", "none".to_owned()),
        ("APT::Sandbox::User", "root".to_owned()),
        ("Debug::NoLocking", "1".to_owned()),
    ] {
        command.arg("-o").arg(format!("{key}={value}"));
    }
    command
}

/// The archive this machine's own packages come from.
fn mirror() -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME)",
        "Created-By: Packages",
    ]);
    let targets = process::capture(&mut command)?;
    let main = targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        // Security and updates have a codename with a hyphen.
        .find(|(_, codename)| !codename.contains('-'));
    match main {
        Some((uri, _)) => Ok(uri.to_owned()),
        None => bail!("apt knows no archive: apt-get update"),
    }
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
