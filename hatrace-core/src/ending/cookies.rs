//! The last two letters together: what became of stickiness, and why users have to log in again.

use super::Severity::{Anomaly, Normal};
use super::pairs::{Pair, of};

/// What the cookie's two letters mean together, where the manual says something of both.
#[must_use]
pub fn cookie(code: [u8; 2]) -> Option<&'static Pair> {
    COOKIES.iter().find(|pair| pair.code == code)
}

/// The documented ones.
pub static COOKIES: [Pair; 10] = [
    of(*b"--", Normal, "persistence by cookie is not configured", "", &[]),
    of(
        *b"NN",
        Normal,
        "the client sent no cookie, and got none",
        "`postonly` on a GET, for instance.",
        &[],
    ),
    of(
        *b"NI",
        Normal,
        "the client sent no cookie, and got one",
        "The first request of a new visitor: counting these counts users.",
        &[
            "far more of them than visitors: the cookie does not come back (its domain, its path, a client that keeps none)",
        ],
    ),
    of(
        *b"VN",
        Normal,
        "the client's cookie was valid, and stays as it is",
        "Most requests of a known visitor.",
        &[],
    ),
    of(
        *b"VU",
        Normal,
        "the client's cookie was valid, and its date was renewed",
        "`maxidle` is set.",
        &[],
    ),
    of(
        *b"II",
        Anomaly,
        "the client's cookie named a server that isn't known, and it got a new one",
        "A server was removed or renamed, or two sites share the cookie's name: its users lose their sessions.",
        &[
            "keep a server that is being removed as `weight 0` (drain) until its users have left",
            "give each site's cookie a name of its own",
        ],
    ),
    of(
        *b"EI",
        Normal,
        "the client's cookie had not been seen for `maxidle`, and it got a new one",
        "A user who came back late: the session on the server may be lost.",
        &["`maxidle` no shorter than the application's own session timeout"],
    ),
    of(
        *b"OI",
        Normal,
        "the client's cookie was older than `maxlife`, and it got a new one",
        "A user who stayed for long: the session on the server is lost.",
        &["`maxlife` no shorter than the application's own limit"],
    ),
    of(
        *b"DI",
        Anomaly,
        "the client's server was down, and it got another one",
        "A server that failed its checks: its users lose their sessions.",
        &["look why it was down: HAProxy's own messages in the same log"],
    ),
    of(
        *b"VI",
        Anomaly,
        "the client's server could not be reached though it was not marked down, and it got another one",
        "A redispatch: the server refused or did not answer, and its checks had not noticed.",
        &["checks more often (`inter`, `fall`), or `observe layer4 on-error mark-down`"],
    ),
];
