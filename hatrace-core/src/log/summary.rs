//! What a log comes to, as plain data.

use std::collections::BTreeMap;

use super::change::Rise;
use super::entry::Written;
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
    /// Sessions by frontend.
    pub by_frontend: Vec<(String, u64)>,
    /// By server (`be/srv`) and ending.
    pub by_server: Vec<(String, Code, u64)>,
    /// By frontend and ending: what matters most first.
    pub ways: Vec<Counted>,
    /// Stickiness.
    pub persistence: Persistence,
}

/// One way to end, at one frontend.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// The frontend.
    pub frontend: String,
    /// The first two letters.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// How many.
    pub count: u64,
    /// Of how many sessions of that frontend.
    pub of: u64,
    /// From the first to the last, in equal parts.
    pub over_time: Vec<u64>,
    /// If it became more frequent.
    pub rise: Option<Rise>,
    /// When: from then on, or up to so many milliseconds later.
    pub rose_at: Option<(Written, i64)>,
    /// By the clients' networks, the most frequent first.
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
