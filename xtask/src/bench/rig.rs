//! A HAProxy between wrk and an origin that is a second HAProxy, with a connection per request.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, Guarded};

const PROXY_PORT: u16 = 18_080;
const ORIGIN_PORT: u16 = 18_081;

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
  maxconn 4000
  nbthread 2
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  # A connection per request on both sides: the worst there is for who counts connections.
  option httpclose
  http-reuse never
frontend fe
  bind 127.0.0.1:18080
  default_backend be
backend be
  server origin 127.0.0.1:18081
";

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
    /// Failed connects, timeouts, answers other than 200.
    pub(crate) errors: u64,
}

impl Rig {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let haproxy = process::which("haproxy").context("haproxy is not installed")?;
        let wrk = process::which("wrk").context("wrk is not installed")?;
        let start = |name: &str, text: &str, port: u16| -> Result<Guarded> {
            let config = folder.join(name);
            std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
            let mut command = Command::new(&haproxy);
            command.args(["-db", "-f"]).arg(&config).stdin(Stdio::null());
            let mut child = Guarded::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
            listening(port, &mut child).with_context(|| {
                format!(
                    "starting HAProxy; see: {} -db -f {}",
                    haproxy.display(),
                    config.display()
                )
            })?;
            Ok(child)
        };
        let origin = start("origin.cfg", ORIGIN, ORIGIN_PORT)?;
        let proxy = start("proxy.cfg", PROXY, PROXY_PORT)?;
        Ok(Self {
            proxy,
            _origin: origin,
            wrk,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.proxy.pid()
    }

    pub(crate) fn load(&self, seconds: u32) -> Result<Load> {
        let printed = process::capture(
            Command::new(&self.wrk)
                .args(["-t1", "-c64", &format!("-d{seconds}s"), "-H", "Connection: close"])
                .arg(format!("http://127.0.0.1:{PROXY_PORT}/")),
        )?;
        parse(&printed).with_context(|| format!("reading what wrk printed:\n{printed}"))
    }
}

fn listening(port: u16, child: &mut Guarded) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(());
        }
        if let Ok(Some(status)) = child.0.try_wait() {
            bail!("it ended at once with {status}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing listens on port {port} after 10 s")
}

fn parse(printed: &str) -> Option<Load> {
    let mut load = Load {
        requests: 0,
        per_second: 0.0,
        errors: 0,
    };
    for line in printed.lines().map(str::trim) {
        if let Some(rate) = line.strip_prefix("Requests/sec:") {
            load.per_second = rate.trim().parse().ok()?;
        } else if let Some((requests, _)) = line.split_once(" requests in ") {
            load.requests = requests.parse().ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_read() {
        let printed = "Running 2s test @ http://127.0.0.1:18080/\n  1 threads and 64 connections\n  \
            25110 requests in 2.00s, 2.11MB read\n  Socket errors: connect 1, read 2, write 0, timeout 3\n  \
            Non-2xx or 3xx responses: 4\nRequests/sec:  12549.33\nTransfer/sec:      1.05MB\n";
        assert_eq!(
            parse(printed),
            Some(Load {
                requests: 25110,
                per_second: 12549.33,
                errors: 10
            })
        );
        assert_eq!(parse("unable to connect"), None);
    }
}
