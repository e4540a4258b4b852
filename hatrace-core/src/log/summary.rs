//! What a log comes to, as plain data.

use std::collections::BTreeMap;

use super::change::Rise;
use super::entry::Written;
use super::series::{Series, Steps};
use crate::ending::{Code, Severity};
use crate::verdicts::Prefix;

/// What a log comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Sessions, or requests.
    pub sessions: u64,
    /// Connections that came to none.
    pub connections: u64,
    /// Logged before their end (`option logasap`).
    pub early: u64,
    /// Cut off.
    pub truncated: u64,
    /// Sessions of a format without a termination code.
    pub uncoded: u64,
    /// When the first and the last of them ended.
    pub first: Option<Written>,
    /// The last.
    pub last: Option<Written>,
    /// By whole code: the most frequent first.
    pub codes: Vec<(Code, u64)>,
    /// By HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Each frontend, the busiest first.
    pub frontends: Vec<Busy>,
    /// Each server (`be/srv`), the busiest first.
    pub servers: Vec<Busy>,
    /// By server and ending: what matters most first.
    pub by_server: Vec<Counted>,
    /// The clients' networks: those first of which most ended as they shouldn't.
    pub networks: Vec<Network>,
    /// Sessions of networks that were not kept apart.
    pub unknown_networks: u64,
    /// By frontend and ending: what matters most first.
    pub ways: Vec<Counted>,
    /// Stickiness.
    pub persistence: Persistence,
}

/// How often something came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// A second, from the first line to the last.
    pub average: f64,
    /// A second, in the step with most of them.
    pub peak: f64,
    /// When that step begins.
    pub peak_at: Written,
    /// How long it is, in milliseconds.
    pub within: i64,
}

impl Rate {
    /// Of so many, between these steps.
    #[expect(clippy::cast_precision_loss, reason = "counts of log lines, and seconds")]
    pub(super) fn of(count: u64, series: &Series, steps: &Steps, span: (i64, i64)) -> Self {
        let seconds = steps.width as f64 / 1000.0;
        let length = (span.1 - span.0 + 1).max(1) as f64 * seconds;
        let (step, most) = series.most().unwrap_or((span.0, 0));
        Self {
            average: count as f64 / length,
            peak: most as f64 / seconds,
            peak_at: step.saturating_mul(steps.width),
            within: steps.width,
        }
    }
}

/// A frontend or a server, and how busy it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Busy {
    /// Its name.
    pub name: String,
    /// Sessions.
    pub sessions: u64,
    /// How often they came.
    pub rate: Option<Rate>,
}

/// A network of clients. Counts are never too high; those of a network that is rare among very many may be too low.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Which.
    pub network: Prefix,
    /// Sessions.
    pub sessions: u64,
    /// Of those: that ended as they shouldn't.
    pub odd: u64,
    /// By ending, the most frequent first.
    pub codes: Vec<(Code, u64)>,
    /// Sessions a second, from the first line to the last.
    pub rate: f64,
    /// Those that ended as they shouldn't, from the first line to the last, in equal parts.
    pub over_time: Vec<u64>,
    /// If they became more frequent among its sessions.
    pub rise: Option<Rise>,
    /// When: from then on, or up to so many milliseconds later.
    pub rose_at: Option<(Written, i64)>,
}

/// One way to end, at one frontend or server.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// The frontend, or the server.
    pub place: String,
    /// The first two letters.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// How many.
    pub count: u64,
    /// Of how many sessions there.
    pub of: u64,
    /// How often it came.
    pub rate: Option<Rate>,
    /// From the first to the last, in equal parts.
    pub over_time: Vec<u64>,
    /// If it became more frequent.
    pub rise: Option<Rise>,
    /// When: from then on, or up to so many milliseconds later.
    pub rose_at: Option<(Written, i64)>,
    /// By the clients' networks, the most frequent first; at servers none.
    pub networks: Vec<(Prefix, u64)>,
    /// Of networks that were not kept apart.
    pub elsewhere: u64,
    /// Of what waited: for how long, in milliseconds.
    pub queue: Option<Waits>,
}

/// How long something waited, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// The longest.
    pub max: u64,
}

/// How well stickiness by cookie works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persistence {
    /// Requests to a backend with a cookie.
    pub requests: u64,
    /// Their cookie named a server that isn't known.
    pub unknown_server: u64,
    /// One that was down.
    pub server_down: u64,
    /// It had expired.
    pub expired: u64,
    /// Its server could not be reached.
    pub redispatched: u64,
    /// They had none.
    pub newcomers: u64,
    /// By pair: the most frequent first.
    pub pairs: Vec<([u8; 2], u64)>,
}
