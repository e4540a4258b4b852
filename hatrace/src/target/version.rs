//! Which version of HAProxy runs.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Proc;

/// The version as HAProxy prints it: `2.6.12-1+deb12u4`. It is asked of the program on disk, and only where that is the very file
/// the process runs (not one of another mount namespace, not a newer one) and root's own.
#[must_use]
pub fn haproxy_version(process: &Proc) -> Option<String> {
    parse(&said(process, "-v")?)
}

/// What `haproxy -vv` says of how it was built, asked of the same file.
#[must_use]
pub fn haproxy_build(process: &Proc) -> Option<String> {
    said(process, "-vv")
}

fn said(process: &Proc, option: &str) -> Option<String> {
    let exe = process.exe.as_ref()?;
    let on_disk = std::fs::metadata(exe).ok()?;
    let running = std::fs::metadata(format!("/proc/{}/exe", process.pid)).ok()?;
    if (on_disk.dev(), on_disk.ino()) != (running.dev(), running.ino()) || on_disk.uid() != 0 {
        return None;
    }
    output_of(exe, option)
}

fn output_of(exe: &std::path::Path, option: &str) -> Option<String> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let mut child = Command::new(exe)
        .arg(option)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let start = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut text = String::new();
    child
        .stdout
        .take()?
        .take(32 << 10)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

fn parse(text: &str) -> Option<String> {
    // "HAProxy version 2.6.12-1+deb12u4 2026/..."; "HA-Proxy version" up to 2.3.
    let mut words = text.lines().next()?.split_whitespace();
    words.find(|word| *word == "version")?;
    words.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn first_line_of_haproxy_v() {
        assert_eq!(
            parse("HAProxy version 2.6.12-1+deb12u2 2025/04/16 - https://haproxy.org/\n").as_deref(),
            Some("2.6.12-1+deb12u2")
        );
        assert_eq!(parse("nginx/1.2"), None);
        assert_eq!(parse(""), None);
    }
}
