//! TCP states, by the kernel's numbers and names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A state of a TCP socket (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are RFC 9293's own")]
pub enum TcpState {
    Established = 1,
    SynSent = 2,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    NewSynRecv = 12,
}

impl TcpState {
    /// Every state, in the kernel's order.
    pub const ALL: [Self; 12] = [
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait1,
        Self::FinWait2,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::Closing,
        Self::NewSynRecv,
    ];

    /// The state of that number, if there is one.
    #[must_use]
    pub fn from_kernel(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The kernel's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// One of the states in which a connection waits for its end (`TIME_WAIT` apart) or for its beginning:
    /// where a socket can get stuck.
    #[must_use]
    pub const fn lingers(self) -> bool {
        self.closing() || matches!(self, Self::SynSent)
    }

    /// One side or both have sent their FIN, and the full socket still exists.
    #[must_use]
    pub const fn closing(self) -> bool {
        matches!(
            self,
            Self::FinWait1 | Self::FinWait2 | Self::CloseWait | Self::LastAck | Self::Closing
        )
    }

    /// The kernel's name: `FIN_WAIT2`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::Closing => "CLOSING",
            Self::NewSynRecv => "NEW_SYN_RECV",
        }
    }

    /// The state a user means: `FIN_WAIT2`, `fin-wait-2` as `ss` writes it, `finwait2`; any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |s: &str| {
            s.chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
                .to_ascii_uppercase()
        };
        let wanted = match plain(text).as_str() {
            "ESTAB" => "ESTABLISHED".to_owned(),
            other => other.to_owned(),
        };
        Self::ALL.into_iter().find(|state| plain(state.name()) == wanted)
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSet(u16);

impl StateSet {
    /// No state.
    pub const EMPTY: Self = Self(0);

    /// This set with `state` in it.
    #[must_use]
    pub const fn with(self, state: TcpState) -> Self {
        Self(self.0 | 1 << state as u8)
    }

    /// Whether `state` is in it.
    #[must_use]
    pub const fn has(self, state: TcpState) -> bool {
        self.0 & 1 << state as u8 != 0
    }

    /// As the kernel's `idiag_states`: bit n for state number n.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }
}

impl FromIterator<TcpState> for StateSet {
    fn from_iter<T: IntoIterator<Item = TcpState>>(states: T) -> Self {
        states.into_iter().fold(Self::EMPTY, Self::with)
    }
}
