//! Connections that are open and do nothing: through a HAProxy, both their ends held by a process of their own, because a process may have
//! so many files only.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process::Guarded;

/// How the parent calls the holder.
const COMMAND: &str = "__hold";
/// Pairs that one holder, and one HAProxy, may have with the 20 000 files that are a common limit.
pub(super) const MOST: usize = 9_000;

/// A process that holds both ends of connections through a HAProxy. They are closed when it is dropped.
pub(super) struct Holder {
    _child: Guarded,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Holder {
    /// Opens `pairs` connections to `front`, where a HAProxy listens that connects to `back`.
    pub(super) fn open(front: SocketAddr, back: SocketAddr, pairs: usize) -> Result<Self> {
        let me = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(me);
        command.args([COMMAND, &front.to_string(), &back.to_string(), &pairs.to_string()]);
        let mut child = Guarded::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let stdin = child.0.stdin.take().context("the holder has no stdin")?;
        let stdout = child.0.stdout.take().context("the holder has no stdout")?;
        let mut this = Self {
            _child: child,
            stdin,
            stdout: BufReader::new(stdout).lines(),
        };
        this.answer("open")
            .with_context(|| format!("opening {pairs} connections to {front}"))?;
        Ok(this)
    }

    /// All servers close their half, and no client does: from now on every socket of HAProxy's here lingers.
    pub(super) fn leak(&mut self) -> Result<()> {
        writeln!(self.stdin, "leak").context("telling the holder")?;
        self.answer("leaked")
    }

    fn answer(&mut self, wanted: &str) -> Result<()> {
        let line = self
            .stdout
            .next()
            .context("the holder ended")?
            .context("reading from the holder")?;
        ensure!(line == wanted, "the holder said `{line}`");
        Ok(())
    }
}

/// When this program was started as a holder, does what that is for.
pub(crate) fn as_holder(args: &[String]) -> Option<Result<()>> {
    let [command, front, back, pairs] = args else {
        return None;
    };
    if command != COMMAND {
        return None;
    }
    let (front, back, pairs) = (front.parse().ok()?, back.parse().ok()?, pairs.parse().ok()?);
    Some(hold(front, back, pairs))
}

fn hold(front: SocketAddr, back: SocketAddr, pairs: usize) -> Result<()> {
    let listener = TcpListener::bind(back).with_context(|| format!("listening on {back}"))?;
    let mut held = Vec::with_capacity(pairs);
    while held.len() < pairs {
        let client = connected(front)?;
        let (server, _) = listener.accept().context("accepting")?;
        held.push((client, server));
    }
    println!("open");
    for line in std::io::stdin().lines() {
        match line.context("reading what to do")?.as_str() {
            "leak" => {
                for (_, server) in &held {
                    let _ = server.shutdown(Shutdown::Write);
                }
                println!("leaked");
            }
            other => bail!("`{other}`?"),
        }
    }
    Ok(())
}

fn connected(front: SocketAddr) -> Result<TcpStream> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(front) {
            Ok(stream) => return Ok(stream),
            Err(error) => ensure!(Instant::now() < until, "{front}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
