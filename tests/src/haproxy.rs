//! A real HAProxy.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::netns::Netns;
use crate::release::Release;

/// A HAProxy of a test's own, in the test's namespace. Ended by pid when dropped, with its workers.
pub struct Haproxy {
    child: Child,
    directory: tempfile::TempDir,
    netns: String,
}

/// How one is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start<'a> {
    /// Which; `None`: this machine's own.
    pub release: Option<&'a Release>,
    /// Options before `-f`. `{DIR}` stands for the test's folder as HAProxy sees it.
    pub args: &'a [&'a str],
    /// The whole configuration, its `global` too; `{DIR}` as above.
    pub config: &'a str,
    /// More files for the folder, by their paths in it; `{DIR}` as above.
    pub files: &'a [(&'a str, &'a str)],
    /// More of an environment.
    pub environment: &'a [(&'a str, &'a str)],
}

/// The `global` section that most tests want.
pub const GLOBAL: &str =
    "global\n  maxconn 9000\n  nbthread 2\n  stats socket {DIR}/stats.sock level admin expose-fd listeners\n";

impl Haproxy {
    /// Starts one with this configuration (a `global` section with a stats socket is put before it) and waits until it answers.
    ///
    /// # Panics
    /// When it doesn't start.
    #[must_use]
    pub fn start(netns: &Netns, config: &str) -> Self {
        Self::start_as(netns, config, &["-db"])
    }

    /// The same as master and worker.
    ///
    /// # Panics
    /// When it doesn't start.
    #[must_use]
    pub fn start_master(netns: &Netns, config: &str) -> Self {
        Self::start_as(netns, config, &["-W"])
    }

    fn start_as(netns: &Netns, config: &str, args: &[&str]) -> Self {
        let config = GLOBAL.to_owned() + config;
        let this = Self::spawn(
            netns,
            Start {
                release: None,
                args,
                config: &config,
                ..Start::default()
            },
        );
        this.await_socket();
        this
    }

    /// Waits until its stats socket takes connections.
    ///
    /// # Panics
    /// When it never does.
    pub fn await_socket(&self) {
        let start = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            let waited = start.elapsed();
            assert!(
                waited < Duration::from_secs(10),
                "haproxy doesn't start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts one, and waits for nothing.
    ///
    /// # Panics
    /// When it doesn't start.
    #[must_use]
    pub fn spawn(netns: &Netns, start: Start<'_>) -> Self {
        let root = start.release.and_then(|release| release.root.as_deref());
        let directory = match root {
            Some(root) => tempfile::tempdir_in(root.join("tmp")),
            None => tempfile::tempdir(),
        }
        .expect("a directory");
        let outside = directory.path().to_owned();
        let inside = match root {
            Some(root) => Path::new("/").join(outside.strip_prefix(root).expect("below the root")),
            None => outside.clone(),
        };
        let fill = |text: &str| text.replace("{DIR}", &inside.display().to_string());
        std::fs::write(outside.join("haproxy.cfg"), fill(start.config)).expect("a configuration");
        for (name, text) in start.files {
            let path = outside.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, fill(text)).expect("a file");
        }
        let mut command = match root {
            // It runs as `haproxy` all the same: chroot becomes it.
            Some(root) => {
                let mut command = netns.command("chroot");
                command.arg(root).arg("/usr/sbin/haproxy");
                command
            }
            None => netns.command("haproxy"),
        };
        let log = std::fs::File::create(outside.join("log")).expect("a log");
        let child = command
            .args(start.args.iter().map(|arg| fill(arg)))
            .arg("-f")
            .arg(inside.join("haproxy.cfg"))
            .envs(start.environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("haproxy starts");
        Self {
            child,
            directory,
            netns: netns.name().to_owned(),
        }
    }

    /// What it said on stderr.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// A path in the test's folder, from outside of any root.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The namespace it runs in.
    #[must_use]
    pub fn netns(&self) -> &str {
        &self.netns
    }

    fn socket(&self) -> PathBuf {
        self.path("stats.sock")
    }

    /// The pid of the process that was started: the master, or the only one.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The workers of a master, oldest first.
    #[must_use]
    pub fn workers(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    }

    /// Sends a signal to the process that was started.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid().cast_signed()).expect("a pid");
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Stops it in its tracks (SIGSTOP), and waits until no thread runs any more: the signal alone leaves one time for another `accept()`.
    ///
    /// # Panics
    /// When a thread goes on.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
        let tasks = PathBuf::from(format!("/proc/{}/task", self.pid()));
        // After the name in its parentheses: `T`, stopped by a signal (proc_pid_stat(5)).
        let stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
        };
        crate::until("haproxy stands still", Duration::from_secs(5), || {
            let mut threads = tasks.read_dir().expect("its threads").flatten();
            threads.all(stopped)
        });
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// Asks the stats socket.
    ///
    /// # Panics
    /// When it doesn't answer.
    #[must_use]
    pub fn ask(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.socket()).expect("the stats socket");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        writeln!(socket, "{command}").expect("a question");
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        answer
    }

    /// Asks the master's command line, `{DIR}/master.sock`. It doesn't hang up by itself: our half is closed first.
    ///
    /// # Panics
    /// When it doesn't answer.
    #[must_use]
    pub fn ask_master(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.path("master.sock")).expect("the master's socket");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        writeln!(socket, "{command}").expect("a question");
        socket.shutdown(std::net::Shutdown::Write).expect("half a close");
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        answer
    }

    /// A figure of `show stat`, by proxy, service (`FRONTEND`, `BACKEND`, a server) and column name.
    #[must_use]
    pub fn stat(&self, proxy: &str, service: &str, column: &str) -> u64 {
        let answer = self.ask("show stat");
        let mut lines = answer.lines();
        let header: Vec<&str> = lines
            .next()
            .unwrap_or("")
            .trim_start_matches("# ")
            .split(',')
            .collect();
        let at = header
            .iter()
            .position(|name| *name == column)
            .expect("the column");
        lines
            .map(|line| line.split(',').collect::<Vec<_>>())
            .find(|row| row.first() == Some(&proxy) && row.get(1) == Some(&service))
            .and_then(|row| row.get(at)?.parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        for worker in self.workers() {
            if let Some(pid) = rustix::process::Pid::from_raw(worker.cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
