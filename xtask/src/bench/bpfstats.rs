//! The kernel's own account of the time spent in BPF programs.

use std::collections::BTreeMap;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// `BPF_ENABLE_STATS` of bpf(2).
const BPF_ENABLE_STATS: libc::c_long = 32;

/// While it lives, the kernel measures every BPF program; that costs some itself, so it has its own rounds.
///
/// A file descriptor instead of the sysctl: it cannot be left switched on, whatever ends this program.
pub(crate) struct Enabled(#[expect(dead_code, reason = "held for its Drop")] OwnedFd);

impl Enabled {
    fn new() -> Result<Self> {
        // The whole of the command's part of `union bpf_attr`: type 0 is BPF_STATS_RUN_TIME.
        let kind: u32 = 0;
        // SAFETY: the pointer is to the `size` bytes that the kernel reads, alive until the return.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_ENABLE_STATS,
                &raw const kind,
                size_of_val(&kind),
            )
        };
        if fd < 0 {
            return Err(std::io::Error::last_os_error()).context("switching BPF statistics on");
        }
        let fd = RawFd::try_from(fd).context("bpf() returned no file descriptor")?;
        // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

/// Switches the account on, if it can be read too.
pub(crate) fn enable() -> Result<Enabled> {
    process::which("bpftool").context("bpftool is not installed")?;
    Enabled::new()
}

/// Whether an administrator has them switched on for good: then no round here is without their cost.
pub(crate) fn always_on() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|value| value.trim() != "0")
}

/// What one program has used since it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) name: String,
    pub(crate) nanoseconds: u64,
    pub(crate) runs: u64,
}

/// Every loaded program by its id.
pub(crate) fn read() -> Result<BTreeMap<u64, Used>> {
    let bpftool = process::which("bpftool").context("bpftool is not installed")?;
    parse(&process::capture(
        Command::new(bpftool).args(["prog", "show", "-j"]),
    )?)
}

/// What the programs that were not there in `before` have used between `start` and `end`.
pub(crate) fn used(
    before: &BTreeMap<u64, Used>,
    start: &BTreeMap<u64, Used>,
    end: &BTreeMap<u64, Used>,
) -> Vec<Used> {
    let none = Used::default();
    end.iter()
        .filter(|(id, _)| !before.contains_key(id))
        .map(|(id, end)| {
            let start = start.get(id).unwrap_or(&none);
            Used {
                name: end.name.clone(),
                nanoseconds: end.nanoseconds.saturating_sub(start.nanoseconds),
                runs: end.runs.saturating_sub(start.runs),
            }
        })
        .filter(|used| used.runs > 0)
        .collect()
}

fn parse(json: &str) -> Result<BTreeMap<u64, Used>> {
    let programs: Value = serde_json::from_str(json).context("reading what bpftool printed")?;
    let programs = programs
        .as_array()
        .context("bpftool printed no list of programs")?;
    Ok(programs
        .iter()
        .filter_map(|program| {
            let number = |key: &str| program[key].as_u64().unwrap_or(0);
            let name = program["name"].as_str().unwrap_or("?").to_owned();
            let used = Used {
                name,
                nanoseconds: number("run_time_ns"),
                runs: number("run_cnt"),
            };
            Some((program["id"].as_u64()?, used))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_programs_that_ran_count() {
        let before = parse(r#"[{"id":1,"name":"old","run_time_ns":5,"run_cnt":1}]"#).unwrap();
        let start =
            parse(r#"[{"id":1,"name":"old"},{"id":2,"name":"set","run_time_ns":10,"run_cnt":1}]"#).unwrap();
        let end = parse(
            r#"[{"id":1,"name":"old","run_time_ns":99,"run_cnt":9},
                {"id":2,"name":"set","run_time_ns":40,"run_cnt":4},{"id":3,"name":"idle"}]"#,
        )
        .unwrap();
        let used = used(&before, &start, &end);
        assert_eq!(
            used,
            [Used {
                name: "set".to_owned(),
                nanoseconds: 30,
                runs: 3
            }]
        );
    }
}
