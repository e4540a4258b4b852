//! What is set beside the load: nothing, a stand-in that does nothing, empty programs, hatrace, tcpstates.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::results::Memory;
use crate::process::{self, Guarded};

/// What runs beside the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing: what everything is compared with.
    Bare,
    /// A program that only sleeps, started and stopped like the others: shows what the procedure itself does.
    Control,
    /// hatrace's hooks with programs that return at once: the least that any tracer there costs.
    Empty,
    /// hatrace.
    Traced,
    /// Debian's libbpf-tools.
    Tcpstates,
}

impl Variant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Control => "control",
            Self::Empty => "empty",
            Self::Traced => "traced",
            Self::Tcpstates => "tcpstates",
        }
    }
}

/// A started variant.
pub(crate) struct Tracer {
    child: Option<Guarded>,
    json: Option<PathBuf>,
}

/// What hatrace used and said at its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    /// From `totals.lost` of its report.
    pub(crate) lost: Option<u64>,
    /// From `totals.sockets`: zero would mean that nothing was measured.
    pub(crate) sockets: Option<u64>,
}

impl Tracer {
    /// Returns when it is attached.
    pub(crate) fn start(variant: Variant, hatrace: &Path, pid: u32, folder: &Path) -> Result<Self> {
        let pid = pid.to_string();
        match variant {
            Variant::Bare => Ok(Self {
                child: None,
                json: None,
            }),
            Variant::Control => {
                let child = Guarded::spawn(Command::new("sleep").arg("3600").stdin(Stdio::null()))?;
                Ok(Self {
                    child: Some(child),
                    json: None,
                })
            }
            Variant::Empty => {
                let mut command = Command::new(hatrace);
                command.args(["bench-empty", "--pid", &pid]).stdout(Stdio::null());
                Ok(Self {
                    child: Some(attached(&mut command)?),
                    json: None,
                })
            }
            Variant::Traced => {
                let json = folder.join("report.json");
                // A report that a former run left must not be taken for this one's.
                let _ = std::fs::remove_file(&json);
                let mut command = Command::new(hatrace);
                command
                    .args(["report", "-d", "3600", "--pid", &pid, "--json", "-o"])
                    .arg(&json);
                let child = attached(command.stdout(Stdio::null()))?;
                Ok(Self {
                    child: Some(child),
                    json: Some(json),
                })
            }
            Variant::Tcpstates => {
                let tool =
                    process::which("tcpstates").context("tcpstates (libbpf-tools) is not installed")?;
                let mut command = Command::new(tool);
                command
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                let mut child = Guarded::spawn(&mut command)?;
                // It never says that it is attached; it takes about 0.3 s.
                std::thread::sleep(Duration::from_millis(1500));
                if let Ok(Some(status)) = child.0.try_wait() {
                    let mut said = String::new();
                    if let Some(mut stderr) = child.0.stderr.take() {
                        stderr
                            .read_to_string(&mut said)
                            .context("reading what tcpstates said")?;
                    }
                    bail!(
                        "tcpstates ended at once with {status}\n{}",
                        process::tail(&said, 2)
                    );
                }
                Ok(Self {
                    child: Some(child),
                    json: None,
                })
            }
        }
    }

    /// Seconds of CPU used so far, user and system.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.as_ref()?.pid())).ok()?;
        cpu_ticks(&stat).map(|ticks| ticks as f64 / ticks_per_second())
    }

    /// What it holds now, and has held at most.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.as_ref()?.pid())).ok()?;
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Memory {
            rss: kib("VmRSS:")?,
            peak: kib("VmHWM:")?,
        })
    }

    /// Ctrl-C, as a user would, and what it reports then.
    pub(crate) fn stop(mut self) -> Result<Ended> {
        if let Some(child) = &mut self.child
            && !child.stop(libc::SIGINT, Duration::from_secs(15))
        {
            bail!("it did not end within 15 s of SIGINT");
        }
        let Some(json) = self.json else {
            return Ok(Ended::default());
        };
        let text = std::fs::read_to_string(&json).with_context(|| format!("reading {}", json.display()))?;
        let report: Value =
            serde_json::from_str(&text).with_context(|| format!("reading {}", json.display()))?;
        let totals = &report["totals"];
        Ok(Ended {
            lost: totals["lost"].as_u64(),
            sockets: totals["sockets"].as_u64(),
        })
    }
}

/// Waits for the line on stderr that says so.
fn attached(command: &mut Command) -> Result<Guarded> {
    let mut child = Guarded::spawn(command.stdin(Stdio::null()).stderr(Stdio::piped()))?;
    let stderr = child.0.stderr.take().context("it has no stderr")?;
    let (send, receive) = channel();
    // Reads on to the end: a full pipe would stop the very program that is measured.
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let until = Instant::now() + Duration::from_secs(20);
    let mut said = String::new();
    loop {
        match receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains("attached") => return Ok(child),
            Ok(line) => said = format!("{said}\n{line}"),
            Err(RecvTimeoutError::Timeout) => {
                bail!("it was not attached after 20 s{}", process::tail(&said, 5))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.0.wait().context("waiting for it")?;
                bail!(
                    "it ended with {status} before it was attached{}",
                    process::tail(&said, 5)
                );
            }
        }
    }
}

/// utime and stime, the 14th and 15th field; the name in the second may hold blanks.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf takes a number and returns one.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 30 12 0 0 20 0 1 0 100";
        assert_eq!(cpu_ticks(stat), Some(42));
    }

    #[test]
    fn a_program_that_ends_early_is_not_attached() {
        let error = attached(Command::new("sh").args(["-c", "echo no such pid >&2; exit 3"]))
            .err()
            .unwrap();
        let text = format!("{error:#}");
        assert!(
            text.contains("no such pid") && text.contains("exit status: 3"),
            "{text}"
        );
    }
}
