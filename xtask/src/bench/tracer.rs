//! What is set beside the load: nothing, a stand-in that does nothing, empty programs, hatrace, tcpstates.

use std::io::{BufRead as _, BufReader};
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
    /// `tcpstates` of libbpf-tools: every transition, as a line.
    Tcpstates,
    /// `tcplife` of libbpf-tools: every connection, as a line.
    Tcplife,
    /// bpftrace, counting transitions by state.
    Bpftrace,
    /// `ss -tan`, once a second.
    Ss,
}

impl Variant {
    /// Those that are measured always, and most often.
    pub(super) const OURS: [Self; 4] = [Self::Bare, Self::Control, Self::Empty, Self::Traced];
    /// What else people use.
    pub(super) const PEERS: [Self; 4] = [Self::Tcpstates, Self::Tcplife, Self::Bpftrace, Self::Ss];
    /// All, in the order of tables.
    pub(super) const ALL: [Self; 8] = [
        Self::Bare,
        Self::Control,
        Self::Empty,
        Self::Traced,
        Self::Tcpstates,
        Self::Tcplife,
        Self::Bpftrace,
        Self::Ss,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Control => "control",
            Self::Empty => "empty",
            Self::Traced => "traced",
            Self::Tcpstates => "tcpstates",
            Self::Tcplife => "tcplife",
            Self::Bpftrace => "bpftrace",
            Self::Ss => "ss",
        }
    }

    /// Whether it looks at sockets: what it uses is of interest.
    pub(super) fn is_tracer(self) -> bool {
        self == Self::Traced || Self::PEERS.contains(&self)
    }

    /// Whether it puts programs into the kernel.
    pub(super) fn has_programs(self) -> bool {
        matches!(
            self,
            Self::Empty | Self::Traced | Self::Tcpstates | Self::Tcplife | Self::Bpftrace
        )
    }

    /// Why it can't be run here.
    pub(super) fn absent(self) -> Option<&'static str> {
        let (tool, why) = match self {
            Self::Tcpstates => ("tcpstates", "libbpf-tools is not installed"),
            Self::Tcplife => ("tcplife", "libbpf-tools is not installed"),
            Self::Bpftrace => ("bpftrace", "it is not installed"),
            Self::Ss => ("ss", "iproute2 is not installed"),
            _ => return None,
        };
        process::which(tool).is_none().then_some(why)
    }
}

/// A started variant.
pub(crate) struct Tracer {
    child: Option<Guarded>,
    json: Option<PathBuf>,
}

/// What hatrace said at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    /// From `totals.lost` of its report.
    pub(crate) lost: Option<u64>,
    /// From `totals.sockets`: zero would mean that nothing was measured.
    pub(crate) sockets: Option<u64>,
    /// From `totals.missed_runs`.
    pub(crate) missed: Option<u64>,
    /// Bytes of its maps in the kernel.
    pub(crate) map_bytes: Option<u64>,
    /// The longest scan, sweep and survey, in milliseconds.
    pub(crate) looks: Option<[f64; 3]>,
}

impl Ended {
    fn read(json: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(json).with_context(|| format!("reading {}", json.display()))?;
        let report: Value =
            serde_json::from_str(&text).with_context(|| format!("reading {}", json.display()))?;
        let (totals, cost) = (&report["totals"], &report["cost"]);
        let milliseconds = |key: &str| cost[key].as_f64().map(|seconds| seconds * 1e3);
        let looks = || {
            Some([
                milliseconds("scan_s")?,
                milliseconds("sweep_s")?,
                milliseconds("survey_s")?,
            ])
        };
        Ok(Self {
            lost: totals["lost"].as_u64(),
            sockets: totals["sockets"].as_u64(),
            missed: totals["missed_runs"].as_u64(),
            map_bytes: cost["map_bytes"].as_u64(),
            looks: looks(),
        })
    }
}

