//! HAProxy's own books, before and after.

use std::collections::{BTreeMap, BTreeSet};

use super::Change;
use crate::snapshot::Snapshot;
use crate::stream::{Name, ServiceKind};

/// HAProxy's own count of a frontend's, a backend's or a server's sessions (`scur`), before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// What it is.
    pub kind: ServiceKind,
    /// The proxy.
    pub proxy: Name,
    /// The server, of one.
    pub server: Option<Name>,
    /// Before; `None`: there was none of that name, or it wasn't asked.
    pub before: Option<u64>,
    /// After.
    pub after: Option<u64>,
    /// The difference.
    pub change: Change,
}

/// Of all processes together: after a reload both have some.
pub(super) fn sessions(before: &Snapshot, after: &Snapshot) -> Vec<Sessions> {
    let told = |snapshot: &Snapshot| {
        let mut told: BTreeMap<(ServiceKind, Name, Option<Name>), u64> = BTreeMap::new();
        for row in &snapshot.services {
            let service = &row.service;
            let place = (service.kind, service.proxy.clone(), service.server.clone());
            let count = told.entry(place).or_default();
            *count = count.saturating_add(service.current.unwrap_or(0));
        }
        told
    };
    let (then, now) = (told(before), told(after));
    let all: BTreeSet<_> = then.keys().chain(now.keys()).cloned().collect();
    let mut sessions: Vec<Sessions> = all
        .into_iter()
        .map(|place| {
            let (before, after) = (then.get(&place).copied(), now.get(&place).copied());
            let (kind, proxy, server) = place;
            Sessions {
                kind,
                proxy,
                server,
                before,
                after,
                // What one of the two didn't ask isn't none.
                change: before
                    .zip(after)
                    .map_or(Change::Same, |(before, after)| Change::of(before, after)),
            }
        })
        .collect();
    sessions.sort_by_key(|one| {
        let moved = one.before.unwrap_or(0).abs_diff(one.after.unwrap_or(0));
        (
            std::cmp::Reverse(moved),
            one.kind,
            one.proxy.clone(),
            one.server.clone(),
        )
    });
    sessions
}
