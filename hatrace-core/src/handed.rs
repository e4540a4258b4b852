//! What the tracepoint can't tell: a socket that "closed" out of FIN_WAIT2 and goes on as a timewait.

use crate::ledger::{Entry, Seen, Witness};
use crate::life::Life;
use crate::tcp::StateSet;
use crate::time::{Mono, Since};

/// A life that was handed to a timewait in FIN_WAIT2, before any sweep has seen the timewait. On a busy proxy that closes first there are
/// thousands a second, most of them gone within microseconds.
#[derive(Clone, Debug)]
pub struct Handed {
    /// When.
    pub at: Mono,
    /// FIN_WAIT2 since.
    pub since: Since,
    /// The life.
    pub life: Life,
    /// What was known of the socket.
    pub seen: Option<Seen>,
    /// What the stream was told already.
    pub announced: StateSet,
}

impl Handed {
    /// As the full socket it was: no timewait was made of it.
    #[must_use]
    pub fn into_full(self) -> Entry {
        let mut entry = self.into_entry();
        entry.timewait = None;
        entry
    }

    /// As a life that is followed by its cookie from now on.
    #[must_use]
    pub fn into_entry(self) -> Entry {
        let mut entry = Entry::new(self.life, Witness::Sweep);
        entry.timewait = Some(self.since);
        entry.seen = self.seen;
        entry.announced = self.announced;
        entry
    }
}
