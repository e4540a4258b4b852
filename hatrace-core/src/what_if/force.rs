//! Which timeout ends a connection that waits for its peer's FIN, or is idle: with lines that are supposed, and without.
//!
//! Measured on HAProxy 2.6, 3.0, 3.2 and 3.4: it is the timeout of the side that waits, the `-fin` one before `timeout tunnel` before
//! `timeout client` or `server`; the other side's don't count. It begins with HAProxy's FIN, and anew with everything the peer sends.

use std::time::Duration;

use crate::config::{Configuration, Limit, Proxy, ProxyKind, ProxyMode, TimeoutKind};
use crate::sock::Side;
use crate::stream::Name;

/// A line of the configuration that is supposed to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As it was given.
    pub text: String,
    /// The section it would stand in; `None`: every one that it can stand in.
    pub section: Option<(ProxyKind, Name)>,
    /// Which timeout.
    pub kind: TimeoutKind,
    /// How long.
    pub length: Duration,
}

impl Line {
    /// The timeouts whose effect can be told from what was seen.
    pub const KINDS: [TimeoutKind; 5] = [
        TimeoutKind::ClientFin,
        TimeoutKind::ServerFin,
        TimeoutKind::Tunnel,
        TimeoutKind::Client,
        TimeoutKind::Server,
    ];

    fn stands_in(&self, proxy: Option<&Proxy>) -> bool {
        let same = |proxy: &Proxy| matches!(&self.section, Some((kind, name)) if *kind == proxy.kind && *name == proxy.name);
        self.section.is_none() || proxy.is_some_and(same)
    }
}

/// What ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    /// One of the lines.
    Line(usize, Duration),
    /// What is configured.
    Configured(Duration),
    /// Nothing.
    Nothing,
    /// Too little is known.
    Untold,
}

/// Where a connection waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Where<'a> {
    /// On which side.
    pub(crate) side: Side,
    /// The proxy of that side.
    pub(crate) own: Option<&'a Proxy>,
    /// The backend that it went to.
    pub(crate) backend: Option<&'a Proxy>,
    /// HAProxy has sent its FIN.
    pub(crate) half_closed: bool,
    /// Since then the peer has sent something.
    pub(crate) moved: bool,
}

impl<'a> Where<'a> {
    /// Of which nothing says which backend it went to: the only one there is.
    pub(crate) fn or_only_backend(mut self, configuration: Option<&'a Configuration>) -> Self {
        let proxies = configuration.into_iter().flat_map(|all| &all.proxies);
        let mut backends = proxies.filter(|proxy| proxy.kind.connects());
        if self.backend.is_none() {
            self.backend = backends.next().filter(|_| backends.next().is_none());
        }
        self
    }

    /// In the order in which HAProxy prefers them.
    fn kinds(&self) -> [TimeoutKind; 3] {
        match self.side {
            Side::Server => [TimeoutKind::ServerFin, TimeoutKind::Tunnel, TimeoutKind::Server],
            _ => [TimeoutKind::ClientFin, TimeoutKind::Tunnel, TimeoutKind::Client],
        }
    }

    /// What ends it, given these lines.
    pub(crate) fn force(&self, lines: &[Line], version: Option<(u32, u32)>) -> Force {
        let fin = match (self.half_closed, self.fin_counts(version)) {
            (false, _) => false,
            (true, Some(counts)) => counts,
            (true, None) => return Force::Untold,
        };
        for kind in self.kinds().into_iter().skip(usize::from(!fin)) {
            let proxy = match kind {
                TimeoutKind::Tunnel => self.backend,
                _ => self.own,
            };
            let supposed = lines
                .iter()
                .enumerate()
                .find(|(_, line)| line.kind == kind && line.stands_in(proxy));
            if let Some((index, line)) = supposed {
                return Force::Line(index, line.length);
            }
            match proxy.map(|proxy| proxy.timeout(kind).map(|set| set.value)) {
                None => return Force::Untold,
                Some(Some(Limit::After(length))) => return Force::Configured(length),
                // 0 is as if it weren't there.
                Some(None | Some(Limit::Never)) => {}
            }
        }
        Force::Nothing
    }

    /// Whether a `-fin` timeout runs. On a connection upgraded from HTTP it doesn't from 3.0 on, unless the peer sends something after
    /// the FIN; of what lies between 2.6 and 3.0 nothing was measured.
    fn fin_counts(&self, version: Option<(u32, u32)>) -> Option<bool> {
        let http = self.own.map(|proxy| proxy.mode.value == ProxyMode::Http);
        match (http, version) {
            (Some(false), _) => Some(true),
            (_, Some(version)) if version <= (2, 6) => Some(true),
            (Some(true), Some(version)) if version >= (3, 0) && !self.moved => Some(false),
            _ => None,
        }
    }
}
