//! The harness of the live tests: private network namespaces, a real HAProxy, peers that misbehave on purpose, and the tracer under test.
//!
//! Whatever a test starts ends with it, by pid. What a test can't have is an error of that test; what the machine can't give
//! is a skip, reported with its reason ([`skip`]).
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a harness fails loudly: its panics are test failures"
)]

pub mod bundle;
pub mod crowd;
pub mod haproxy;
pub mod hlog;
pub mod netns;
pub mod peers;
pub mod release;
pub mod report;
pub mod tracer;
pub mod truth;

use std::io::Write;
use std::time::Duration;

/// Reports that a test can't run here, and why. The runner counts these apart from passes.
pub fn skip(test: &str, why: &str) {
    println!("skipped: {test}: {why}");
    if let Some(path) = std::env::var_os("HATRACE_SKIPPED_FILE") {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the file of skips");
        writeln!(file, "{test}: {why}").expect("a line of it");
    }
}

/// Leaves a fact for docs/TRUST.md, where one is being written: a version of HAProxy's, what was looked at, how it came out.
pub fn fact(version: &str, what: &str, cell: &str) {
    if let Some(path) = std::env::var_os("HATRACE_FACTS_FILE") {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the file of facts");
        writeln!(file, "{version}: {what}: {cell}").expect("a line of it");
    }
}

/// Whether live tests can run here: root, HAProxy and iproute2. If not, the test is reported as skipped.
#[must_use]
pub fn ready(test: &str) -> bool {
    let have = |program: &str| {
        ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
            .iter()
            .any(|dir| std::path::Path::new(dir).join(program).exists())
    };
    let lack = if !rustix::process::geteuid().is_root() {
        Some("not root")
    } else if !have("haproxy") {
        Some("no haproxy (cargo xtask setup --for test)")
    } else if !have("ip") {
        Some("no ip (iproute2)")
    } else {
        None
    };
    if let Some(why) = lack {
        skip(test, why);
    }
    lack.is_none()
}

/// What an emulated machine needs longer for the same, in seconds (`HATRACE_SLACK_MS`): by so much later a FIN may come through HAProxy.
#[must_use]
pub fn slack() -> f64 {
    let told = std::env::var("HATRACE_SLACK_MS").ok();
    told.and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1e3
}

/// Now, in seconds of the wall clock.
#[must_use]
pub fn wall() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64()
}

/// Waits until `done`, for at most `patience`.
///
/// # Panics
/// When it never is.
pub fn until(what: &str, patience: Duration, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < patience, "waited {patience:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
