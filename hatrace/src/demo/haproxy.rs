//! The demo's own HAProxy.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Addresses;
use crate::error::Problem;

/// A HAProxy in the foreground that dies with this program.
pub(super) struct Haproxy {
    child: Child,
    _directory: tempfile::TempDir,
}

fn configuration(addresses: Addresses, directory: &Path) -> String {
    let Addresses {
        good,
        leaky,
        slow,
        good_server,
        leaky_server,
        slow_server,
    } = addresses;
    let socket = directory.join("stats.sock");
    format!(
        "global\n  maxconn 2000\n  nbthread 1\n  stats socket {socket} mode 600 level operator\n\n\
         defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  timeout tunnel 9s\n\n\
         listen good\n  bind {good}\n  server good1 {good_server}\n\n\
         listen leaky\n  bind {leaky}\n  server leaky1 {leaky_server}\n\n\
         listen slow\n  bind {slow}\n  server slow1 {slow_server}\n",
        socket = socket.display()
    )
}

fn program() -> Result<PathBuf, Problem> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join("haproxy"))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            Problem::cannot("no haproxy is installed: the demo traces a real one")
                .remedy(
                    "apt-get install haproxy    (dnf, zypper, pacman, apk: the package has the same name)",
                )
                .remedy("cargo xtask demo    in a clone of hatrace: installs it on Debian")
        })
}

impl Haproxy {
    pub(super) fn start(addresses: Addresses) -> Result<Self, Problem> {
        let failed = |what: &str, error: std::io::Error| Problem::failed(format!("{what}: {error}"));
        let directory = tempfile::Builder::new()
            .prefix("hatrace-demo-")
            .tempdir()
            .map_err(|error| failed("a temporary directory", error))?;
        let config = directory.path().join("haproxy.cfg");
        std::fs::write(&config, configuration(addresses, directory.path()))
            .map_err(|error| failed("writing haproxy.cfg", error))?;
        let program = program()?;
        let mut command = Command::new(&program);
        command
            .arg("-db")
            .arg("-f")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: prctl is async-signal-safe and takes no pointers here.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let child = command
            .spawn()
            .map_err(|error| failed(&format!("starting {}", program.display()), error))?;
        let mut this = Self {
            child,
            _directory: directory,
        };
        this.wait_until_it_listens(addresses)?;
        Ok(this)
    }

    fn wait_until_it_listens(&mut self, addresses: Addresses) -> Result<(), Problem> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let start = Instant::now();
        // The slow one: its server treats a connection without a word as over.
        while TcpStream::connect_timeout(&addresses.slow, Duration::from_millis(200)).is_err() {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || start.elapsed() > PATIENCE {
                return Err(Problem::failed("the demo's HAProxy did not start")
                    .remedy("haproxy -vv: is it a working one?"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
