//! What this kernel lets hatrace do. Each is tried, once, when hatrace begins; without one, what it would have told is known less well,
//! and everything else stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Something that not every kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    /// The kernel half: `tp_btf` programs, an iterator over files, a ring buffer. Without it hatrace polls.
    Programs,
    /// `NETLINK_SOCK_DIAG` dumps of TCP sockets (tcp_diag, inet_diag).
    #[serde(rename = "sock_diag")]
    SockDiag,
    /// `fentry/tcp_twsk_destructor`: the moment at which a timewait ends.
    TimewaitEnds,
    /// `tp_btf/tcp_send_reset`: HAProxy's RST that stands in for a timewait (`TCP_LINGER2` below zero).
    ResetsSent,
    /// `tp_btf/tcp_retransmit_skb`: each retransmission, when it happens.
    Retransmits,
    /// An iterator over the files of one process (`union bpf_iter_link_info`, Linux 6.1).
    OneProcess,
}

impl Ability {
    /// All of them, in the order of docs.
    pub const ALL: [Self; 6] = [
        Self::Programs,
        Self::SockDiag,
        Self::TimewaitEnds,
        Self::ResetsSent,
        Self::Retransmits,
        Self::OneProcess,
    ];

    /// What the kernel half can do without, tried when it is loaded.
    pub const MORE: [Self; 4] = [
        Self::TimewaitEnds,
        Self::ResetsSent,
        Self::Retransmits,
        Self::OneProcess,
    ];

    /// Its name: in JSON, and for `--without`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::SockDiag => "sock_diag",
            Self::TimewaitEnds => "timewait-ends",
            Self::ResetsSent => "resets-sent",
            Self::Retransmits => "retransmits",
            Self::OneProcess => "one-process",
        }
    }

    /// What there is where it can be had.
    #[must_use]
    pub const fn gives(self) -> &'static str {
        match self {
            Self::Programs => "the kernel half loads: every change of state is seen when it happens",
            Self::SockDiag => "TCP sockets can be listed with their queues and timers",
            Self::TimewaitEnds => "fentry loads: the moment at which an orphaned FIN_WAIT2 expires is exact",
            Self::ResetsSent => {
                "a RST in place of a timewait (TCP_LINGER2 below zero) is seen when it is sent"
            }
            Self::Retransmits => "each retransmission is counted when it happens",
            Self::OneProcess => "the files of one process can be read: other processes are not looked at",
        }
    }

    /// What it costs not to have it.
    #[must_use]
    pub const fn costs(self) -> &'static str {
        match self {
            Self::Programs => {
                "polled mode: states are seen by looking again and again, ends are known to within the poll interval"
            }
            Self::SockDiag => {
                "no sweep: no unread bytes, no kernel timers, no ages of older sockets, no addresses of orphaned ones; and no polled mode"
            }
            Self::TimewaitEnds => {
                "the end of an orphaned FIN_WAIT2 is known to within the sweep interval; its beginning stays exact"
            }
            Self::ResetsSent => {
                "a FIN_WAIT2 that a RST ended in place of a timewait is found gone by the next sweep, its end known to within the interval"
            }
            Self::Retransmits => "retransmissions are those that a sweep finds: a lower bound",
            Self::OneProcess => {
                "every full sweep reads the files of all processes of this host: more time, the same rows"
            }
        }
    }
}

impl FromStr for Ability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|ability| ability.name() == text)
            .ok_or_else(|| format!("there is no ability `{text}`: {}", names()))
    }
}

/// What is lacking here, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    lacking: BTreeMap<Ability, String>,
}

impl Abilities {
    /// Everything but what is in `without`.
    #[must_use]
    pub fn all_but(without: &BTreeSet<Ability>) -> Self {
        let off = |ability: &Ability| (*ability, "switched off by --without".to_owned());
        Self {
            lacking: without.iter().map(off).collect(),
        }
    }

    /// Whether this one can be had.
    #[must_use]
    pub fn has(&self, ability: Ability) -> bool {
        !self.lacking.contains_key(&ability)
    }

    /// It can't be had.
    pub fn lack(&mut self, ability: Ability, why: String) {
        self.lacking.insert(ability, why);
    }

    /// Why this one can't be had; `None`: it can.
    #[must_use]
    pub fn why_not(&self, ability: Ability) -> Option<&str> {
        self.lacking.get(&ability).map(String::as_str)
    }

    /// Those that can't be had, and why.
    pub fn lacking(&self) -> impl Iterator<Item = (Ability, &str)> {
        self.lacking.iter().map(|(ability, why)| (*ability, why.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for ability in Ability::ALL {
            assert_eq!(ability.name().parse(), Ok(ability));
        }
        let told = "fentry".parse::<Ability>().expect_err("no such name");
        assert!(told.contains("sock_diag, timewait-ends"), "{told}");
    }

    #[test]
    fn what_is_switched_off_is_lacking() {
        let mut abilities = Abilities::all_but(&BTreeSet::from([Ability::Retransmits]));
        abilities.lack(Ability::TimewaitEnds, "no fentry".to_owned());
        assert!(!abilities.has(Ability::Retransmits) && abilities.has(Ability::OneProcess));
        assert_eq!(abilities.why_not(Ability::TimewaitEnds), Some("no fentry"));
        assert_eq!(abilities.lacking().count(), 2);
    }
}
