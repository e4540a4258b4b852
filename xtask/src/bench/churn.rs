//! The tight loop: one process that connects to itself, and closes, as fast as one core can.
//!
//! Nothing here is steadier than this, so it shows differences of tenths of a microsecond that a proxy
//! under load hides. It runs as a copy of xtask called `haproxy`, because hatrace traces nothing else.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Guarded;

/// How the parent calls the copy.
const COMMAND: &str = "__churn";
/// Laps per measurement; the best of them counts, because noise only ever adds.
const LAPS: usize = 8;

/// One measurement, nanoseconds a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lap {
    pub(crate) best: f64,
    pub(crate) median: f64,
}

/// The running copy. It keeps its listener between measurements, so that a tracer started in between finds it.
pub(crate) struct Churn {
    child: Guarded,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Churn {
    pub(crate) fn start(folder: &Path, port: u16, connections: u32) -> Result<Self> {
        let copy = folder.join("haproxy");
        let me = std::env::current_exe().context("finding this program")?;
        std::fs::copy(&me, &copy).with_context(|| format!("copying xtask to {}", copy.display()))?;
        let mut command = Command::new(&copy);
        command.args([COMMAND, &port.to_string(), &connections.to_string()]);
        let mut child = Guarded::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let stdin = child.0.stdin.take().context("the loop has no stdin")?;
        let stdout = child.0.stdout.take().context("the loop has no stdout")?;
        let mut churn = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout).lines(),
        };
        if churn.line()? != "ready" {
            bail!("the loop did not start");
        }
        Ok(churn)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    pub(crate) fn measure(&mut self) -> Result<Lap> {
        writeln!(self.stdin, "go").context("asking the loop to run")?;
        let line = self.line()?;
        let mut numbers = line.split(' ').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(best)), Some(Ok(median))) => Ok(Lap { best, median }),
            _ => bail!("the loop said `{line}`"),
        }
    }

    fn line(&mut self) -> Result<String> {
        self.stdout
            .next()
            .context("the loop ended early")?
            .context("reading from the loop")
    }
}

/// When this program was started as `haproxy`, does what that is for.
pub(crate) fn as_haproxy() -> Option<ExitCode> {
    let mut args = std::env::args();
    let name = args.next()?;
    if Path::new(&name).file_name()? != "haproxy" {
        return None;
    }
    match args.next().as_deref() {
        // Who traces HAProxy asks it for its version.
        Some("-v" | "-vv") => {
            println!("HAProxy version 0.0.0-bench (not HAProxy: the tight loop of hatrace's bench)");
            Some(ExitCode::SUCCESS)
        }
        Some(COMMAND) => {
            let port = args.next()?.parse().ok()?;
            let connections = args.next()?.parse().ok()?;
            Some(match serve(port, connections) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("error: the tight loop: {error:#}");
                    ExitCode::FAILURE
                }
            })
        }
        _ => None,
    }
}

/// A measurement for each line read, until there are no more.
fn serve(port: u16, connections: u32) -> Result<()> {
    pin_to_last_cpu();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).context("listening")?;
    let mut random = u64::from(std::process::id()) | 1;
    println!("ready");
    for line in std::io::stdin().lines() {
        line.context("reading what to do")?;
        let mut laps = Vec::with_capacity(LAPS);
        for _ in 0..LAPS {
            laps.push(lap(&listener, port, connections, &mut random)?);
        }
        laps.sort_by(f64::total_cmp);
        println!("{:.1} {:.1}", laps[0], laps[LAPS / 2]);
    }
    Ok(())
}

fn lap(listener: &TcpListener, port: u16, connections: u32, random: &mut u64) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..connections {
        // Many addresses, or the ports of one pair would run out.
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let [.., low, lower] = random.to_be_bytes();
        let address = Ipv4Addr::new(127, 0, low, lower.clamp(1, 254));
        let client =
            TcpStream::connect((address, port)).with_context(|| format!("connecting to {address}"))?;
        let (server, _) = listener.accept().context("accepting")?;
        client.shutdown(Shutdown::Write).context("shutting down")?;
        // A reset leaves no TIME_WAIT behind: the table of those would fill and become what is measured.
        reset_on_close(&server)?;
        drop(server);
        drop(client);
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(connections))
}

fn reset_on_close(socket: &TcpStream) -> Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let size = libc::socklen_t::try_from(size_of_val(&linger)).context("the size of a linger")?;
    // SAFETY: the fd is open for the borrow's time, and the pointer is to `size` bytes that live until the return.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error()).context("setting SO_LINGER")
    }
}

/// Moving between cores is most of what makes one lap differ from the next. Not being allowed to is no error.
fn pin_to_last_cpu() {
    let last = std::thread::available_parallelism().map_or(0, |n| n.get() - 1);
    // SAFETY: a zeroed cpu_set_t is an empty set; CPU_SET writes inside it; the kernel only reads it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(last, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

/// How long one measurement may take before something is wrong; for messages only.
pub(crate) fn expected(connections: u32) -> Duration {
    Duration::from_micros(16 * u64::from(connections) * LAPS as u64)
}
