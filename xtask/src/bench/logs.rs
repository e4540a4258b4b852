//! Logs: how long a gigabyte of them takes to read, side by side with halog, and whether both count the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::measure::Bench;
use super::results::Results;
use super::spread::Spread;

/// What was measured, in seconds.
#[derive(Clone, Debug)]
pub(super) struct Times {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) hatrace: Spread,
    pub(super) halog: Option<Spread>,
}

impl Times {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "bytes": self.bytes,
            "lines": self.lines,
            "hatrace_s": self.hatrace.to_json(),
            "halog_tc_s": self.halog.map(Spread::to_json),
        })
    }

    /// In one line.
    pub(super) fn words(&self) -> String {
        let halog = self.halog.map_or_else(
            || "halog isn't installed".to_owned(),
            |halog| {
                format!(
                    "`halog -tc`, which counts the codes alone, in {:.2} s",
                    halog.median
                )
            },
        );
        format!(
            "{} lines of httplog, {:.2} GB, in {:.2} s ({:.2} to {:.2}); {halog}",
            self.lines,
            self.bytes as f64 / 1e9,
            self.hatrace.median,
            self.hatrace.low,
            self.hatrace.high
        )
    }
}

/// All of it.
pub(super) fn measure(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let lines = if results.quick { 300_000 } else { 6_000_000 };
    let file = bench.folder.join("bench.log");
    eprintln!("bench: {lines} lines of httplog, hatrace and halog");
    let bytes = write(&file, lines)?;
    let (mut hatrace, mut halog) = (Vec::new(), Vec::new());
    let mut counts: Option<(BTreeMap<String, u64>, BTreeMap<String, u64>)> = None;
    for _ in 0..bench.effort.replays.min(5) {
        let (seconds, ours) = ours(bench, &file, lines)?;
        hatrace.push(seconds);
        if let Some((seconds, theirs)) = theirs(&file)? {
            halog.push(seconds);
            counts = Some((ours, theirs));
        }
    }
    if let Some((ours, theirs)) = counts {
        ensure!(ours == theirs, "hatrace counts {ours:?}, halog {theirs:?}");
    }
    std::fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
    results.logs = Some(Times {
        bytes,
        lines,
        hatrace: Spread::of(hatrace).context("nothing was timed")?,
        halog: Spread::of(halog),
    });
    Ok(())
}

/// Lines as HAProxy writes them, of two days: addresses, servers, codes and requests vary.
fn write(file: &Path, lines: u64) -> Result<u64> {
    let mut out = BufWriter::new(File::create(file).with_context(|| format!("making {}", file.display()))?);
    for number in 0..lines {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let code = match mixed % 100 {
            0 => "sH--",
            1 => "cD--",
            2 => "CD--",
            3 => "SC--",
            4 => "cR--",
            5..=9 => "LR--",
            10..=12 => "PR--",
            _ => "----",
        };
        let second = number * 172_800 / lines;
        let (day, hour, minute) = (20 + second / 86_400, second / 3600 % 24, second / 60 % 60);
        writeln!(
            out,
            "Nov {day} {hour:02}:{minute:02}:{:02} lb1 haproxy[7459]: 10.{}.{}.{}:{} [{day}/Nov/2026:{hour:02}:{minute:02}:{:02}.{:03}] fe_{} be_{}/s{} 0/0/{}/{}/{} {} {} - - {code} 12/10/3/1/0 0/0 \"GET /path/{number}?x={} HTTP/1.1\"",
            second % 60,
            mixed % 4,
            mixed / 4 % 256,
            mixed / 1024 % 256,
            1024 + mixed % 60_000,
            second % 60,
            number % 1000,
            number % 3,
            number % 4,
            number % 7,
            mixed % 5,
            mixed % 300,
            mixed % 500,
            if code == "----" { 200 } else { 504 },
            mixed % 9000,
            mixed % 100_000,
        )?;
    }
    out.flush()?;
    Ok(std::fs::metadata(file)?.len())
}

fn ours(bench: &Bench<'_>, file: &Path, lines: u64) -> Result<(f64, BTreeMap<String, u64>)> {
    let start = Instant::now();
    let output = Command::new(&bench.hatrace)
        .args(["logs", "--json"])
        .arg(file)
        .stdin(Stdio::null())
        .output()?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(
        told["sessions"] == lines,
        "{} of {lines} lines were read",
        told["sessions"]
    );
    let mut counts = BTreeMap::new();
    for row in told["codes"].as_array().into_iter().flatten() {
        let code = row["code"]
            .as_str()
            .and_then(|code| code.get(..2))
            .unwrap_or_default();
        *counts.entry(code.to_owned()).or_default() += row["count"].as_u64().unwrap_or(0);
    }
    Ok((seconds, counts))
}

/// `None`: it isn't installed.
fn theirs(file: &Path) -> Result<Option<(f64, BTreeMap<String, u64>)>> {
    let start = Instant::now();
    let Ok(output) = Command::new("halog").arg("-tc").stdin(File::open(file)?).output() else {
        return Ok(None);
    };
    let seconds = start.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(code, count)| Some((code.to_owned(), count.trim().parse().ok()?)))
        .collect();
    Ok(Some((seconds, counts)))
}
