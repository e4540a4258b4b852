//! Verdicts.

use super::{Entry, Kind};

const fn verdict(
    name: &'static str,
    means: &'static str,
    who: &'static str,
    ends: &'static str,
    act: &'static [&'static str],
) -> Entry {
    Entry {
        name,
        kind: Kind::Verdict,
        means,
        who,
        ends,
        act,
    }
}

const FIN: &str = "bound it: `timeout client-fin 30s` in the frontend (client side), `timeout server-fin 30s` in the backend (server side)";

pub(super) const ENTRIES: [Entry; 18] = [
    verdict(
        "peer-never-closes",
        "HAProxy has sent its FIN, the peer's kernel has acknowledged it (FIN_WAIT2), and the peer's program doesn't close its end. One peer does so far more often than the others: a balancer, a proxy or a client pool that forgets connections.",
        "The peer must close. HAProxy has done its part; the kernel has no timer while HAProxy holds the descriptor.",
        "The peer's FIN or RST; HAProxy's -fin timeout, else its tunnel, client or server timeout; else nothing.",
        &[
            "ask whoever runs the peer why it doesn't close after reading end-of-file",
            FIN,
        ],
    ),
    verdict(
        "half-closed-pair",
        "One side of a session is in FIN_WAIT2, the other in CLOSE_WAIT: one peer has closed, HAProxy has passed that on, and the other peer doesn't close. The CLOSE_WAIT looks like HAProxy's fault and isn't.",
        "The peer of the socket in FIN_WAIT2 must close.",
        "Its FIN or RST; HAProxy's -fin timeout of that side, else tunnel, client or server timeout; else nothing.",
        &["look at the peer on the side that is in FIN_WAIT2", FIN],
    ),
    verdict(
        "path-drops-fin",
        "HAProxy's FIN is sent again and again and nobody acknowledges it (FIN_WAIT1, CLOSING, LAST_ACK): the peer's host is gone, or something between has forgotten the connection and drops its packets.",
        "The path: a firewall or NAT with a short idle timeout, a client that left its network.",
        "An acknowledgement; tcp_orphan_retries once HAProxy has closed, tcp_retries2 before; TCP_USER_TIMEOUT.",
        &[
            "compare the idle timeouts of firewalls in between with HAProxy's",
            "`tcp-ut 30s` on the bind or server line bounds how long the kernel tries",
        ],
    ),
    verdict(
        "unread-fin",
        "The peer has closed, and HAProxy hasn't read that (CLOSE_WAIT, Recv-Q above 0): it is waiting for somebody else (the server's answer, a queue) and doesn't look at the client meanwhile.",
        "The server that doesn't answer; or HAProxy's limits, if the request waits in a queue.",
        "The server's answer, timeout server, timeout queue.",
        &[
            "`option abortonclose` makes HAProxy notice clients that leave (on by default from 3.3 on; sure from 3.0 on)",
            "find out why the server takes so long; shorten `timeout server`",
        ],
    ),
    verdict(
        "slow-reader",
        "The peer takes nothing any more: its receive window is shut, bytes stand still in HAProxy's send queue, and the other side of the session waits behind them.",
        "The peer must read.",
        "The peer's reading; HAProxy's timeout client or server. Window probes that are answered end nothing.",
        &["a shorter timeout on that side bounds how long HAProxy waits"],
    ),
    verdict(
        "connect-unanswered",
        "HAProxy's SYN to a server gets no answer, neither yes nor no.",
        "The server, or a firewall before it.",
        "timeout connect, for each try.",
        &[
            "check the server and the way to it",
            "health checks take it out of rotation",
        ],
    ),
    verdict(
        "accept-queue",
        "Connections that the kernel has completed and HAProxy has not accepted: no descriptor, no session. Clients that give up meanwhile show as CLOSE_WAIT without a process.",
        "HAProxy's limits: maxconn of the frontend or of the process, or a stalled thread. Not a leak.",
        "HAProxy's accepting.",
        &[
            "raise maxconn of the frontend or of `global`, or free what fills it",
            "if no limit is reached: `show activity`, `show info`: a thread is stalled",
        ],
    ),
    verdict(
        "no-timeout",
        "Nothing will end these connections in reasonable time: no timeout is set where one would have to be, or an absurd one.",
        "Whoever configures HAProxy.",
        "Nothing.",
        &[
            "`timeout client 1m`, `timeout server 1m`, `timeout tunnel 1h`, and `timeout client-fin 30s`, `timeout server-fin 30s`, in `defaults`",
        ],
    ),
    verdict(
        "zombie-session",
        "HAProxy has a descriptor open whose connection the kernel has ended. ss shows nothing, lsof says `protocol: TCP`.",
        "HAProxy: a bug of its version, or a socket that was destroyed by force on the side that HAProxy doesn't poll.",
        "A reload and the end of the old worker.",
        &[
            "compare the version with HAProxy's known bugs",
            "reload; set `hard-stop-after`",
        ],
    ),
    verdict(
        "old-worker-pinned",
        "After a reload the old worker lives on until its last connection ends; these peers keep it.",
        "The peers that don't close, and a configuration without `hard-stop-after`.",
        "Their closing; hard-stop-after.",
        &["`hard-stop-after 10m` in `global`"],
    ),
    verdict(
        "server-port-exhaustion",
        "TIME_WAITs of connections that HAProxy closed first use up the local ports towards one server; new connections fail when none is left.",
        "The configuration: too many short connections from one address to one server.",
        "60 s each, or reuse (net.ipv4.tcp_tw_reuse).",
        &[
            "keep server connections: `http-reuse safe`, no `option httpclose`",
            "net.ipv4.ip_local_port_range = 1024 65535; net.ipv4.tcp_tw_reuse = 1",
            "more `source` addresses, or more addresses of the server",
        ],
    ),
    verdict(
        "orphan-flood",
        "Connections that HAProxy has closed and whose peers don't answer are close to what the kernel keeps (net.ipv4.tcp_max_orphans). Beyond it they are reset at once.",
        "The path or the peers that don't acknowledge.",
        "tcp_orphan_retries, tcp_fin_timeout.",
        &[
            "net.ipv4.tcp_orphan_retries = 3",
            "`tcp-ut 30s` on the bind lines",
        ],
    ),
    verdict(
        "leak-growth",
        "What one peer leaves open rises steadily and next to nothing of it goes away.",
        "As the finding about that peer says.",
        "",
        &["see when it reaches maxconn; act on that peer's finding before"],
    ),
    verdict(
        "self-loop",
        "HAProxy is connected to itself: one connection is two of its sockets, and both linger. What both wait for is the peer at the outer end.",
        "The outer peer.",
        "As with half-closed-pair.",
        &["follow the chain that the finding shows to its outer end", FIN],
    ),
    verdict(
        "unreaped-preconnect",
        "Connections that never sent a byte stay open: browsers open them ahead, probers forget them. They take slots of maxconn.",
        "The configuration.",
        "timeout http-request, else timeout client.",
        &["`timeout http-request 10s` and `timeout http-keep-alive 10s`"],
    ),
    verdict(
        "periodic",
        "Sockets of one peer begin to linger in waves of a steady period: a prober, a batch job, a restart.",
        "As the finding about that peer says.",
        "",
        &["look for what runs at that period"],
    ),
    verdict(
        "unexplained",
        "HAProxy holds a connection whose peer has closed, and nothing that hatrace saw says why: HAProxy could not be asked, or has no session for it.",
        "HAProxy must close; nobody else is accused.",
        "A timeout of HAProxy's, if one runs.",
        &[
            "let hatrace ask HAProxy: `stats socket ... level operator`",
            "look at the descriptor: `show fd N` on the stats socket",
        ],
    ),
    verdict(
        "harmless",
        "It looks alarming and isn't: FIN_WAIT2 that HAProxy has closed already and the kernel ends within tcp_fin_timeout, TIME_WAIT on the client side, half-closed connections that still carry data.",
        "Nobody.",
        "tcp_fin_timeout, or the end of the transfer.",
        &[],
    ),
];
