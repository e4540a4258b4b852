//! Which clock will end a lingering socket, as far as it is known.

use std::time::Duration;

use hatrace_core::snapshot::Lingering;
use hatrace_core::sock::Holder;
use hatrace_core::tcp::TcpState;

/// A clock that will end a socket, or that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Its name: a sysctl's. `None`: no kernel timer runs, and HAProxy's timeouts are not read.
    pub name: Option<&'static str>,
    /// Who runs it.
    pub source: Option<&'static str>,
    /// What is left of it, where that is known.
    pub fires_in: Option<Duration>,
}

/// The clock of a lingering socket.
///
/// Where the sweep saw a timer, that is it. Otherwise the state tells which of the kernel's limits applies:
/// an unacknowledged FIN is retransmitted until one is reached, with a lower limit once HAProxy has closed the fd.
/// A held FIN_WAIT2 or CLOSE_WAIT has none in the kernel.
#[must_use]
pub fn of(row: &Lingering) -> Clock {
    let kernel = |name, fires_in| Clock {
        name: Some(name),
        source: Some("kernel"),
        fires_in,
    };
    if let Some(timer) = row.kernel_timer {
        return kernel(timer.name, Some(timer.left));
    }
    let unacknowledged = matches!(
        row.state,
        TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck
    );
    match row.holder {
        Holder::Timewait | Holder::Orphaned if row.state == TcpState::FinWait2 => {
            kernel("tcp_fin_timeout", None)
        }
        Holder::Orphaned if unacknowledged => kernel("tcp_orphan_retries", None),
        Holder::Held if unacknowledged => kernel("tcp_retries2", None),
        Holder::Held if row.state == TcpState::SynSent => kernel("tcp_syn_retries", None),
        _ => Clock::default(),
    }
}

/// In one word, for a column: `tcp_fin_timeout:57.7s`, `tcp_orphan_retries:?`, `none`.
#[must_use]
pub fn cell(row: &Lingering) -> String {
    let clock = of(row);
    match (clock.name, clock.fires_in) {
        (None, _) => "none".to_owned(),
        (Some(name), None) => format!("{name}:?"),
        (Some(name), Some(left)) => format!("{name}:{}", super::units::cell(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn the_state_tells_which_limit_applies() {
        let cell_of = |state, holder| {
            let mut row = sample::row(1, state, holder);
            row.kernel_timer = None;
            cell(&row)
        };
        use Holder::{Held, Orphaned, Timewait, Unaccepted};
        use TcpState::{CloseWait, Closing, FinWait1, FinWait2, LastAck, SynSent};
        assert_eq!(cell_of(FinWait2, Held), "none");
        assert_eq!(cell_of(CloseWait, Held), "none");
        assert_eq!(cell_of(CloseWait, Unaccepted), "none");
        assert_eq!(cell_of(FinWait2, Orphaned), "tcp_fin_timeout:?");
        assert_eq!(cell_of(FinWait2, Timewait), "tcp_fin_timeout:?");
        assert_eq!(cell_of(LastAck, Orphaned), "tcp_orphan_retries:?");
        assert_eq!(cell_of(FinWait1, Held), "tcp_retries2:?");
        assert_eq!(cell_of(Closing, Held), "tcp_retries2:?");
        assert_eq!(cell_of(SynSent, Held), "tcp_syn_retries:?");
    }
}
