//! `demo`: builds hatrace and hands over to its own demo.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, Purpose};
use crate::workspace::Workspace;
use crate::{build, process};

pub(crate) fn command(workspace: &Workspace, args: &[String]) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Demo])?;
    build::build(workspace, false)?;
    let binary = workspace.binary();
    if !process::is_root() {
        eprintln!(
            "tracing needs root; if this stops for that, try: sudo {} demo",
            binary.display()
        );
    }
    // In place of this program, so that Ctrl-C and the exit code are hatrace's own.
    let error = Command::new(&binary).arg("demo").args(args).exec();
    Err(error).with_context(|| format!("starting {}", binary.display()))
}
