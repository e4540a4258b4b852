//! How old a socket is that nobody saw begin: bounds from the kernel's own timestamps.
//!
//! A FIN counts as a segment with an ACK, not as data. So the last ACK received is no earlier than the FIN (or the ACK of our
//! FIN) that began the state, and the last data is no later.

use std::time::Duration;

use crate::sock::{SockRow, Timer};
use crate::tcp::TcpState;
use crate::time::{Mono, Since};

/// TIME_WAIT lasts this long (`TCP_TIMEWAIT_LEN`, `include/net/tcp.h`).
pub const TIME_WAIT: Duration = Duration::from_secs(60);

/// Timestamps are in jiffies, up to 10 ms each, and told in whole milliseconds: the bounds give that much way.
const COARSE: Duration = Duration::from_millis(12);

/// Since when a socket that a look found has been in its state. The look began at `at` and took `took`; when in that time the kernel
/// filled this row nobody knows.
#[must_use]
pub fn since(row: &SockRow, at: Mono, took: Duration, fin_timeout: Duration) -> Since {
    let end = at.plus(took);
    if row.timewait {
        return timewait(row, end, fin_timeout);
    }
    let Some(quiet) = row.quiet else {
        return Since::Before(end);
    };
    let (at_least, at_most) = match row.state {
        TcpState::CloseWait => (quiet.ack_received, Some(quiet.data_received)),
        TcpState::FinWait2 => (quiet.ack_received, Some(quiet.data_sent)),
        // HAProxy may have closed at any time after the peer's last data.
        TcpState::LastAck => (Duration::ZERO, Some(quiet.data_received)),
        _ => (Duration::ZERO, None),
    };
    let latest = end.back(at_least.saturating_sub(COARSE));
    match at_most {
        Some(at_most) if at_most >= at_least => Since::Between {
            earliest: at.back(at_most.saturating_add(COARSE)),
            latest,
        },
        _ => Since::Before(latest),
    }
}

/// A timewait's timer was armed when it was made: what it has used up is how long it has existed.
fn timewait(row: &SockRow, end: Mono, fin_timeout: Duration) -> Since {
    let Timer::Timewait(left) = row.timer else {
        return Since::Before(end);
    };
    let whole = if row.state == TcpState::TimeWait {
        TIME_WAIT
    } else {
        fin_timeout
    };
    // It may have been a held FIN_WAIT2 before: a lower bound, no more.
    Since::Before(end.back(whole.saturating_sub(left).saturating_sub(COARSE)))
}

/// When the TIME_WAIT that a look at `at` found began.
#[must_use]
pub fn time_wait_began(row: &SockRow, at: Mono) -> Option<Mono> {
    match row.timer {
        Timer::Timewait(left) if row.timewait && row.state == TcpState::TimeWait => {
            Some(at.back(TIME_WAIT.saturating_sub(left)))
        }
        _ => None,
    }
}

/// What two witnesses of the same beginning know together. Never looser than `known`.
#[must_use]
pub fn tighten(known: Since, more: Since) -> Since {
    if matches!(known, Since::Exact(_)) {
        return known;
    }
    if matches!(more, Since::Exact(_)) {
        return more;
    }
    let latest = known.latest().min(more.latest());
    let earliest = match (known.earliest(), more.earliest()) {
        (Some(one), Some(two)) => Some(one.max(two)),
        (one, two) => one.or(two),
    };
    let polled = matches!(known, Since::Polled { .. }) || matches!(more, Since::Polled { .. });
    match earliest {
        // Witnesses that contradict each other: the lower bound stands, the rest is given up.
        Some(earliest) if earliest > latest => Since::Before(latest),
        Some(earliest) if polled => Since::Polled { earliest, latest },
        Some(earliest) => Since::Between { earliest, latest },
        None => Since::Before(latest),
    }
}
