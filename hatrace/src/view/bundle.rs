//! What a bundle for a bug report says in words, beside the recording and the report: what it is, which versions, which timeouts.

use std::collections::BTreeSet;
use std::io::{self, Write};

use hatrace_core::config::{Configuration, Proxy};
use hatrace_core::ids::Pid;
use hatrace_core::snapshot::Snapshot;

use super::{units, words};
use crate::port::Context;

/// What is in it, for whoever opens it.
///
/// # Errors
/// The writer's.
pub fn readme(out: &mut dyn Write, files: &[(String, String)], recorded: bool) -> io::Result<()> {
    writeln!(out, "What hatrace saw of a HAProxy with stuck connections.\n")?;
    let longest = files.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, what) in files {
        writeln!(out, "  {name:longest$}  {what}")?;
    }
    writeln!(
        out,
        "\nAddresses and names are pseudonyms, the same in every file: addresses that share a prefix go on sharing one of the same\nlength. Ports, states, times, counts and HAProxy's pointers are as they were."
    )?;
    if recorded {
        writeln!(
            out,
            "Made from a recording: what HAProxy itself writes of its sessions (show sess, show fd) is not in it."
        )?;
    }
    Ok(())
}

/// Which versions of what.
///
/// # Errors
/// The writer's.
pub fn versions(
    out: &mut dyn Write,
    context: &Context,
    kernels: &BTreeSet<String>,
    own_words: &[String],
) -> io::Result<()> {
    writeln!(out, "{}", words::who(context))?;
    for kernel in kernels {
        writeln!(out, "Linux {kernel}")?;
    }
    for text in own_words {
        writeln!(out, "\n{}", text.trim_end())?;
    }
    Ok(())
}

/// The timeouts and limits of every process, each with its line.
///
/// # Errors
/// The writer's.
pub fn timeouts(out: &mut dyn Write, snapshot: &Snapshot) -> io::Result<()> {
    if snapshot.configured.is_empty() {
        return writeln!(out, "no configuration could be read");
    }
    for (pid, configuration) in &snapshot.configured {
        process(out, *pid, configuration)?;
    }
    Ok(())
}

fn process(out: &mut dyn Write, pid: Pid, configuration: &Configuration) -> io::Result<()> {
    writeln!(out, "# process {pid}")?;
    for doubt in &configuration.doubts {
        writeln!(out, "# {doubt}")?;
    }
    let global = &configuration.global;
    writeln!(out, "global")?;
    if let Some(maxconn) = &global.maxconn {
        writeln!(out, "    maxconn {}    # {}", maxconn.value, maxconn.place)?;
    }
    if let Some(limit) = &global.hard_stop_after {
        writeln!(
            out,
            "    hard-stop-after {}    # {}",
            units::round(limit.value),
            limit.place
        )?;
    }
    configuration
        .proxies
        .iter()
        .try_for_each(|proxy| section(out, proxy))
}

fn section(out: &mut dyn Write, proxy: &Proxy) -> io::Result<()> {
    writeln!(out, "{}    # {}", proxy.section(), proxy.place)?;
    if let Some(maxconn) = &proxy.maxconn {
        writeln!(out, "    maxconn {}    # {}", maxconn.value, maxconn.place)?;
    }
    for (kind, limit) in &proxy.timeouts {
        let length = limit.value.duration();
        let length = length.map_or_else(|| "0".to_owned(), units::round);
        writeln!(out, "    {} {length}    # {}", kind.name(), limit.place)?;
    }
    for (option, on) in &proxy.options {
        let no = if on.value { "" } else { "no " };
        writeln!(out, "    {no}option {option}    # {}", on.place)?;
    }
    Ok(())
}
