//! What a rule is.

use super::finding::{Confidence, Fix, Responsible, Verdict, Whom};
use super::group::Group;
use super::scene::Scene;
use crate::snapshot::Lingering;
use crate::tolls::{Awaited, Party};

/// A rule: which sockets are its business, and what it makes of them.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its verdict.
    pub verdict: Verdict,
    /// Whom a socket waits for, if it is this rule's business. The first rule that claims a socket has it.
    pub claim: fn(&Lingering, &Scene<'_>) -> Option<Party>,
    /// Waits that are over and were this rule's business, by party: also those of which no socket is left.
    pub ended: Option<Ended>,
    /// What it makes of the sockets of one party.
    pub conclude: fn(&Group<'_>, &Scene<'_>) -> Judgement,
}

/// Which of the waits that are over are a rule's business.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// What they waited for.
    pub awaited: Awaited,
    /// Whose.
    pub mine: fn(&Party, &Scene<'_>) -> bool,
}

/// What a rule makes of a group.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Who must act.
    pub responsible: Responsible,
    /// How sure that is.
    pub confidence: Confidence,
    /// Whom it is about, where not the address the sockets wait for.
    pub whom: Option<Whom>,
    /// The evidence.
    pub because: Vec<String>,
    /// What would free them.
    pub fix: Vec<Fix>,
}

impl Judgement {
    /// One without evidence so far.
    #[must_use]
    pub const fn new(responsible: Responsible, confidence: Confidence) -> Self {
        Self {
            responsible,
            confidence,
            whom: None,
            because: Vec::new(),
            fix: Vec::new(),
        }
    }
}