impl Tracer {
    /// Returns when it is attached. hatrace follows the HAProxys of `pids`; the others see the whole host.
    pub(crate) fn start(variant: Variant, hatrace: &Path, pids: &[u32], folder: &Path) -> Result<Self> {
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let pids = pids.join(",");
        let without_json = |child| Ok(Self { child, json: None });
        match variant {
            Variant::Bare => without_json(None),
            Variant::Control => without_json(Some(quiet(Command::new("sleep").arg("3600"))?)),
            Variant::Empty => {
                let mut command = Command::new(hatrace);
                command
                    .args(["bench-empty", "--pid", &pids])
                    .stdout(Stdio::null());
                without_json(Some(attached(&mut command)?))
            }
            Variant::Traced => {
                let json = folder.join("report.json");
                // A report that a former run left must not be taken for this one's.
                let _ = std::fs::remove_file(&json);
                let mut command = Command::new(hatrace);
                command
                    .args(["report", "-d", "3600", "--pid", &pids, "--json", "-o"])
                    .arg(&json);
                let child = attached(command.stdout(Stdio::null()))?;
                Ok(Self {
                    child: Some(child),
                    json: Some(json),
                })
            }
            Variant::Tcpstates => without_json(Some(unannounced(&mut Command::new("tcpstates"))?)),
            Variant::Tcplife => without_json(Some(unannounced(&mut Command::new("tcplife"))?)),
            Variant::Bpftrace => {
                let program = "tracepoint:sock:inet_sock_set_state { @[args->newstate] = count(); }";
                without_json(Some(unannounced(Command::new("bpftrace").args(["-e", program]))?))
            }
            Variant::Ss => {
                let script = "while :; do ss -tan >/dev/null; sleep 1; done";
                without_json(Some(quiet(Command::new("sh").args(["-c", script]))?))
            }
        }
    }

    /// hatrace, recording.
    pub(super) fn recording(hatrace: &Path, pid: u32, file: &Path) -> Result<Self> {
        let mut command = Command::new(hatrace);
        command
            .args(["record", "--pid", &pid.to_string(), "-o"])
            .arg(file);
        Ok(Self {
            child: Some(attached(command.stdout(Stdio::null()))?),
            json: None,
        })
    }

    /// Seconds of CPU used so far, user and system.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.as_ref()?.pid())).ok()?;
        cpu_ticks(&stat).map(|ticks| ticks as f64 / ticks_per_second())
    }

    /// What it holds now, and has held at most; without the pages of BPF maps, which are counted as the maps'.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let process = format!("/proc/{}", self.child.as_ref()?.pid());
        let status = std::fs::read_to_string(format!("{process}/status")).ok()?;
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let rss: u64 = kib("VmRSS:")?;
        let mapped = mapped_maps(&std::fs::read_to_string(format!("{process}/smaps")).ok()?);
        Some(Memory {
            rss: rss.saturating_sub(mapped),
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
        match self.json {
            Some(json) => Ended::read(&json),
            None => Ok(Ended::default()),
        }
    }
}

/// Somebody else's program, its output thrown away.
fn quiet(command: &mut Command) -> Result<Guarded> {
    let silent = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Guarded::spawn(silent)
}

/// A tracer that never says that it is attached: bpftrace takes about a second, the others 0.3 s.
fn unannounced(command: &mut Command) -> Result<Guarded> {
    let mut child = quiet(command)?;
    std::thread::sleep(Duration::from_millis(1500));
    if let Ok(Some(status)) = child.0.try_wait() {
        bail!("it ended at once with {status}");
    }
    Ok(child)
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

/// KiB of BPF maps that are resident, of `/proc/PID/smaps`: a line of the mapping with its name, then its figures.
fn mapped_maps(smaps: &str) -> u64 {
    let (mut of_map, mut sum) = (false, 0);
    for line in smaps.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if !first.ends_with(':') {
            of_map = line.contains("bpf-map");
        } else if of_map && first == "Rss:" {
            let kib = line
                .split_whitespace()
                .nth(1)
                .and_then(|kib| kib.parse::<u64>().ok());
            sum += kib.unwrap_or(0);
        }
    }
    sum
}

/// utime and stime, its own and its ended children's: the 14th to the 17th field; the name in the second may hold blanks.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11..15)?;
    ticks.iter().map(|field| field.parse::<u64>().ok()).sum()
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
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 30 12 2 1 20 0 1 0 100";
        assert_eq!(cpu_ticks(stat), Some(45));
    }

    #[test]
    fn pages_of_maps_are_told_from_others() {
        let smaps = "7f00-7f10 rw-s 00000000 00:0e 11 anon_inode:bpf-map\nSize: 64 kB\nRss: 60 kB\nPss: 60 kB\n\
                     7f20-7f30 r--p 00000000 08:01 12 /usr/sbin/hatrace\nRss: 8 kB\n\
                     7f40-7f50 rw-s 00000000 00:0e 13 anon_inode:bpf-map\nRss: 4 kB\n";
        assert_eq!(mapped_maps(smaps), 64);
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
