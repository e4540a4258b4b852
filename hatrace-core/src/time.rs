//! Time as the engine knows it: a parameter, never a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant on the kernel's `CLOCK_MONOTONIC`, in nanoseconds.
///
/// It is what `bpf_ktime_get_ns()` returns, so records of the kernel half and ticks of the agent
/// are on one scale. It doesn't advance while the machine is suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mono(u64);

impl Mono {
    /// An instant `ns` nanoseconds after the clock's origin (boot).
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it at all.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant `by` earlier, held at the clock's origin.
    #[must_use]
    pub fn back(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// This instant `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// Spans added up; held at the longest there is, because nothing that is told may make the engine panic.
pub fn sum(spans: impl Iterator<Item = Duration>) -> Duration {
    spans.fold(Duration::ZERO, Duration::saturating_add)
}

/// When something began, as far as it is known.
///
/// A socket older than hatrace began at a moment nobody recorded; the kernel's own timestamps bound it
/// (`tcp_info`'s last data and last ACK). A polled state began between two polls. A number alone would claim more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// Recorded by the kernel half at the transition.
    Exact(Mono),
    /// Older than hatrace: between these two instants by the kernel's own timestamps.
    Between {
        /// Not before this.
        earliest: Mono,
        /// Not after this.
        latest: Mono,
    },
    /// Older than hatrace and bounded on one side only: not after this instant.
    Before(Mono),
    /// Seen by a poll: it was not there at `earliest`, and it was at `latest`.
    Polled {
        /// The last look at which it had not begun.
        earliest: Mono,
        /// The first look at which it had.
        latest: Mono,
    },
}

impl Since {
    /// The latest instant at which it can have begun: what a lower bound of the age is counted from.
    #[must_use]
    pub const fn latest(self) -> Mono {
        match self {
            Self::Exact(at) | Self::Before(at) => at,
            Self::Between { latest, .. } | Self::Polled { latest, .. } => latest,
        }
    }

    /// The earliest instant at which it can have begun, where that is bounded at all.
    #[must_use]
    pub const fn earliest(self) -> Option<Mono> {
        match self {
            Self::Exact(at) => Some(at),
            Self::Between { earliest, .. } | Self::Polled { earliest, .. } => Some(earliest),
            Self::Before(_) => None,
        }
    }

    /// The age at `now`.
    #[must_use]
    pub fn age(self, now: Mono) -> Age {
        let bound = match self {
            Self::Exact(_) => AgeBound::Exact,
            Self::Between { .. } => AgeBound::Between,
            Self::Before(_) => AgeBound::AtLeast,
            Self::Polled { .. } => AgeBound::Polled,
        };
        Age {
            at_least: now.since(self.latest()),
            at_most: self.earliest().map(|at| now.since(at)),
            bound,
        }
    }
}

/// How long something has lasted, as an interval that contains the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// It has lasted at least this long.
    pub at_least: Duration,
    /// It has lasted at most this long; `None` where nothing bounds it.
    pub at_most: Option<Duration>,
    /// What the interval rests on.
    pub bound: AgeBound,
}

/// What an [`Age`] rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AgeBound {
    /// Both ends recorded by the kernel half: the interval is a point.
    Exact,
    /// Older than hatrace, bounded on one side.
    AtLeast,
    /// Older than hatrace, bounded on both sides by the kernel's timestamps.
    Between,
    /// Seen by polls: uncertain by the poll interval.
    Polled,
}

impl AgeBound {
    /// The word the JSON contract uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::AtLeast => "at_least",
            Self::Between => "between",
            Self::Polled => "polled",
        }
    }
}
