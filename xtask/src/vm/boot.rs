//! One run of a virtual machine.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Guarded;

/// What the console showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Console {
    /// The kernel's release, by its own word: it came up.
    pub(super) booted: Option<String>,
    /// How the script ended: it came to its end.
    pub(super) ended: Option<i32>,
    pub(super) lines: Vec<String>,
}

impl Console {
    fn line(&mut self, line: &str) {
        if let Some(release) = line.strip_prefix("vm-booted: ") {
            self.booted = Some(release.to_owned());
        } else if let Some(code) = line.strip_prefix("vm-ended: ") {
            self.ended = code.parse().ok();
        }
        self.lines.push(line.to_owned());
    }

    /// What follows a word at the beginning of a line.
    pub(super) fn told<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter_map(move |line| line.strip_prefix(word))
    }
}

/// Emulated, not virtualized: it runs wherever QEMU does, in a container and in a virtual machine too.
const QEMU: [&str; 20] = [
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "max",
    "-smp",
    "2",
    "-m",
    "1536",
    "-display",
    "none",
    "-no-reboot",
    "-nodefaults",
    "-serial",
    "stdio",
    "-monitor",
    "none",
    "-nic",
    "none",
    "-append",
    "console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off nokaslr",
];
/// QEMU's emulation breaks one boot in twenty of some kernels, before the first program runs.
const TRIES: usize = 4;

/// Boots until the first program has run, and waits for the end. `each`: called with each line.
pub(super) fn run(
    kernel: &Path,
    image: &Path,
    limit: Duration,
    mut each: impl FnMut(&str),
) -> Result<Console> {
    let mut console = Console::default();
    for _ in 0..TRIES {
        console = once(kernel, image, limit, &mut each)?;
        if console.booted.is_some() {
            break;
        }
    }
    Ok(console)
}

fn once(kernel: &Path, image: &Path, limit: Duration, each: &mut impl FnMut(&str)) -> Result<Console> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(QEMU)
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut machine = Guarded::spawn(&mut qemu)?;
    let output = machine.0.stdout.take().context("QEMU has no stdout")?;
    let (tell, told) = channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    let end = std::time::Instant::now() + limit;
    let mut console = Console::default();
    let left = || end.saturating_duration_since(std::time::Instant::now());
    // Until it has nothing more to say, or its time is over.
    while let Ok(line) = told.recv_timeout(left()) {
        console.line(&line);
        each(&line);
    }
    drop(machine);
    let _ = reader.join();
    Ok(console)
}
