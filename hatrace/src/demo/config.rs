//! The demo's haproxy.cfg.

use std::fmt::Write as _;
use std::net::SocketAddrV4;
use std::path::Path;

/// Where HAProxy listens, and the servers behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// TCP, to a server that never closes.
    pub to_leaky: SocketAddrV4,
    /// TCP, to a server that does; some clients don't.
    pub to_good: SocketAddrV4,
    /// HTTP, to a server that takes its time.
    pub to_slow: SocketAddrV4,
    /// HTTP, to a server that answers at once.
    pub to_web: SocketAddrV4,
    /// The server that never closes.
    pub leaky1: SocketAddrV4,
    /// The server that answers and closes.
    pub good1: SocketAddrV4,
    /// The server that takes its time.
    pub slow1: SocketAddrV4,
}

/// How long HAProxy lets a half-closed connection to the leaky server live. Short, so that some end while one looks.
pub(super) const TUNNEL_SECONDS: u64 = 6;

/// The configuration, with the very omissions that hatrace is to find.
pub(super) fn text(plan: &Plan, stats_socket: &Path) -> String {
    let mut text = format!(
        "# Written by `hatrace demo`; gone when it ends.\n\
         global\n    \
             stats socket {} mode 600 level admin\n    \
             maxconn 500\n    \
             nbthread 2\n\n\
         defaults\n    \
             timeout connect 2s\n    \
             timeout client 1m\n    \
             timeout server 1m\n    \
             # What is missing here is what the demo is about:\n    \
             #   timeout client-fin 30s\n    \
             #   timeout server-fin 30s\n",
        stats_socket.display()
    );
    // Before HAProxy 3.3 this is the default; from then on it must be asked for, or a client that leaves is noticed at once.
    let deaf = "no option abortonclose";
    let tunnel = format!("timeout tunnel {TUNNEL_SECONDS}s");
    let sections = [
        (
            "tcp_leaky",
            "tcp",
            plan.to_leaky,
            "leaky1",
            plan.leaky1,
            tunnel.as_str(),
        ),
        (
            "tcp_good",
            "tcp",
            plan.to_good,
            "good1",
            plan.good1,
            "timeout tunnel 1h",
        ),
        ("http_slow", "http", plan.to_slow, "slow1", plan.slow1, deaf),
        (
            "http_good",
            "http",
            plan.to_web,
            "good1",
            plan.good1,
            "option httpclose",
        ),
    ];
    for (name, mode, bind, server, address, line) in sections {
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "\nlisten {name}\n    mode {mode}\n    bind {bind}\n    {line}\n    server {server} {address}\n"
        );
    }
    text
}
