//! A HAProxy between wrk and an origin that is a second HAProxy; beside the load, connections through it may be held open.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::hold::Holder;
use crate::process::{self, Guarded};

const CHURN_PORT: u16 = 18_080;
const ORIGIN_PORT: u16 = 18_081;
const KEEP_ALIVE_PORT: u16 = 18_084;
const IDLE_PORT: u16 = 18_085;
const IDLE_BACK_PORT: u16 = 18_086;

const ORIGIN: &str = "\
global
  maxconn 4000
  nbthread 1
defaults
  mode http
  timeout client 30s
frontend origin
  bind 127.0.0.1:18081
  http-request return status 200 content-type text/plain string ok
";

const PROXY: &str = "\
global
  maxconn 9300
  nbthread 2
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
# A connection per request on both sides: the worst there is for who counts connections.
frontend churn
  bind 127.0.0.1:18080
  option httpclose
  default_backend churned
backend churned
  option httpclose
  http-reuse never
  server origin 127.0.0.1:18081
# As most traffic is.
frontend keep_alive
  bind 127.0.0.1:18084
  default_backend kept
backend kept
  http-reuse always
  server origin 127.0.0.1:18081
# Held open beside it.
frontend idle
  mode tcp
  timeout client 1h
  bind 127.0.0.1:18085
  default_backend idle_back
backend idle_back
  mode tcp
  timeout server 1h
  server holder 127.0.0.1:18086
";

/// Which load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Traffic {
    /// A connection per request on both sides, as many as come through.
    Churn,
    /// The same, one after the other.
    Slow,
    /// Many requests over few connections.
    KeepAlive,
    /// Churn beside [`super::hold::MOST`] open connections.
    Crowded,
}

impl Traffic {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Churn => "full churn",
            Self::Slow => "one connection after the other",
            Self::KeepAlive => "keep-alive",
            Self::Crowded => "full churn beside 9 000 open connections",
        }
    }
}

/// Both HAProxys, running.
pub(crate) struct Rig {
    proxy: Guarded,
    _origin: Guarded,
    wrk: PathBuf,
}

/// What one run of wrk came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    /// Median and 99th percentile of a request's time, in milliseconds.
    pub(crate) latency: (f64, f64),
    /// Failed connects, timeouts, answers other than 200.
    pub(crate) errors: u64,
}

impl Rig {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let wrk = process::which("wrk").context("wrk is not installed")?;
        let origin = haproxy(folder, "origin.cfg", ORIGIN, local(ORIGIN_PORT))?;
        let proxy = haproxy(folder, "proxy.cfg", PROXY, local(CHURN_PORT))?;
        Ok(Self {
            proxy,
            _origin: origin,
            wrk,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.proxy.pid()
    }

    /// Opens connections that stay.
    pub(crate) fn hold(&self, pairs: usize) -> Result<Holder> {
        Holder::open(local(IDLE_PORT), local(IDLE_BACK_PORT), pairs)
    }

    pub(crate) fn load(&self, traffic: Traffic, seconds: u32) -> Result<Load> {
        let (port, connections) = match traffic {
            Traffic::Churn | Traffic::Crowded => (CHURN_PORT, 64),
            Traffic::Slow => (CHURN_PORT, 1),
            Traffic::KeepAlive => (KEEP_ALIVE_PORT, 64),
        };
        let mut command = Command::new(&self.wrk);
        command.args([
            "-t1",
            "--latency",
            &format!("-c{connections}"),
            &format!("-d{seconds}s"),
        ]);
        if port == CHURN_PORT {
            command.args(["-H", "Connection: close"]);
        }
        let printed = process::capture(command.arg(format!("http://127.0.0.1:{port}/")))?;
        parse(&printed).with_context(|| format!("reading what wrk printed:\n{printed}"))
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A HAProxy that listens where it should.
pub(super) fn haproxy(folder: &Path, name: &str, text: &str, listens: SocketAddr) -> Result<Guarded> {
    let haproxy = process::which("haproxy").context("haproxy is not installed")?;
    let config = folder.join(name);
    std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
    let mut command = Command::new(&haproxy);
    command.args(["-db", "-f"]).arg(&config).stdin(Stdio::null());
    let mut child = Guarded::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
    listening(listens, &mut child).with_context(|| {
        format!(
            "starting HAProxy; see: {} -db -f {}",
            haproxy.display(),
            config.display()
        )
    })?;
    Ok(child)
}

fn listening(at: SocketAddr, child: &mut Guarded) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if TcpStream::connect(at).is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = child.0.try_wait() {
            bail!("it ended at once with {status}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing listens on {at} after 10 s")
}

fn parse(printed: &str) -> Option<Load> {
    let mut load = Load {
        requests: 0,
        per_second: 0.0,
        latency: (0.0, 0.0),
        errors: 0,
    };
    for line in printed.lines().map(str::trim) {
        if let Some(rate) = line.strip_prefix("Requests/sec:") {
            load.per_second = rate.trim().parse().ok()?;
        } else if let Some((requests, _)) = line.split_once(" requests in ") {
            load.requests = requests.parse().ok()?;
        } else if let Some(time) = line.strip_prefix("50%") {
            load.latency.0 = milliseconds(time.trim())?;
        } else if let Some(time) = line.strip_prefix("99%") {
            load.latency.1 = milliseconds(time.trim())?;
        } else if let Some(errors) = line.strip_prefix("Socket errors:") {
            // With `Connection: close` wrk counts as a read error nothing but real ones.
            let numbers = errors
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|n| n.parse::<u64>().ok());
            load.errors += numbers.sum::<u64>();
        } else if let Some(bad) = line.strip_prefix("Non-2xx or 3xx responses:") {
            load.errors += bad.trim().parse::<u64>().ok()?;
        }
    }
    (load.requests > 0).then_some(load)
}

/// `1.29ms`, `871.00us`, `1.02s`.
fn milliseconds(time: &str) -> Option<f64> {
    let unit = time.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = time[..unit].parse().ok()?;
    match &time[unit..] {
        "us" => Some(number / 1e3),
        "ms" => Some(number),
        "s" => Some(number * 1e3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_read() {
        let printed = "Running 2s test @ http://127.0.0.1:18080/\n  1 threads and 64 connections\n  \
            Latency Distribution\n     50%    5.03ms\n     75%    6.40ms\n     90%    8.72ms\n     99%    1.20s\n  \
            25110 requests in 2.00s, 2.11MB read\n  Socket errors: connect 1, read 2, write 0, timeout 3\n  \
            Non-2xx or 3xx responses: 4\nRequests/sec:  12549.33\nTransfer/sec:      1.05MB\n";
        assert_eq!(
            parse(printed),
            Some(Load {
                requests: 25110,
                per_second: 12549.33,
                latency: (5.03, 1200.0),
                errors: 10
            })
        );
        assert_eq!(milliseconds("871.50us"), Some(0.8715));
        assert_eq!(parse("unable to connect"), None);
    }
}
