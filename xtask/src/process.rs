//! Other programs: finding them, running them, and ending those that were started here.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The program of that name on PATH, in cargo's own `bin`, or where Debian keeps administration tools
/// (often missing from a user's PATH).
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(workspace::cargo_home().map(|home| home.join("bin")))
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Runs to the end with this program's own output; fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", name(command));
    }
    Ok(())
}

/// Runs to the end with this program's own output.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("starting `{}`", name(command)))
}

/// Runs to the end and returns what it printed; a failure carries the last lines of its stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{}`", name(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}\n{}",
            name(command),
            output.status,
            tail(&stderr, 15)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last `lines` lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A command as one would type it, for messages.
pub(crate) fn name(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// A child that does not outlive its owner, however the owner ends its work.
pub(crate) struct Guarded(pub(crate) Child);

impl Guarded {
    /// Starts it so that the kernel ends it when this program is killed and can't.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        // SAFETY: between fork and exec only prctl is called, which is async-signal-safe and allocates nothing.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let child = command
            .spawn()
            .with_context(|| format!("starting `{}`", name(command)))?;
        Ok(Self(child))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Asks with `signal`, waits up to `patience`, then kills. Returns whether asking was enough.
    pub(crate) fn stop(&mut self, signal: i32, patience: Duration) -> bool {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return true;
        }
        send(self.pid(), signal);
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Either call fails only when the child has just ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
        false
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.stop(libc::SIGTERM, Duration::from_secs(2));
    }
}

/// One signal to one process that this program started and has not yet waited for.
pub(crate) fn send(pid: u32, signal: i32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else {
        return;
    };
    // SAFETY: kill takes plain numbers; a pid that is gone makes it fail, which is harmless here.
    unsafe {
        libc::kill(pid, signal);
    }
}

/// `pid` and everything below it, parents first.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The command's name may hold blanks and brackets: fields count from the last bracket.
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if let Some(parent) = after.split(' ').nth(1).and_then(|p| p.parse::<u32>().ok()) {
            parents.push((child, parent));
        }
    }
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(
            parents
                .iter()
                .filter(|(_, p)| *p == parent)
                .map(|(child, _)| *child),
        );
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_keeps_the_last_lines() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a", 5), "a");
    }

    #[test]
    fn a_family_starts_with_its_head() {
        let mut child = Guarded::spawn(Command::new("sleep").arg("30")).unwrap();
        let family = family(std::process::id());
        assert_eq!(family[0], std::process::id());
        assert!(family.contains(&child.pid()));
        assert!(child.stop(libc::SIGTERM, Duration::from_secs(5)));
    }
}
