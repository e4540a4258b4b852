//! TCP states, and who keeps a socket.

use super::{Entry, Kind};

const fn state(
    name: &'static str,
    means: &'static str,
    who: &'static str,
    ends: &'static str,
    act: &'static [&'static str],
) -> Entry {
    Entry {
        name,
        kind: Kind::State,
        means,
        who,
        ends,
        act,
    }
}

const fn holder(name: &'static str, means: &'static str, who: &'static str, ends: &'static str) -> Entry {
    Entry {
        name,
        kind: Kind::Holder,
        means,
        who,
        ends,
        act: &[],
    }
}

pub(super) const ENTRIES: [Entry; 15] = [
    state(
        "ESTABLISHED",
        "The connection is open both ways.",
        "Nobody has to close.",
        "HAProxy's timeouts: client, server, tunnel; http-keep-alive and http-request between requests.",
        &[],
    ),
    state(
        "SYN_SENT",
        "HAProxy connects to a server and has no answer yet.",
        "The server, or a firewall before it, must answer.",
        "timeout connect; net.ipv4.tcp_syn_retries at the latest.",
        &[],
    ),
    state(
        "SYN_RECV",
        "A client's connection is being set up by the kernel; HAProxy doesn't know of it.",
        "The client must acknowledge.",
        "net.ipv4.tcp_synack_retries.",
        &[],
    ),
    state(
        "FIN_WAIT1",
        "HAProxy has closed; its FIN is not acknowledged yet, or waits behind data that the peer doesn't take.",
        "The peer's kernel must acknowledge; with retransmissions the path is to blame, with a shut window the peer's program.",
        "tcp_orphan_retries once HAProxy has closed the descriptor, tcp_retries2 before.",
        &["hatrace explain path-drops-fin", "hatrace explain slow-reader"],
    ),
    state(
        "FIN_WAIT2",
        "HAProxy's FIN is acknowledged; the peer has not sent its own. There are two of it: held (HAProxy has the descriptor open: no kernel timer) and orphaned (HAProxy has closed: tcp_fin_timeout runs).",
        "The peer must close.",
        "Held: timeout client-fin or server-fin, else tunnel, client, server. Orphaned: tcp_fin_timeout.",
        &[
            "hatrace explain peer-never-closes",
            "hatrace explain held",
            "hatrace explain orphaned",
        ],
    ),
    state(
        "TIME_WAIT",
        "Both have closed, HAProxy first. The kernel keeps the addresses for 60 s so that late packets do no harm.",
        "Nobody. Many towards one server can use up its ports.",
        "60 s.",
        &["hatrace explain server-port-exhaustion"],
    ),
    state(
        "CLOSE",
        "The connection is gone. A descriptor that stays open in this state is a zombie.",
        "HAProxy must close the descriptor.",
        "",
        &["hatrace explain zombie-session"],
    ),
    state(
        "CLOSE_WAIT",
        "The peer has closed; HAProxy has not. Mostly because the other side of the session waits for its own peer: then that one is to blame. Without a process it is the accept queue.",
        "HAProxy must close; whom it waits for is on the other side of the session.",
        "The other side's clock; no kernel timer runs.",
        &[
            "hatrace explain half-closed-pair",
            "hatrace explain unread-fin",
            "hatrace explain accept-queue",
        ],
    ),
    state(
        "LAST_ACK",
        "The peer closed first, then HAProxy; HAProxy's FIN is not acknowledged yet.",
        "The peer's kernel must acknowledge.",
        "tcp_orphan_retries.",
        &["hatrace explain path-drops-fin"],
    ),
    state("LISTEN", "A listener.", "Nobody.", "", &[]),
    state(
        "CLOSING",
        "Both have closed at the same time, and HAProxy's FIN is not acknowledged yet.",
        "The peer's kernel must acknowledge.",
        "tcp_orphan_retries.",
        &["hatrace explain path-drops-fin"],
    ),
    holder(
        "held",
        "HAProxy has the descriptor open. The kernel runs no timer on a held FIN_WAIT2 or CLOSE_WAIT.",
        "As the state says; HAProxy's own timeouts govern.",
        "timeout client-fin, server-fin, tunnel, client, server.",
    ),
    holder(
        "orphaned",
        "HAProxy has closed the descriptor; the kernel goes on alone.",
        "The peer, within the kernel's limits.",
        "tcp_fin_timeout (FIN_WAIT2), tcp_orphan_retries (FIN_WAIT1, CLOSING, LAST_ACK).",
    ),
    holder(
        "timewait",
        "The kernel has put a small stand-in for the full socket, which is how an orphaned FIN_WAIT2 and every TIME_WAIT live on. Most tools don't show it.",
        "Nobody has to act.",
        "tcp_fin_timeout (FIN_WAIT2), 60 s (TIME_WAIT).",
    ),
    holder(
        "unaccepted",
        "The connection waits in the listener's accept queue: HAProxy hasn't taken it.",
        "HAProxy's limits.",
        "HAProxy's accepting.",
    ),
];
