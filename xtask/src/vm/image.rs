//! What a virtual machine runs from: an initramfs with hatrace, the live tests, HAProxy, and the few programs that they call, as they are
//! on this machine.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

/// Programs of this machine that the live tests call.
const PROGRAMS: [&str; 6] = ["haproxy", "ip", "ss", "openssl", "unshare", "chroot"];
/// Files that those programs want.
const FILES: [&str; 2] = ["/usr/lib/ssl/openssl.cnf", "/etc/ssl/openssl.cnf"];
const INIT: &str = include_str!("init.sh");

/// Makes the part that all kernels share: `programs` are put into /usr/bin, and one HAProxy of `haproxys` beside this machine's own.
pub(super) fn base(programs: &[(&str, &Path)], haproxys: &Path, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    let _ = std::fs::remove_dir_all(&root);
    for part in [
        "bin", "sbin", "usr/bin", "usr/sbin", "proc", "sys", "dev", "tmp", "run", "root", "etc", "var/tmp",
        "modules",
    ] {
        std::fs::create_dir_all(root.join(part))?;
    }
    let busybox = process::which("busybox").context("busybox isn't here")?;
    std::fs::copy(busybox, root.join("bin/busybox"))?;
    let mut libraries = BTreeSet::new();
    for name in PROGRAMS {
        let Some(file) = process::which(name) else {
            bail!("{name} isn't here");
        };
        libraries.extend(libraries_of(&file)?);
        copy(&file, &root)?;
    }
    for (name, file) in programs {
        let to = root.join("usr/bin").join(name);
        std::fs::copy(file, &to).with_context(|| format!("copying {}", file.display()))?;
        libraries.extend(libraries_of(file)?);
        if let Some(strip) = process::which("strip") {
            // Half a minute of unpacking otherwise.
            process::capture(Command::new(strip).arg(&to))?;
        }
    }
    for library in libraries {
        copy(&library, &root)?;
    }
    other_haproxy(haproxys, &root)?;
    for file in FILES.map(Path::new) {
        if file.exists() {
            copy(file, &root)?;
        }
    }
    std::fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    )?;
    std::fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    write_executable(&root.join("init"), INIT)?;
    pack(&root, &folder.join("base.cpio.gz"))
}

/// Appends what is one kernel's alone; the kernel unpacks archives one after the other.
pub(super) fn with(base: &Path, modules: &[PathBuf], script: &str, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(root.join("modules"))?;
    for (index, module) in modules.iter().enumerate() {
        let name = module
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        std::fs::copy(module, root.join("modules").join(format!("{index}-{name}")))?;
    }
    write_executable(&root.join("run.sh"), script)?;
    let own = pack(&root, &folder.join("own.cpio.gz"))?;
    let image = folder.join("initramfs");
    let mut whole = std::fs::File::create(&image)?;
    for part in [base, &own] {
        whole.write_all(&std::fs::read(part)?)?;
    }
    Ok(image)
}

/// The newest, which speaks MPTCP and hands its TLS to the kernel; where it wasn't to be had, its tests say so.
fn other_haproxy(haproxys: &Path, root: &Path) -> Result<()> {
    let from = haproxys.join("experimental");
    if !from.join("ready").exists() {
        return Ok(());
    }
    let to = root.join("haproxy");
    std::fs::create_dir_all(&to)?;
    process::capture(Command::new("cp").arg("-a").arg(&from).arg(&to))?;
    // Manuals and the like: two thirds of it.
    for part in ["usr/share", "usr/lib/systemd", "var"] {
        let _ = std::fs::remove_dir_all(to.join("experimental/root").join(part));
    }
    Ok(())
}

fn write_executable(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// A file to the same path below `root`, whatever links lead there.
fn copy(file: &Path, root: &Path) -> Result<()> {
    let to = root.join(file.strip_prefix("/").unwrap_or(file));
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::copy(file, &to)
        .map(drop)
        .with_context(|| format!("copying {}", file.display()))
}

/// The shared libraries of a program, and what loads them.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let told = Command::new("ldd")
        .arg(program)
        .output()
        .context("starting ldd")?;
    // A static program has none, and ldd fails.
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let file = |word: &str| word.starts_with('/').then(|| PathBuf::from(word));
    Ok(told
        .lines()
        .filter_map(|line| {
            let line = line.split_once("=> ").map_or(line, |(_, rest)| rest).trim();
            file(line.split_whitespace().next()?)
        })
        .collect())
}

/// `root` as a compressed cpio archive.
fn pack(root: &Path, to: &Path) -> Result<PathBuf> {
    let script = "find . | busybox cpio -o -H newc 2>/dev/null | gzip -1";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(to)?);
    process::run(&mut shell)?;
    Ok(to.to_owned())
}
