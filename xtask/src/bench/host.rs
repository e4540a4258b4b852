//! The machine and the programs a result belongs to.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::process;

/// What stands above every result. What can't be found out is "unknown", and no reason to stop.
pub(super) fn describe(hatrace: &Path) -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, m)| m));
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    json!({
        "date": said(Command::new("date").args(["-u", "+%Y-%m-%d"])),
        "cpu": model.unwrap_or("unknown"),
        "cpus": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory_gib": kib / 1024 / 1024,
        "kernel": said(Command::new("uname").arg("-r")),
        "haproxy": said(Command::new("haproxy").arg("-v")),
        "hatrace": said(Command::new(hatrace).arg("--version")),
    })
}

/// The first line a program prints.
fn said(command: &mut Command) -> String {
    let printed = process::capture(command).unwrap_or_default();
    printed
        .lines()
        .next()
        .filter(|line| !line.is_empty())
        .unwrap_or("unknown")
        .to_owned()
}
