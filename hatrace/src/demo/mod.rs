//! A real HAProxy with leaky peers, to be traced: every state that lingers, within 25 s, on any machine with HAProxy.
//!
//! It owns the play: HAProxy, the peers, their end. It doesn't trace and doesn't print: the caller does, and what it shows is what any
//! HAProxy would have shown. Everything is on loopback, at free ports, in a temporary folder; no other HAProxy is touched.

mod bell;
mod clients;
mod config;
mod narration;
mod proxy;
mod servers;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hatrace_core::ids::Pid;

use crate::error::Problem;
use bell::Bell;
use clients::{Client, Manner as Habit};
use config::Plan;
use proxy::Proxy;
use servers::{Manner, Server};

pub use narration::closing_words;

const LEAKY_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const GOOD_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const SLOW_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const KEEPER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
const IMPATIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
const LEAKY_CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
const GOOD_CLIENTS: [Ipv4Addr; 3] = [
    Ipv4Addr::new(127, 0, 0, 8),
    Ipv4Addr::new(127, 0, 0, 9),
    Ipv4Addr::new(127, 0, 0, 10),
];

/// How often a port that was free is taken by somebody else before HAProxy has it, until one gives up.
const TRIES: usize = 3;
/// Clients go on a little longer than asked, should the tracer take its time to attach.
const SLACK: Duration = Duration::from_secs(30);

/// The play: HAProxy and its peers, from [`Stage::start`] to [`Stage::stop`] or the drop.
#[derive(Debug)]
pub struct Stage {
    bell: Arc<Bell>,
    proxy: Proxy,
    servers: Vec<Server>,
    clients: Vec<JoinHandle<()>>,
    plan: Plan,
}

impl Stage {
    /// Starts HAProxy and its peers; returns when HAProxy serves. The traffic goes on for `duration` and a little more, or until
    /// [`Stage::stop`].
    ///
    /// HAProxy dies with the calling thread (`PR_SET_PDEATHSIG`): call it from one that outlives the stage.
    ///
    /// # Errors
    /// HAProxy isn't installed ([`Exit::Cannot`](crate::error::Exit::Cannot)) or doesn't start, or loopback can't be had.
    pub fn start(duration: Duration) -> Result<Self, Problem> {
        let binary = proxy::find(std::env::var_os("PATH").as_deref())?;
        let bell = Arc::new(Bell::default());
        let server =
            |name, ip, manner| Server::start(name, ip, manner, &bell).map_err(|e| no_loopback(ip, &e));
        let servers = vec![
            server("leaky1", LEAKY_SERVER, Manner::NeverCloses)?,
            server("good1", GOOD_SERVER, Manner::Closes)?,
            server("slow1", SLOW_SERVER, Manner::TakesItsTime)?,
        ];
        let (proxy, plan) = start_proxy(&binary, &servers)?;
        let mut stage = Self {
            bell,
            proxy,
            servers,
            clients: Vec::new(),
            plan,
        };
        for client in cast(&stage.plan, duration) {
            let thread = client
                .start(&stage.bell)
                .map_err(|error| Problem::failed(format!("can't start a thread for the demo: {error}")))?;
            stage.clients.push(thread);
        }
        Ok(stage)
    }

    /// HAProxy's process: the one to trace.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid(self.proxy.pid())
    }

    /// HAProxy's configuration, for those who want to see what is missing in it.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.proxy.config_path()
    }

    /// What is going on, and what a report should therefore say: to be printed first.
    #[must_use]
    pub fn narration(&self) -> String {
        narration::of(&self.plan)
    }

    /// Ends HAProxy, by its pid, and sends the peers home. The same happens on drop.
    pub fn stop(&mut self) {
        self.bell.ring();
        // HAProxy first: whoever waits for an answer then gets the end of the connection instead.
        self.proxy.stop();
        for client in self.clients.drain(..) {
            // A panic of its thread has been printed by then.
            let _ = client.join();
        }
        self.servers.iter_mut().for_each(Server::stop);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
    }
}

/// HAProxy at four free ports. Between finding them and HAProxy's bind somebody else may take one: then others are tried.
fn start_proxy(binary: &Path, servers: &[Server]) -> Result<(Proxy, Plan), Problem> {
    let mut tries = 1;
    loop {
        let ports = free_ports().map_err(|error| no_loopback(Ipv4Addr::LOCALHOST, &error))?;
        let [to_leaky, to_good, to_slow, to_web] = ports;
        let plan = Plan {
            to_leaky,
            to_good,
            to_slow,
            to_web,
            leaky1: servers[0].address(),
            good1: servers[1].address(),
            slow1: servers[2].address(),
        };
        match Proxy::start(binary, &plan) {
            Err(problem) if problem.what.contains("bind") && tries < TRIES => tries += 1,
            other => return other.map(|proxy| (proxy, plan)),
        }
    }
}

/// Four ports that are free now, all held until the last is found so that no two are the same.
fn free_ports() -> io::Result<[SocketAddrV4; 4]> {
    let mut held = Vec::new();
    let mut ports = [SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0); 4];
    for port in &mut ports {
        let listener = TcpListener::bind(*port)?;
        port.set_port(listener.local_addr()?.port());
        held.push(listener);
    }
    Ok(ports)
}

/// Who plays: about six connections a second, all together.
fn cast(plan: &Plan, duration: Duration) -> Vec<Client> {
    let play = |name, from: &'static [Ipv4Addr], to, http, manner, millis| {
        let every = Duration::from_millis(millis);
        let visits = (duration + SLACK).as_millis() / every.as_millis().max(1);
        Client {
            name,
            from,
            to,
            http,
            manner,
            every,
            visits: usize::try_from(visits).unwrap_or(usize::MAX),
        }
    };
    vec![
        play(
            "leaky-server",
            &GOOD_CLIENTS,
            plan.to_leaky,
            false,
            Habit::ClosesFirst,
            2000,
        ),
        play(
            "leaky-client",
            &[LEAKY_CLIENT],
            plan.to_good,
            false,
            Habit::NeverCloses,
            1500,
        ),
        play(
            "good-client",
            &GOOD_CLIENTS,
            plan.to_good,
            false,
            Habit::Closes,
            500,
        ),
        play("impatient", &[IMPATIENT], plan.to_slow, true, Habit::Leaves, 1600),
        play("keeper", &[KEEPER], plan.to_web, true, Habit::NeverCloses, 3000),
        play("good-web", &GOOD_CLIENTS, plan.to_web, true, Habit::Closes, 500),
    ]
}

fn no_loopback(ip: Ipv4Addr, error: &io::Error) -> Problem {
    Problem::cannot(format!("can't listen on {ip}: {error}")).remedy("ip link set lo up")
}

#[cfg(test)]
mod tests;
