//! The timeouts of HAProxy's configuration: which there are, and how long one is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A timeout's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// So long.
    After(#[serde(with = "crate::ns")] Duration),
    /// Set to 0: HAProxy takes that for "never".
    Never,
}

impl Limit {
    /// The length, if there is one.
    #[must_use]
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::After(length) => Some(length),
            Self::Never => None,
        }
    }
}

/// The timeouts of a proxy (configuration manual, section 4.2: `timeout ...`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are HAProxy's own")]
pub enum TimeoutKind {
    Client,
    ClientFin,
    ClientHs,
    Server,
    ServerFin,
    Tunnel,
    Connect,
    Queue,
    HttpRequest,
    HttpKeepAlive,
    Check,
    Tarpit,
}

impl TimeoutKind {
    /// Each.
    pub const ALL: [Self; 12] = [
        Self::Client,
        Self::ClientFin,
        Self::ClientHs,
        Self::Server,
        Self::ServerFin,
        Self::Tunnel,
        Self::Connect,
        Self::Queue,
        Self::HttpRequest,
        Self::HttpKeepAlive,
        Self::Check,
        Self::Tarpit,
    ];

    /// With its keyword: `timeout client-fin`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "timeout client",
            Self::ClientFin => "timeout client-fin",
            Self::ClientHs => "timeout client-hs",
            Self::Server => "timeout server",
            Self::ServerFin => "timeout server-fin",
            Self::Tunnel => "timeout tunnel",
            Self::Connect => "timeout connect",
            Self::Queue => "timeout queue",
            Self::HttpRequest => "timeout http-request",
            Self::HttpKeepAlive => "timeout http-keep-alive",
            Self::Check => "timeout check",
            Self::Tarpit => "timeout tarpit",
        }
    }

    /// The one of that keyword: what follows `timeout`. `clitimeout`, `contimeout` and `srvtimeout` are no more since 2.x.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().strip_prefix("timeout ") == Some(word))
    }

    /// Whether it governs what a frontend does.
    #[must_use]
    pub const fn of_frontend(self) -> bool {
        matches!(
            self,
            Self::Client
                | Self::ClientFin
                | Self::ClientHs
                | Self::HttpRequest
                | Self::HttpKeepAlive
                | Self::Tarpit
        )
    }

    /// Whether it governs what a backend does.
    #[must_use]
    pub const fn of_backend(self) -> bool {
        matches!(
            self,
            Self::Server
                | Self::ServerFin
                | Self::Tunnel
                | Self::Connect
                | Self::Queue
                | Self::Check
                | Self::HttpRequest
                | Self::HttpKeepAlive
                | Self::Tarpit
        )
    }
}
