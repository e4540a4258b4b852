//! hatrace itself, as a user runs it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::report::Report;
use crate::until;

/// The binary under test: `HATRACE_BIN`, or the release build beside this test.
///
/// # Panics
/// When it isn't there.
#[must_use]
pub fn binary() -> PathBuf {
    let path = std::env::var_os("HATRACE_BIN").map_or_else(
        || {
            let test = std::env::current_exe().expect("this test's path");
            let target = test.ancestors().nth(3).expect("the target directory");
            target.join("release/hatrace")
        },
        PathBuf::from,
    );
    assert!(path.exists(), "{} isn't there: cargo xtask build", path.display());
    path
}

/// A running hatrace.
pub struct Tracer {
    child: Child,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    stdout: Option<JoinHandle<String>>,
}

/// What it came to.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed as data.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Finished {
    /// The JSON it printed.
    ///
    /// # Panics
    /// When it failed, or printed something else.
    #[must_use]
    pub fn report(&self) -> Report {
        assert!(
            self.status.success(),
            "{}: {}\n{}",
            self.status,
            self.stderr,
            self.stdout
        );
        Report::parse(&self.stdout)
    }

    /// The summary that ends a stream of JSON lines.
    ///
    /// # Panics
    /// When it failed, or printed nothing.
    #[must_use]
    pub fn last_report(&self) -> Report {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        Report::parse(self.stdout.lines().last().unwrap_or_default())
    }

    /// Its exit code.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Runs hatrace to its end.
///
/// # Panics
/// When it doesn't start.
#[must_use]
pub fn run(args: &[&str]) -> Finished {
    run_command(Command::new(binary()).args(args))
}

/// Runs a prepared command to its end.
///
/// # Panics
/// When it doesn't start.
#[must_use]
pub fn run_command(command: &mut Command) -> Finished {
    let output = command.stdin(Stdio::null()).output().expect("hatrace runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Finished {
        status: output.status,
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

impl Tracer {
    /// Starts hatrace and waits until it says that it is attached.
    ///
    /// # Panics
    /// When it doesn't come to that.
    #[must_use]
    pub fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    /// The same with environment variables set.
    ///
    /// # Panics
    /// When it doesn't come to that.
    #[must_use]
    pub fn start_with(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(binary())
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("hatrace starts");
        let stderr = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&stderr);
        let from = child.stderr.take().expect("its stderr");
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let mut text = into.lock().expect("nobody panics with it");
                text.push_str(&line);
                text.push('\n');
            }
        });
        let mut from = child.stdout.take().expect("its stdout");
        let stdout = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = from.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut this = Self {
            child,
            stderr,
            reader: Some(reader),
            stdout: Some(stdout),
        };
        until("hatrace says attached", Duration::from_secs(15), || {
            if let Ok(Some(status)) = this.child.try_wait() {
                panic!("hatrace ended early, {status}: {}", this.said());
            }
            this.said().contains("attached")
        });
        this
    }

    /// What it has said so far.
    ///
    /// # Panics
    /// Never, but for a panic elsewhere.
    #[must_use]
    pub fn said(&self) -> String {
        self.stderr.lock().expect("nobody panics with it").clone()
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// Never, but for a pid of 0.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid().cast_signed()).expect("a pid");
        let _ = rustix::process::kill_process(pid, signal);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it doesn't end within two minutes.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let mut status = None;
        until("hatrace ends", Duration::from_secs(150), || {
            status = self.child.try_wait().expect("its status");
            status.is_some()
        });
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let stdout = self
            .stdout
            .take()
            .map(|thread| thread.join().unwrap_or_default())
            .unwrap_or_default();
        Finished {
            status: status.expect("it has ended"),
            stdout,
            stderr: self.said(),
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
