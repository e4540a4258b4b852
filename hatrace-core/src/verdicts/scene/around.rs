//! What is around the sockets that linger: those at work, listeners, TIME_WAITs, limits, and how things have come and gone.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Scene;
use crate::ids::{Cookie, Netns, Pid};
use crate::onsets::Course;
use crate::sock::Side;
use crate::stream::Name;
use crate::survey::{Listener, Neighbour, Space, Standing, Waiting};
use crate::time::Mono;
use crate::trend::Trend;

impl<'a> Scene<'a> {
    /// An open socket as the last survey found it.
    #[must_use]
    pub fn standing(&self, cookie: Cookie) -> Option<&'a Standing> {
        self.surveys.standing(cookie)
    }

    /// Every open socket of the last survey.
    pub fn standings(&self) -> impl Iterator<Item = &'a Standing> {
        let survey = self.surveys.last.as_ref().map(|(_, survey)| survey);
        survey.into_iter().flat_map(|survey| &survey.sockets)
    }

    /// For how long an open socket's queues have been as they are.
    #[must_use]
    pub fn standing_still(&self, cookie: Cookie) -> Duration {
        self.surveys
            .still
            .get(&cookie)
            .map_or(Duration::ZERO, |(_, _, since)| self.now.since(*since))
    }

    /// Open descriptors whose connection is gone, and since when at the latest.
    pub fn closed(&self) -> impl Iterator<Item = (&'a Standing, Mono)> {
        let surveys = self.surveys;
        self.standings()
            .filter_map(move |standing| Some((standing, *surveys.closed.get(&standing.held.cookie)?)))
    }

    /// The accept queue that a connection's local address belongs to.
    #[must_use]
    pub fn listener(&self, netns: Option<Netns>, local: SocketAddr) -> Option<&'a Listener> {
        self.surveys.listener(netns, local)
    }

    /// Listeners with connections waiting to be accepted, and since when at the latest.
    pub fn waiting(&self) -> impl Iterator<Item = (&'a Listener, Mono)> {
        let surveys = self.surveys;
        let survey = surveys.last.as_ref().map(|(_, survey)| survey);
        let listeners = survey.into_iter().flat_map(|survey| &survey.listeners);
        listeners.filter_map(move |listener| {
            Some((listener, *surveys.waiting.get(&(listener.netns, listener.local))?))
        })
    }

    /// How many connections HAProxy has open through the listener of an address.
    #[must_use]
    pub fn established_at(&self, netns: Option<Netns>, local: SocketAddr) -> u64 {
        self.standings()
            .filter(|standing| {
                standing.held.side == Side::Client
                    && netns.is_none_or(|netns| netns == standing.held.netns)
                    && (standing.held.endpoints.local == local
                        || local.ip().is_unspecified()
                            && standing.held.endpoints.local.port() == local.port())
            })
            .count() as u64
    }

    /// TIME_WAITs by their addresses.
    pub fn timewaits(&self) -> impl Iterator<Item = &'a Waiting> {
        let survey = self.surveys.last.as_ref().map(|(_, survey)| survey);
        survey.into_iter().flat_map(|survey| &survey.timewaits)
    }

    /// What a network namespace allows.
    #[must_use]
    pub fn space(&self, netns: Netns) -> Option<&'a Space> {
        let (_, survey) = self.surveys.last.as_ref()?;
        survey
            .spaces
            .iter()
            .find(|(own, _)| *own == netns)
            .map(|(_, space)| space)
    }

    /// The orphans of this host, and how many it keeps.
    #[must_use]
    pub fn orphans(&self) -> Option<(u64, u64)> {
        let (_, survey) = self.surveys.last.as_ref()?;
        let limit = survey.spaces.iter().find_map(|(_, space)| space.max_orphans)?;
        let orphans = survey
            .spaces
            .iter()
            .filter_map(|(_, space)| space.orphans)
            .max()?;
        Some((orphans, limit))
    }

    /// Workers that a reload has replaced, with their master.
    pub fn replaced(&self) -> impl Iterator<Item = (Pid, Pid)> {
        let survey = self.surveys.last.as_ref().map(|(_, survey)| survey);
        survey
            .into_iter()
            .flat_map(|survey| survey.replaced.iter().copied())
    }

    /// Another process of this host at the other end of a row.
    #[must_use]
    pub fn neighbour(&self, cookie: Cookie) -> Option<&'a Neighbour> {
        let (_, survey) = self.surveys.last.as_ref()?;
        survey
            .neighbours
            .iter()
            .find(|neighbour| neighbour.cookie == cookie)
    }

    /// How clients' lingering connections have come and gone, of every frontend.
    pub fn frontends(&self) -> impl Iterator<Item = (&'a Name, &'a Trend)> {
        self.onsets.frontends()
    }

    /// The same of one frontend, or of all clients.
    #[must_use]
    pub fn clients_of(&self, frontend: Option<&str>) -> Option<&'a Trend> {
        self.onsets.clients_of(frontend)
    }

    /// How peers' lingering sockets have come and gone.
    pub fn courses(&self) -> impl Iterator<Item = (&'a (Side, IpAddr), &'a Course)> {
        self.onsets.courses()
    }
}
