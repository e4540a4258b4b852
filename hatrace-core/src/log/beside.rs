//! The two stories of one session, side by side: what the kernel saw of a socket by the time of its line, and what a code doesn't allow.

use super::entry::Written;
use super::join::SLACK;
use super::said::Said;
use super::story::{First, Story};
use crate::time::Mono;

/// What the kernel had seen of a socket's end when its session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Saw {
    /// Nothing yet.
    Open,
    /// The peer's FIN first.
    PeerFin,
    /// The peer's RST, or silence that the kernel took for the end.
    PeerReset,
    /// HAProxy's FIN first; the peer's came, too.
    HaproxyFin,
    /// HAProxy's FIN first; the peer's had not come.
    HaproxyFinAlone,
    /// HAProxy's RST.
    HaproxyReset,
    /// A RST; whose, was not seen.
    Reset,
    /// It was refused, or not answered.
    NotConnected,
}

impl Saw {
    pub(super) fn of(story: &Story, ended: Written, wall: &impl Fn(Mono) -> i64) -> Self {
        let by_then = |at: Mono| wall(at) <= ended + SLACK;
        match story.first {
            Some((first, at)) if by_then(at) => match first {
                First::PeerFin => Self::PeerFin,
                First::PeerReset => Self::PeerReset,
                First::HaproxyFin if story.peer_fin.is_some_and(by_then) => Self::HaproxyFin,
                First::HaproxyFin => Self::HaproxyFinAlone,
                First::HaproxyReset => Self::HaproxyReset,
                First::Reset => Self::Reset,
                First::NotConnected => Self::NotConnected,
            },
            _ => Self::Open,
        }
    }

    /// In words, of the client's socket or the server's: `its FIN first`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Open => "still open",
            Self::PeerFin => "its FIN first",
            Self::PeerReset => "its RST",
            Self::HaproxyFin => "HAProxy's FIN first, then its own",
            Self::HaproxyFinAlone => "HAProxy's FIN; its own had not come",
            Self::HaproxyReset => "HAProxy's RST",
            Self::Reset => "a RST, whose was not seen",
            Self::NotConnected => "it never answered, or refused",
        }
    }
}

/// What the kernel saw that the code doesn't allow: only what can't be otherwise. A FIN of HAProxy's may be half of a close, behind which the
/// peer may well have been the one that aborted, unless it was an exchange of HTTP; a FIN of the peer's leaves it the other half to stall on.
pub(super) fn contradiction(
    said: &Said,
    client: Option<&Story>,
    server: Option<&Story>,
    wall: &impl Fn(Mono) -> i64,
) -> Option<String> {
    match said.code.ending() {
        [b'C', _] if !said.client_hidden => closed_first("client", client?, said, wall),
        [b'S', b'D' | b'H'] if !said.server_hidden => closed_first("server", server?, said, wall),
        [b'c', _] => gone_before("client", client?, said, wall),
        [b's', _] => gone_before("server", server?, said, wall),
        _ => None,
    }
}

/// The log blames a peer that had not ended anything.
fn closed_first(peer: &str, story: &Story, said: &Said, wall: &impl Fn(Mono) -> i64) -> Option<String> {
    let (first, at) = story.first?;
    if wall(at) > said.ended + SLACK {
        return None;
    }
    match first {
        First::HaproxyFin if story.closed_unasked => Some(format!(
            "HAProxy closed its socket while the {peer} had sent neither FIN nor RST"
        )),
        First::HaproxyFin if said.exchange => Some(format!(
            "HAProxy's FIN was the first: the {peer} had sent neither FIN nor RST before it"
        )),
        First::HaproxyReset => Some(format!(
            "the first end that the kernel saw on the {peer}'s socket was HAProxy's RST"
        )),
        _ => None,
    }
}

/// The log waited for a peer that was not there any more.
fn gone_before(peer: &str, story: &Story, said: &Said, wall: &impl Fn(Mono) -> i64) -> Option<String> {
    match story.first? {
        (First::PeerReset, at) if wall(at) + SLACK < said.ended => Some(format!(
            "the {peer}'s RST had come {} ms before the line's end: it did not keep HAProxy waiting",
            said.ended - wall(at)
        )),
        _ => None,
    }
}
