//! The demo's HAProxy: a child in the foreground that dies with us, in a folder of its own.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::config::{self, Plan};
use crate::error::Problem;

/// How long HAProxy may take until it answers on its stats socket. A quarter of a second is usual.
const STARTUP: Duration = Duration::from_secs(10);

/// A running HAProxy and its folder.
#[derive(Debug)]
pub(super) struct Proxy {
    child: Child,
    // Its fields are dropped in order: the child is waited for in `stop`, the folder goes last.
    folder: TempDir,
}

impl Proxy {
    /// Writes the configuration, starts HAProxy and waits until it serves.
    ///
    /// `PR_SET_PDEATHSIG` is bound to the calling *thread*: call it from one that lives as long as the demo.
    pub(super) fn start(binary: &Path, plan: &Plan) -> Result<Self, Problem> {
        let folder = tempfile::Builder::new()
            .prefix("hatrace-demo-")
            .tempdir()
            .map_err(|error| Problem::failed(format!("can't make a temporary folder: {error}")))?;
        let cfg = folder.path().join("haproxy.cfg");
        let socket = folder.path().join("haproxy.sock");
        fs::write(&cfg, config::text(plan, &socket)).map_err(|error| cant_write(&cfg, &error))?;
        let words = folder.path().join("haproxy.log");
        let log = File::create(&words).map_err(|error| cant_write(&words, &error))?;
        let child = spawn(binary, &cfg, log)
            .map_err(|error| Problem::failed(format!("can't start {}: {error}", binary.display())))?;
        let mut proxy = Self { child, folder };
        match proxy.wait_until_it_serves(&socket) {
            Ok(()) => Ok(proxy),
            Err(why) => {
                let said = fs::read_to_string(&words).unwrap_or_default();
                Err(Problem::failed(format!(
                    "the demo's HAProxy ({}) {why}{}",
                    binary.display(),
                    quoted(&said)
                )))
            }
        }
    }

    /// The process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its configuration.
    pub(super) fn config_path(&self) -> PathBuf {
        self.folder.path().join("haproxy.cfg")
    }

    /// Ends it. A second call does nothing: `Child` doesn't signal what it has already waited for.
    pub(super) fn stop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// It serves when its event loop answers: a listening socket alone is there before the process is ready.
    fn wait_until_it_serves(&mut self, socket: &Path) -> Result<(), String> {
        let until = Instant::now() + STARTUP;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended at once ({status})"));
            }
            if answers(socket) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("does not answer after {} s", STARTUP.as_secs()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(binary: &Path, cfg: &Path, log: File) -> io::Result<Child> {
    let parent = std::process::id();
    let mut command = Command::new(binary);
    command
        .arg("-db")
        .arg("-f")
        .arg(cfg)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Ctrl-C is for hatrace, which still wants to show its summary with HAProxy's sockets in it.
        .process_group(0);
    let die_with_us = move || {
        // SAFETY: prctl() with these arguments touches no memory, and may be called between fork and exec.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have ended before the line above took effect.
        // SAFETY: getppid() has no preconditions.
        if u32::try_from(unsafe { libc::getppid() }) != Ok(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(die_with_us) };
    command.spawn()
}

fn answers(socket: &Path) -> bool {
    let ask = || -> io::Result<usize> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"show info\n")?;
        stream.read(&mut [0; 64])
    };
    ask().is_ok_and(|read| read > 0)
}

/// The installed `haproxy`: in the `PATH`, or where Debian and those who compile it themselves put it.
pub(super) fn find(path: Option<&OsStr>) -> Result<PathBuf, Problem> {
    let searched = path.map(|path| env::split_paths(path).collect::<Vec<_>>());
    searched
        .unwrap_or_default()
        .into_iter()
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join("haproxy"))
        .find(|file| is_executable(file))
        .ok_or_else(|| {
            Problem::cannot("no `haproxy` is installed here, and the demo needs a real one")
                .remedy("apt-get install haproxy    (dnf, apk, zypper: the package has the same name)")
                .remedy("cargo xtask demo    in a clone of hatrace: it installs what is missing")
        })
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn cant_write(file: &Path, error: &io::Error) -> Problem {
    Problem::failed(format!("can't write {}: {error}", file.display()))
}

/// The lines in which HAProxy says what is wrong.
fn quoted(said: &str) -> String {
    let alerts: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("[ALERT]"))
        .take(3)
        .map(str::trim)
        .collect();
    if alerts.is_empty() {
        return String::new();
    }
    format!(": {}", alerts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_haproxy_in_the_path_comes_first_and_none_is_a_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(
            find(Some(folder.path().as_os_str())).ok(),
            Some(file.clone()),
            "not executable"
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(Some(folder.path().as_os_str())).unwrap(), file);
    }

    #[test]
    fn what_haproxy_says_is_quoted() {
        let said = "[NOTICE]   (1) : haproxy version is 2.6\n[ALERT]    (1) : config : no such thing\n";
        assert_eq!(quoted(said), ": [ALERT]    (1) : config : no such thing");
        assert_eq!(quoted("[WARNING] x\n"), "");
    }
}
