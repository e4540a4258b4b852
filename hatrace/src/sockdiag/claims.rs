//! Whose a socket is: what sock_diag, which knows no processes, needs beside it.

use std::collections::HashMap;
use std::net::SocketAddr;

use hatrace_core::ids::{Fd, Netns, Pid};
use hatrace_core::sock::{Claim, Side, SockRow, listening, wildcard};
use hatrace_core::tcp::TcpState;

use super::message::DiagRow;

/// HAProxy's listening addresses, by namespace.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    by_address: HashMap<(Netns, SocketAddr), Side>,
}

impl Listeners {
    /// Adds one.
    pub fn add(&mut self, netns: Netns, local: SocketAddr, side: Side) {
        self.by_address.insert((netns, listening(local)), side);
    }

    /// The side of a socket with that local address, if a listener of HAProxy's is there.
    #[must_use]
    pub fn side_of(&self, netns: Netns, local: SocketAddr) -> Option<Side> {
        let at = |address| self.by_address.get(&(netns, address)).copied();
        at(listening(local)).or_else(|| at(wildcard(local.port())))
    }
}

/// A sock_diag row as the engine wants it. `owner`: who has it open, of HAProxy's processes.
#[must_use]
pub fn sock_row(diag: &DiagRow, owner: Option<(Pid, Fd)>, listeners: &Listeners, netns: Netns) -> SockRow {
    let accepted_by = listeners.side_of(netns, diag.endpoints.local);
    let (claim, side) = match (owner, accepted_by) {
        (Some((pid, fd)), side) => (Claim::Fd { pid, fd }, side.unwrap_or(Side::Server)),
        // Nobody has it open: an orphan, a timewait, or a connection in the accept queue.
        (None, Some(side)) if diag.inode.is_none() => (Claim::Listener, side),
        _ => (Claim::None, Side::Unknown),
    };
    SockRow {
        queues: true,
        cookie: diag.cookie,
        timewait: diag.timewait,
        state: diag.state,
        claim,
        side,
        endpoints: diag.endpoints,
        netns,
        inode: diag.inode,
        orphaned: orphaned(diag),
        unread: diag.unread,
        unacked: diag.unacked,
        retransmits: diag.retransmits,
        timer: diag.timer,
        quiet: diag.quiet,
        rto: diag.rto,
    }
}

/// A full socket without an inode has been closed, or not been accepted yet; a state that HAProxy's own FIN led to tells which.
const fn orphaned(diag: &DiagRow) -> Option<bool> {
    if diag.timewait {
        return None;
    }
    match (diag.inode, diag.state) {
        (Some(_), _) => Some(false),
        (None, TcpState::FinWait1 | TcpState::FinWait2 | TcpState::LastAck | TcpState::Closing) => Some(true),
        (None, _) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_dual_stack_wildcard_takes_both_families() {
        let mut listeners = Listeners::default();
        listeners.add(Netns(1), addr("[::]:443"), Side::Client);
        listeners.add(Netns(1), addr("127.0.0.1:9000"), Side::Control);
        assert_eq!(
            listeners.side_of(Netns(1), addr("10.1.2.3:443")),
            Some(Side::Client)
        );
        assert_eq!(
            listeners.side_of(Netns(1), addr("[2001:db8::1]:443")),
            Some(Side::Client)
        );
        assert_eq!(
            listeners.side_of(Netns(1), addr("[::ffff:127.0.0.1]:9000")),
            Some(Side::Control)
        );
        assert_eq!(listeners.side_of(Netns(1), addr("127.0.0.2:9000")), None);
        assert_eq!(listeners.side_of(Netns(2), addr("10.1.2.3:443")), None);
    }
}
