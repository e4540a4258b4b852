//! A network of the bench's own, so that it disturbs nobody's sockets and nobody disturbs its.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Moves this process, and with it every child from now on, into a new network namespace.
///
/// Must be called before any thread is started: unshare moves the calling thread only.
pub(crate) fn enter() -> Result<()> {
    // SAFETY: unshare takes flags and changes only this thread's namespaces.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) } != 0 {
        return Err(std::io::Error::last_os_error()).context("making a network namespace (needs root)");
    }
    process::run(Command::new("ip").args(["link", "set", "lo", "up"])).context("starting loopback")?;
    // A connection per request from one address to one port: all ports that don't collide with listeners,
    // and a port in TIME_WAIT usable after a second, as on any busy proxy.
    for (name, value) in [("ip_local_port_range", "20000 65000"), ("tcp_tw_reuse", "1")] {
        let file = format!("/proc/sys/net/ipv4/{name}");
        std::fs::write(&file, value).with_context(|| format!("writing {file}"))?;
    }
    mount_tracefs();
    Ok(())
}

/// hatrace needs no tracefs, but the tools it is compared with do, and a small machine may not mount it.
/// In a mount namespace of our own; where it fails, those tools say what they lack.
fn mount_tracefs() {
    const TRACEFS: &str = "/sys/kernel/tracing";
    if Path::new(TRACEFS).join("events").exists() {
        return;
    }
    let private = process::capture(Command::new("mount").args(["--make-rprivate", "/"]));
    let mounted = private
        .and_then(|_| process::capture(Command::new("mount").args(["-t", "tracefs", "tracefs", TRACEFS])));
    if let Err(error) = mounted {
        eprintln!("bench: no tracefs: {error:#}");
    }
}
