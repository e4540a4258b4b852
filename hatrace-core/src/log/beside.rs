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

/// What the kernel saw that the code doesn't allow.
pub(super) fn contradiction(
    said: &Said,
    client: Option<&Story>,
    server: Option<&Story>,
    wall: &impl Fn(Mono) -> i64,
) -> Option<String> {
    let [cause, phase] = said.code.ending();
    let before_end = |at: Mono| wall(at) + SLACK < said.ended;
    match cause {
        b'C' if !said.client_hidden => match client?.first? {
            (First::HaproxyFin, at) if client?.peer_fin.is_none_or(|fin| wall(fin) > said.ended + SLACK) => {
                Some(format!(
                    "HAProxy closed first, {} ms before the line's end: the client had sent neither FIN nor RST",
                    (said.ended - wall(at)).max(0)
                ))
            }
            (First::HaproxyReset, _) => {
                Some("the first end that the kernel saw on the client's socket was HAProxy's RST".to_owned())
            }
            _ => None,
        },
        b'c' => match client?.first? {
            (First::PeerFin, at) if phase == b'D' && before_end(at) => {
                Some("the client's FIN had come before: it did not keep HAProxy waiting".to_owned())
            }
            (First::PeerReset, at) if before_end(at) => Some("the client's RST had come before".to_owned()),
            _ => None,
        },
        b'S' if matches!(phase, b'D' | b'H') && !said.server_hidden => match server?.first? {
            (First::HaproxyFin | First::HaproxyReset, _) => {
                Some("HAProxy closed first: the server had sent neither FIN nor RST".to_owned())
            }
            _ => None,
        },
        b's' if phase == b'D' => match server?.first? {
            (First::PeerFin | First::PeerReset, at) if before_end(at) => {
                Some("the server's end had come before: it did not keep HAProxy waiting".to_owned())
            }
            _ => None,
        },
        _ => None,
    }
}
