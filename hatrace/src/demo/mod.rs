//! A real HAProxy with a leaky peer, traced: its own process on private loopback ports, with peers that live in this program.
//!
//! It never touches a HAProxy that is there already, and takes everything it started with it.

mod haproxy;
mod peers;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::error::Problem;
use haproxy::Haproxy;

/// The server that answers and never closes.
pub const LEAKY_SERVER: &str = "127.0.0.2";
/// The client that never closes: the misbehaving balancer upstream.
pub const LEAKY_CLIENT: &str = "127.0.0.7";

/// What the demo says before it begins.
pub const STORY: &str = "\
A real HAProxy is started on private loopback ports, with peers of three kinds around it:
  good      127.0.0.8 to .10 connect to 127.0.0.3; both ends close as they should
  leaky     127.0.0.7, a balancer upstream that never closes: HAProxy's FIN is acknowledged, its own never comes;
            and 127.0.0.2, a server that answers and never closes either
  slow      127.0.0.11 closes its side and waits for 127.0.0.4, which takes 6 s to answer
So FIN_WAIT2 should pile up on the client side, all of 127.0.0.7, and on the server side, all of 127.0.0.2.
";

/// The commands that show each part again on a real machine.
pub const AGAIN: &str = "\
The same on your own HAProxy:
  sudo hatrace --pid $(pidof haproxy)     a line for each socket that lingers, a summary on Ctrl-C
  sudo hatrace stuck                      what lingers right now, oldest first
  sudo hatrace report -d 30s              this report, of thirty seconds
  sudo hatrace doctor                     what this host allows, and what it costs to lack
";

/// The addresses of the stage.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    /// HAProxy's tcp frontend towards the good server.
    good: SocketAddr,
    /// Towards the leaky server.
    leaky: SocketAddr,
    /// Towards the slow server.
    slow: SocketAddr,
    good_server: SocketAddr,
    leaky_server: SocketAddr,
    slow_server: SocketAddr,
}

/// HAProxy and its peers, at work until dropped.
pub struct Stage {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    haproxy: Haproxy,
}

/// A free port of an address. Between this look and the use another program could take it; then the demo says so and ends.
fn free(ip: &str) -> Result<SocketAddr, Problem> {
    let taken = |error| Problem::failed(format!("no free port on {ip}: {error}"));
    TcpListener::bind((ip, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(taken)
}

impl Stage {
    /// Starts everything.
    ///
    /// # Errors
    /// No HAProxy is installed, or it doesn't start.
    pub fn start() -> Result<Self, Problem> {
        let addresses = Addresses {
            good: free("127.0.0.1")?,
            leaky: free("127.0.0.1")?,
            slow: free("127.0.0.1")?,
            good_server: free("127.0.0.3")?,
            leaky_server: free(LEAKY_SERVER)?,
            slow_server: free("127.0.0.4")?,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = peers::servers(addresses, &stop)?;
        let haproxy = Haproxy::start(addresses)?;
        threads.extend(peers::clients(addresses, &stop));
        Ok(Self {
            stop,
            threads,
            haproxy,
        })
    }

    /// HAProxy's pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.haproxy.pid()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
