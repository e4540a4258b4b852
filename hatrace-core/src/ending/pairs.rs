//! The first two letters together: what usually is behind them, and what to do.

use super::Severity;
use super::Severity::{Alarm, Anomaly, Meant, Normal};

/// Two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The letters.
    pub code: [u8; 2],
    /// How much it matters.
    pub severity: Severity,
    /// What it means.
    pub means: &'static str,
    /// What usually causes it.
    pub cause: &'static str,
    /// What to do.
    pub act: &'static [&'static str],
}

impl Pair {
    /// As text.
    #[must_use]
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or("?")
    }
}

pub(super) const fn of(
    code: [u8; 2],
    severity: Severity,
    means: &'static str,
    cause: &'static str,
    act: &'static [&'static str],
) -> Pair {
    Pair {
        code,
        severity,
        means,
        cause,
        act,
    }
}

/// What two letters mean together, where the manual says something of both.
#[must_use]
pub fn pair(code: [u8; 2]) -> Option<&'static Pair> {
    PAIRS.iter().find(|pair| pair.code == code)
}

/// The documented ones, and those that were seen often.
pub static PAIRS: [Pair; 31] = [
    of(*b"--", Normal, "a normal end", "Both sides closed.", &[]),
    of(
        *b"CC",
        Anomaly,
        "the client left while HAProxy was connecting to the server",
        "A server that is dead and not checked yet: the client loses patience before `timeout connect`.",
        &[
            "check the servers (`check`), keep `timeout connect` at 5s",
            "look at Tc, and at retries, of these lines",
        ],
    ),
    of(
        *b"CD",
        Anomaly,
        "the client aborted while data was transferred",
        "A browser that was closed or crashed, a firewall in between that cut the connection, or a keep-alive connection that the client ended first. HAProxy 3.0 says so, too, where a server stalls in the middle of its answer, if the client closes once HAProxy has: those last as long as `timeout server`, and the kernel saw HAProxy's FIN first.",
        &[],
    ),
    of(
        *b"cD",
        Anomaly,
        "the client neither sent nor took data for `timeout client` (or client-fin, or tunnel)",
        "A client that vanished from the net, or one that never closes: after HAProxy's FIN it sends nothing more.",
        &[
            "`hatrace culprits` names who leaves connections in FIN_WAIT2",
            "`timeout client-fin 30s`, so that these end sooner",
        ],
    ),
    of(
        *b"CH",
        Anomaly,
        "the client left while the server had not begun to answer",
        "A server that takes too long, or a client that pressed Stop.",
        &[
            "look at Tr of the other requests of that server",
            "`option abortonclose` frees the server's slot",
        ],
    ),
    of(
        *b"cH",
        Anomaly,
        "`timeout client` struck while the client should have sent the rest of its request",
        "A POST that gets stuck (an MSS too large for the path), or a `timeout client` shorter than `timeout server` with a slow server.",
        &["`timeout client` at least as long as `timeout server`"],
    ),
    of(
        *b"CQ",
        Anomaly,
        "the client left while its request was queued",
        "All servers are full, or the one its cookie names is.",
        &[
            "look at the queues (`hatrace sessions --servers`) and at Tw",
            "more servers, or a higher `maxconn` of theirs",
        ],
    ),
    of(
        *b"CR",
        Anomaly,
        "the client left before its request was complete",
        "A probe, a port scan, a browser's connection opened ahead and not used.",
        &["`option http-ignore-probes` where it is browsers, `option dontlognull` where it is probes"],
    ),
    of(
        *b"cR",
        Anomaly,
        "`timeout http-request` struck before the request was complete",
        "A browser's connection opened ahead (408 in the log), a slow or hostile client, an MSS too large for the path.",
        &[
            "`option http-ignore-probes`: connections that sent nothing are neither answered nor logged",
            "many from few addresses: somebody holds connections open on purpose",
        ],
    ),
    of(
        *b"CT",
        Anomaly,
        "the client left while it was held in the tarpit",
        "An attacker that gave up; or an ordinary client that a wrong rule caught.",
        &[
            "make sure that no valid request is among them",
            "`timeout tarpit` near the Tw that is measured: longer only costs connections",
        ],
    ),
    of(
        *b"cL",
        Anomaly,
        "the client did not take the last of the response",
        "A client that vanished while the last packets were on their way.",
        &["`hatrace culprits`: slow-reader, or path-drops-fin"],
    ),
    of(
        *b"CL",
        Anomaly,
        "the client aborted while it took the last of the response",
        "A client that was closed as the last packets came. Rare.",
        &[],
    ),
    of(
        *b"DD",
        Anomaly,
        "HAProxy ended it because its server was found down",
        "`on-marked-down shutdown-sessions`, and a check that failed.",
        &["look why the check failed: the message of that time in the same log"],
    ),
    of(
        *b"LC",
        Meant,
        "HAProxy answered the request itself when it had chosen the server",
        "A redirect by `redir` on the server's line.",
        &[],
    ),
    of(
        *b"LH",
        Meant,
        "HAProxy put an answer of its own in place of the server's",
        "A `http-response return` or redirect.",
        &[],
    ),
    of(
        *b"LR",
        Meant,
        "HAProxy answered by itself",
        "A redirect, the stats page, a `return` rule.",
        &[],
    ),
    of(
        *b"LH",
        Meant,
        "HAProxy answered by itself, in place of the server's response",
        "An `http-response return` rule, or a cached answer.",
        &[],
    ),
    of(
        *b"SC",
        Anomaly,
        "the server refused the connection, or something on the way did",
        "Nobody listens there, a firewall resets it, or there is no route (502 or 503). HAProxy says so, too, where it has no free source port: its messages then have `no free ports`.",
        &[
            "is the service up? `hatrace sessions --servers`",
            "checks take a server out that refuses",
        ],
    ),
    of(
        *b"sC",
        Anomaly,
        "`timeout connect` struck before the server answered",
        "A server that is down or full, packets dropped on the way (503 or 504). From 3.0 on, in TCP mode, HAProxy says so, too, of a client that left meanwhile.",
        &[
            "`hatrace culprits`: connect-unanswered",
            "`timeout connect` 5s is enough for three SYNs",
        ],
    ),
    of(
        *b"SD",
        Anomaly,
        "the server's connection broke while data was transferred",
        "A server that crashed or was restarted, or something in between that sent a RST.",
        &["look into the server's own log at that time"],
    ),
    of(
        *b"sD",
        Anomaly,
        "the server neither sent nor took data for `timeout server` (or server-fin, or tunnel)",
        "A firewall or balancer in between that forgets connections sooner; or a server that does not close after HAProxy's FIN.",
        &[
            "`hatrace culprits` names the server that leaves connections in FIN_WAIT2",
            "`timeout server-fin 30s`; keepalive below the firewall's timeout",
        ],
    ),
    of(
        *b"SH",
        Anomaly,
        "the server closed before its headers were complete",
        "It crashed over the request, or something in between cut it (502).",
        &["look into the server's own log at that time: the requests may have something in common"],
    ),
    of(
        *b"sH",
        Anomaly,
        "`timeout server` struck before the headers of the response were complete",
        "A server or its database that is saturated (504). The most common anomaly.",
        &["make the application faster; a longer `timeout server` only hides it"],
    ),
    of(
        *b"sQ",
        Anomaly,
        "it was queued for longer than `timeout queue`",
        "The servers are saturated (503).",
        &[
            "`hatrace sessions --servers`: queues and limits",
            "`timeout queue` (`timeout connect` where that isn't set), the servers' `maxconn`, more of them",
        ],
    ),
    of(
        *b"PC",
        Alarm,
        "HAProxy refused to connect: the process has no sockets left",
        "`maxconn` and `ulimit-n` don't fit each other.",
        &[
            "`hatrace advise`: the arithmetic of maxconn and ulimit-n",
            "remove `ulimit-n`, or raise `maxconn`",
        ],
    ),
    of(
        *b"PD",
        Anomaly,
        "HAProxy blocked a message that was malformed after the headers",
        "A server that sends wrong chunks, mostly.",
        &["`show errors` on the stats socket shows the last one"],
    ),
    of(
        *b"PH",
        Anomaly,
        "HAProxy blocked the server's response",
        "An invalid header, a rule, a cookie that must not be cached, a rewrite that did not fit (502, 500).",
        &[
            "`show errors` on the stats socket shows the last one",
            "tune.maxrewrite where rewrites don't fit, or `http-response strict-mode`",
        ],
    ),
    of(
        *b"PR",
        Meant,
        "HAProxy blocked the request",
        "A deny rule (403), an invalid request (400), a limit (429), a rewrite that did not fit (500).",
        &[
            "400: `show errors` on the stats socket shows the last one",
            "500: tune.maxrewrite, or `http-request strict-mode`",
        ],
    ),
    of(
        *b"PT",
        Meant,
        "HAProxy held the request in the tarpit, and answered with an error",
        "A tarpit rule; Tw says for how long. 2.6 to 3.4 say so of clients that left meanwhile as well: theirs is a Tw below `timeout tarpit`.",
        &["make sure that no valid request is among them"],
    ),
    of(
        *b"RC",
        Alarm,
        "something is used up that HAProxy needs to connect",
        "Source ports towards one server (TIME_WAIT), memory, descriptors: HAProxy's own messages name it.",
        &[
            "`hatrace culprits`: server-port-exhaustion",
            "net.ipv4.ip_local_port_range, more source addresses, reused connections",
        ],
    ),
    of(
        *b"KD",
        Meant,
        "an administrator ended it while data was transferred",
        "`shutdown session`, `shutdown sessions server`, or the stats page.",
        &[],
    ),
];
