//! SOCK_DIAG netlink dumps, tolerant of what newer kernels append.

mod claims;
mod message;
mod namespaces;
mod socket;
mod survey;

pub use claims::{Listeners, sock_row};
pub use message::{DiagRow, answers};
pub use namespaces::Namespaces;
pub use socket::NetnsSocket;

use hatrace_core::tcp::{StateSet, TcpState};

/// Where a socket can be stuck, and what is followed: closing states and SYN_SENT.
#[must_use]
pub fn lingering_states() -> StateSet {
    TcpState::ALL
        .into_iter()
        .filter(|state| state.lingers())
        .collect()
}
