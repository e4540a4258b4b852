//! Clocks: HAProxy's timeouts, and the kernel's.

use super::{Entry, Kind};

const fn timeout(
    name: &'static str,
    means: &'static str,
    who: &'static str,
    act: &'static [&'static str],
) -> Entry {
    Entry {
        name,
        kind: Kind::Timeout,
        means,
        who,
        ends: "",
        act,
    }
}

const fn kernel(
    name: &'static str,
    means: &'static str,
    who: &'static str,
    act: &'static [&'static str],
) -> Entry {
    Entry {
        name,
        kind: Kind::Kernel,
        means,
        who,
        ends: "",
        act,
    }
}

pub(super) const ENTRIES: [Entry; 21] = [
    timeout(
        "timeout client",
        "How long HAProxy waits for a client that should send or take something (frontend).",
        "Set by whoever configures HAProxy. In TCP mode it also bounds half-closed sessions, unless client-fin or tunnel is set.",
        &["30s to 1m for web sites"],
    ),
    timeout(
        "timeout client-fin",
        "How long HAProxy waits for a client once it has sent it its FIN (frontend). It overrides client and tunnel from then on, and begins anew with everything the client sends. On connections upgraded from HTTP (websockets) 2.6 obeys it; 3.0 and later only if the client sends something after the FIN.",
        "Without it a client that doesn't close is bounded by timeout tunnel or client only: hours, with websockets.",
        &["30s in `defaults`"],
    ),
    timeout(
        "timeout client-hs",
        "How long a TLS handshake with a client may take (frontend, 3.1 and newer). Without it: timeout client.",
        "Set by whoever configures HAProxy.",
        &[],
    ),
    timeout(
        "timeout server",
        "How long HAProxy waits for a server that should send or take something (backend).",
        "It ends requests whose server doesn't answer (504, `sH`).",
        &["30s to 1m for web applications"],
    ),
    timeout(
        "timeout server-fin",
        "How long HAProxy waits for a server once it has sent it its FIN (backend). It overrides server and tunnel from then on, and begins anew with everything the server sends. On connections upgraded from HTTP (websockets) 2.6 obeys it; 3.0 and later only if the server sends something after the FIN.",
        "Without it a server that ignores HAProxy's FIN is bounded by timeout tunnel or server only.",
        &["30s in `defaults`"],
    ),
    timeout(
        "timeout tunnel",
        "How long a tunnel (websocket, CONNECT, TCP once both sides have sent) may be idle (backend). It replaces client and server there.",
        "Also bounds half-closed tunnels, unless client-fin or server-fin is set.",
        &[
            "1h for websockets, with client-fin and server-fin of 30s beside it up to 2.6; from 3.0 on this alone bounds a websocket whose peer doesn't close, so rather 5m to 15m and pings",
        ],
    ),
    timeout(
        "timeout connect",
        "How long a connection to a server may take, for each try (backend).",
        "The server, or the way to it.",
        &["5s"],
    ),
    timeout(
        "timeout queue",
        "How long a request may wait for a server's slot (backend). Without it: timeout connect.",
        "The servers' maxconn.",
        &["30s"],
    ),
    timeout(
        "timeout http-request",
        "How long a client may take for a complete request's header (frontend). Without it: timeout client.",
        "It ends connections that never send anything (408, `cR`).",
        &["5s to 10s"],
    ),
    timeout(
        "timeout http-keep-alive",
        "How long a client's connection may be idle between two requests (frontend). Without it: http-request, then client.",
        "Set by whoever configures HAProxy.",
        &["1s to 10s"],
    ),
    timeout(
        "timeout check",
        "How long a health check may wait for its answer once connected (backend).",
        "The server.",
        &[],
    ),
    timeout(
        "timeout tarpit",
        "How long a tarpitted request is held (frontend).",
        "Meant to be long.",
        &[],
    ),
    timeout(
        "hard-stop-after",
        "How long an old worker may live on after a reload (global).",
        "Without it one connection keeps a worker for ever.",
        &["10m"],
    ),
    timeout(
        "none",
        "No clock will end the socket: neither the kernel's nor HAProxy's.",
        "Whoever configures HAProxy.",
        &["hatrace explain no-timeout"],
    ),
    kernel(
        "tcp_fin_timeout",
        "How long the kernel keeps a FIN_WAIT2 that HAProxy has closed: 60 s by default. It doesn't run while HAProxy holds the descriptor.",
        "The peer, within that time; nobody has to act.",
        &["leave it at 60"],
    ),
    kernel(
        "tcp_orphan_retries",
        "How often the kernel sends a FIN again once HAProxy has closed the descriptor; 0 stands for 8: about 100 to 200 s.",
        "The path, or the peer's host.",
        &["3 on hosts with many clients that vanish"],
    ),
    kernel(
        "tcp_retries2",
        "How often the kernel sends something again while HAProxy holds the descriptor: 15, a quarter of an hour and more.",
        "The path, or the peer's host.",
        &["`tcp-ut` bounds it for single listeners and servers"],
    ),
    kernel(
        "tcp_syn_retries",
        "How often the kernel sends a SYN again: 6, about two minutes. HAProxy's timeout connect comes before.",
        "The server, or the way to it.",
        &[],
    ),
    kernel(
        "TCP_USER_TIMEOUT",
        "How long data or a FIN may stay unacknowledged before the kernel gives up (`tcp-ut` on a bind or server line).",
        "The path, or the peer's host.",
        &[],
    ),
    kernel(
        "keepalive",
        "Probes on an idle connection (`option clitcpka`, `srvtcpka`): they end it only if the peer's host doesn't answer.",
        "A peer that is there and doesn't close is not ended by them.",
        &[],
    ),
    kernel(
        "window probes",
        "The peer's window is shut, and the kernel asks again and again whether it is open. Answered probes end nothing.",
        "The peer must read.",
        &["hatrace explain slow-reader"],
    ),
];
