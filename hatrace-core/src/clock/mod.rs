//! Which clock will end a lingering socket: where it is set, and when it fires.
//!
//! Of a socket that HAProxy holds it is one of HAProxy's timeouts, as the configuration names it and as HAProxy itself tells what is left
//! of it. Of one that HAProxy has left to the kernel it is the kernel's. Where both run, the one that fires first.

mod haproxy;
mod kernel;

use std::fmt;
use std::time::Duration;

use crate::config::{Place, TimeoutKind};

pub(crate) use haproxy::{Proxies, clock as haproxy_clock};
pub(crate) use kernel::clock as kernel_clock;

/// The clock that will end a socket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clock {
    /// Which.
    pub name: ClockName,
    /// Where it is set.
    pub source: ClockSource,
    /// What is left of it at the snapshot's moment, where that is known.
    pub fires_in: Option<Duration>,
    /// Its whole length, where that is known.
    pub length: Option<Duration>,
    /// Whether its name is beyond doubt: the configuration is what the process was started with, and the line is in force.
    pub certain: bool,
}

/// A clock's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockName {
    /// Not known: HAProxy holds it, and was not asked, or its configuration can't be read.
    #[default]
    Unknown,
    /// None will ever end it.
    None,
    /// One of HAProxy's timeouts.
    Timeout(TimeoutKind),
    /// One of HAProxy's timers; which timeout it is can't be told.
    Haproxy,
    /// `net.ipv4.tcp_fin_timeout`: an orphaned FIN_WAIT2.
    FinTimeout,
    /// `net.ipv4.tcp_orphan_retries`: a FIN that isn't acknowledged, HAProxy's descriptor closed.
    OrphanRetries,
    /// `net.ipv4.tcp_retries2`: the same while HAProxy holds the descriptor.
    Retries2,
    /// `net.ipv4.tcp_syn_retries`: a connection that isn't answered.
    SynRetries,
    /// `TCP_USER_TIMEOUT` (`tcp-ut` of a `bind` or `server` line).
    UserTimeout,
    /// Keepalive probes: they end it only if the peer doesn't answer them.
    Keepalive,
    /// Probes of a shut window: they go on for as long as the peer answers them.
    WindowProbes,
}

impl ClockName {
    /// As views and the JSON have it; `None` where nothing is known.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::None => "none",
            Self::Timeout(kind) => kind.name(),
            Self::Haproxy => "haproxy timeout",
            Self::FinTimeout => "tcp_fin_timeout",
            Self::OrphanRetries => "tcp_orphan_retries",
            Self::Retries2 => "tcp_retries2",
            Self::SynRetries => "tcp_syn_retries",
            Self::UserTimeout => "TCP_USER_TIMEOUT",
            Self::Keepalive => "keepalive",
            Self::WindowProbes => "window probes",
        })
    }
}

/// Where a clock is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClockSource {
    /// Not known.
    #[default]
    Unknown,
    /// A line of the configuration; for a clock that is missing, the header of the section where it would stand.
    Line(Place),
    /// The kernel's settings.
    Kernel,
    /// HAProxy's own word (`show sess`, `show fd`), without a line of the configuration to it.
    Told,
}

impl fmt::Display for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.pad("unknown"),
            Self::Line(place) => place.fmt(f),
            Self::Kernel => f.pad("kernel"),
            Self::Told => f.pad("haproxy"),
        }
    }
}

impl Clock {
    /// The kernel's.
    #[must_use]
    pub const fn kernel(name: ClockName, fires_in: Option<Duration>) -> Self {
        Self {
            name,
            source: ClockSource::Kernel,
            fires_in,
            length: None,
            certain: true,
        }
    }

    /// None: nothing ends it by itself.
    #[must_use]
    pub const fn never() -> Self {
        Self {
            name: ClockName::None,
            source: ClockSource::Unknown,
            fires_in: None,
            length: None,
            certain: true,
        }
    }

    /// Whether something will end the socket for certain, sooner or later.
    #[must_use]
    pub const fn ends(&self) -> bool {
        !matches!(
            self.name,
            ClockName::Unknown | ClockName::None | ClockName::Keepalive | ClockName::WindowProbes
        )
    }

    /// The one of two that fires first; one that never fires, or isn't known, only for want of another.
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        match (self.ends(), other.ends()) {
            (true, false) => self,
            (false, true) => other,
            (true, true) => match (self.fires_in, other.fires_in) {
                (Some(one), Some(two)) if two < one => other,
                (None, Some(_)) => other,
                _ => self,
            },
            (false, false) if self.name == ClockName::Unknown => other,
            (false, false) => self,
        }
    }
}
