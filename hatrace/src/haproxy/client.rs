//! One question, one connection: a line goes in, the answer comes out, HAProxy hangs up. No answer is waited for longer than it is worth.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use hatrace_core::ids::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::address::Address;
use super::dial;

/// A way to one process's command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) address: Address,
    /// As whose it is looked for.
    pub(super) process: Pid,
    pub(super) roots: Vec<PathBuf>,
    /// Through the master: the worker's pid as HAProxy knows it.
    pub(super) through_master: Option<u32>,
}

/// An answer that came to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// From the question sent to the end of the answer: no less than HAProxy took over it.
    pub(super) took: Duration,
}

/// What the master answers itself: which workers it has.
pub(super) const MASTERS_OWN: &str = "show proc";

/// The longest line that is read whole: HAProxy's own are below 4 KiB.
const LONGEST_LINE: usize = 256 << 10;
/// How much of an answer is read: a million streams take about 300 MB.
const LONGEST_ANSWER: usize = 512 << 20;
/// How long HAProxy may be silent.
const SILENCE: Duration = Duration::from_secs(3);
/// How long an answer may take in all.
const PATIENCE: Duration = Duration::from_secs(20);
const CHUNK: usize = 64 << 10;

impl Line {
    /// The commands as one line. A worker behind its master is named before each; the level is lowered first, at the master too.
    pub(super) fn spell(&self, commands: &[&str]) -> String {
        let mut spelled = String::from("operator");
        for command in commands {
            spelled.push_str("; ");
            if let Some(pid) = self.through_master
                && *command != MASTERS_OWN
            {
                spelled.push_str(&format!("@!{pid} "));
            }
            spelled.push_str(command);
        }
        spelled.push('\n');
        spelled
    }

    /// Asks; each line of the answer goes to `take`, which may have had enough (`false`).
    pub(super) async fn ask(
        &self,
        commands: &[&str],
        take: &mut (dyn FnMut(&str) -> bool + Send),
    ) -> io::Result<Answered> {
        let mut stream = dial::connect(&self.address, self.process, &self.roots).await?;
        let start = Instant::now();
        let asking = async {
            let mut wrote = stream.write_all(self.spell(commands).as_bytes()).await;
            if self.through_master.is_some() && wrote.is_ok() {
                // The master doesn't hang up by itself.
                wrote = stream.shutdown().await;
            }
            // Who hangs up at once may have said something all the same.
            read_lines(&mut stream, take).await?;
            wrote
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(Answered {
            took: start.elapsed(),
        })
    }
}

async fn read_lines(
    stream: &mut Box<dyn dial::Stream>,
    take: &mut (dyn FnMut(&str) -> bool + Send),
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(CHUNK);
    let mut total = 0;
    let mut overlong = false;
    loop {
        buffer.reserve(CHUNK);
        let read = tokio::time::timeout(SILENCE, stream.read_buf(&mut buffer)).await;
        let length = read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        total += length;
        while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
            let line = buffer.split_to(end);
            buffer.advance(1);
            if !std::mem::take(&mut overlong) && !take(&String::from_utf8_lossy(&line)) {
                return Ok(());
            }
        }
        if buffer.len() > LONGEST_LINE {
            // No line of HAProxy's: its rest is stepped over.
            buffer.clear();
            overlong = true;
        }
        if total > LONGEST_ANSWER {
            return Err(io::Error::other("the answer doesn't come to an end"));
        }
        if length == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_one_line_and_the_level_is_lowered_first() {
        let mut line = Line {
            address: Address::Unix("/run/x".into()),
            process: Pid(1),
            roots: vec!["/".into()],
            through_master: None,
        };
        assert_eq!(
            line.spell(&["show info", "show sess"]),
            "operator; show info; show sess\n"
        );
        line.through_master = Some(7);
        assert_eq!(
            line.spell(&["show info", "show sess"]),
            "operator; @!7 show info; @!7 show sess\n"
        );
    }
}
