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

use std::collections::BTreeSet;

use hatrace_core::ids::Pid;
use hatrace_core::tcp::{StateSet, TcpState};

use crate::ability::Ability;

/// Tries it once, in our own network namespace, as a kernel would be without what is in `without`.
///
/// # Errors
/// Why TCP sockets can't be listed.
pub fn probe(without: &BTreeSet<Ability>) -> Result<(), String> {
    NetnsSocket::of_process(Pid(std::process::id()))
        .map(|socket| socket.all_but(without))
        .and_then(|mut socket| socket.dump(lingering_states()))
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Where a socket can be stuck, and what is followed: closing states and SYN_SENT.
#[must_use]
pub fn lingering_states() -> StateSet {
    TcpState::ALL
        .into_iter()
        .filter(|state| state.lingers())
        .collect()
}
