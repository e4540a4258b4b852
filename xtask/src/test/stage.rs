//! One call of `cargo test`: streamed as it runs, counted, and ended when it takes too long.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::tally::Tally;
use crate::process;
use crate::workspace::Workspace;

/// One call of `cargo test`.
pub(super) struct Stage {
    name: &'static str,
    args: Vec<String>,
    harness: Vec<String>,
    limit: Duration,
}

impl Stage {
    pub(super) fn new(name: &'static str, args: &[&str], limit: Duration) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self {
            name,
            args,
            harness: Vec::new(),
            limit,
        }
    }

    pub(super) fn harness(&mut self, words: &[String]) {
        self.harness.extend_from_slice(words);
    }

    pub(super) fn run(&self, workspace: &Workspace, skipped_file: &Path) -> Result<Tally> {
        let start = Instant::now();
        let mut cargo = workspace.cargo("test");
        cargo
            .args(&self.args)
            // One red binary must not hide what the others would have said.
            .arg("--no-fail-fast")
            .arg("--")
            .args(&self.harness)
            .env("HATRACE_BIN", workspace.binary())
            .env("HATRACE_SKIPPED_FILE", skipped_file)
            .env("HATRACE_HAPROXY_DIR", workspace.target.join("haproxy"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        eprintln!("test: {}", self.name);
        let mut child = cargo
            .spawn()
            .with_context(|| format!("starting `{}`", process::name(&cargo)))?;
        let output = child.stdout.take().context("cargo has no stdout")?;

        // The watch ends when its sender is dropped, or at the limit, whichever comes first.
        let (done, watch) = channel::<()>();
        let (pid, limit) = (child.id(), self.limit);
        let watchdog = std::thread::spawn(move || {
            let late = watch.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if late {
                // Children first: cargo would report a killed parent's test as merely interrupted.
                process::family(pid)
                    .into_iter()
                    .rev()
                    .for_each(|pid| process::send(pid, libc::SIGKILL));
            }
            late
        });

        let mut tally = Tally::default();
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("reading the tests' output")?;
            let line = String::from_utf8_lossy(&line);
            tally.line(&line);
            // A closed stdout (`| head`) is no reason to stop counting.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        let status = child.wait().context("waiting for cargo test")?;
        drop(done);
        let late = watchdog.join().unwrap_or(false);
        if late {
            tally.broke(self.name, &format!("killed after {} s", self.limit.as_secs()));
        } else if !status.success() && tally.failed() == 0 {
            tally.broke(self.name, &format!("cargo test ended with {status}"));
        }
        eprintln!(
            "test: {}: {tally}, {:.0} s",
            self.name,
            start.elapsed().as_secs_f64()
        );
        Ok(tally)
    }
}
