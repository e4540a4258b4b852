//! What the kernel saw of one connection's end.

use crate::input::Transition;
use crate::life::{EndedLife, Ending, FirstFin};
use crate::sock::Endpoints;
use crate::tcp::TcpState;
use crate::time::Mono;

/// Who ended a connection first, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// The peer's FIN.
    PeerFin,
    /// The peer's RST, or silence that the kernel took for the end.
    PeerReset,
    /// HAProxy's FIN.
    HaproxyFin,
    /// HAProxy's RST.
    HaproxyReset,
    /// A RST; whose, was not seen.
    Reset,
    /// A connection that never was: the server refused it, or did not answer.
    NotConnected,
}

/// `ss -K` leaves it behind.
const ECONNABORTED: u16 = 103;

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// Between whom.
    pub endpoints: Endpoints,
    /// When it was established, or began to connect, where that was seen.
    pub begun: Option<Mono>,
    /// Who ended it first, and when; `None`: nobody has yet.
    pub first: Option<(First, Mono)>,
    /// When the peer's FIN came after HAProxy's own; `None`: it didn't, or when isn't known.
    pub peer_fin: Option<Mono>,
    /// HAProxy closed it before its peer had ended it in any way: whatever the peer did later HAProxy can't have seen.
    pub closed_unasked: bool,
    /// When nothing was left of it but a TIME_WAIT; `None`: it is there still, or that wasn't seen.
    pub gone: Option<Mono>,
    /// The socket itself is there still, held or orphaned.
    pub open: bool,
    /// It was seen to linger in FIN_WAIT2, and not to leave it: as a socket, or as the timewait that is the rest of one.
    pub rest: bool,
}

impl Story {
    /// Of one that was established just now.
    pub(super) const fn established(at: Mono, endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            begun: Some(at),
            first: None,
            peer_fin: None,
            closed_unasked: false,
            gone: None,
            open: true,
            rest: false,
        }
    }

    /// Goes on with a step towards its end. Whether it is over, as far as steps tell: an accepted connection that ends by a RST has no
    /// record of its own.
    pub(super) const fn step(&mut self, at: Mono, transition: &Transition) -> bool {
        match (transition.from, transition.to) {
            (TcpState::Established, TcpState::FinWait1) => self.first = Some((First::HaproxyFin, at)),
            (TcpState::Established, TcpState::CloseWait) => self.first = Some((First::PeerFin, at)),
            (TcpState::FinWait1, TcpState::Closing) => self.peer_fin = Some(at),
            (TcpState::Established, TcpState::Close) => {
                let whose = match transition.sk_err {
                    None => First::Reset,
                    // By HAProxy, or by an administrator's tool.
                    Some(0 | ECONNABORTED) => First::HaproxyReset,
                    Some(_) => First::PeerReset,
                };
                self.first = Some((whose, at));
                self.gone = Some(at);
                self.open = false;
                return true;
            }
            _ => {}
        }
        false
    }

    /// Of a record of its end.
    pub(super) fn of(ended: &EndedLife, begun: Option<Mono>) -> Self {
        let (life, ending) = (&ended.life, ended.ending());
        let closing = life.closing.map(|step| step.at.latest());
        let first = match (life.first_fin(), ending) {
            (FirstFin::Haproxy, _) => (First::HaproxyFin, closing.unwrap_or(ended.at)),
            (FirstFin::Peer, _) => (First::PeerFin, closing.unwrap_or(ended.at)),
            (FirstFin::None, Ending::NotConnected) => (First::NotConnected, ended.at),
            (FirstFin::None, Ending::ResetByHaproxy | Ending::Aborted) => (First::HaproxyReset, ended.at),
            (FirstFin::None, _) => (First::PeerReset, ended.at),
        };
        let crossed = life.second.filter(|step| step.state == TcpState::Closing);
        let peer_fin = match ending {
            Ending::HandedTimeWait => Some(crossed.map_or(ended.at, |step| step.at.latest())),
            _ => None,
        };
        // A FIN may be half of a close, after which HAProxy still hears its peer: this is the whole of it.
        let peer_end = peer_fin.or((ending == Ending::ResetByPeer).then_some(ended.at));
        let closed_unasked = first.0 == First::HaproxyFin
            && crossed.is_none()
            && life
                .orphaned_at
                .is_some_and(|closed| peer_end.is_none_or(|end| closed <= end));
        Self {
            endpoints: ended.endpoints,
            begun: life.connecting_at.or(life.established_at).or(begun),
            first: Some(first),
            peer_fin: peer_fin.filter(|_| first.0 == First::HaproxyFin),
            closed_unasked,
            // A timewait in FIN_WAIT2 goes on with it.
            gone: (ending != Ending::HandedFinWait2).then_some(ended.at),
            open: false,
            rest: false,
        }
    }
}
