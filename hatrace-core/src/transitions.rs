//! `-a`: how long the state that a transition left had lasted.

use std::collections::BTreeMap;

use crate::ids::Cookie;
use crate::input::Transition;
use crate::tcp::TcpState;
use crate::time::{Age, Mono, Since};

/// The last transition of each socket. A host with more open sockets than this goes without for the rest.
const REMEMBERED: usize = 1 << 16;

/// When each socket entered the state it is in.
#[derive(Clone, Debug, Default)]
pub struct Transitions {
    entered: BTreeMap<Cookie, Mono>,
}

impl Transitions {
    /// Takes a transition in; says how long the state it leaves had lasted, where its beginning was seen.
    pub fn held(&mut self, at: Mono, transition: &Transition) -> Option<Age> {
        let cookie = transition.cookie?;
        let held = self
            .entered
            .get(&cookie)
            .map(|since| Since::Exact(*since).age(at));
        if transition.to == TcpState::Close {
            self.entered.remove(&cookie);
        } else if transition.from != transition.to
            && (self.entered.len() < REMEMBERED || self.entered.contains_key(&cookie))
        {
            self.entered.insert(cookie, at);
        }
        held
    }
}
