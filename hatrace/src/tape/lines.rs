//! What the lines of a recording say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hatrace_core::Settings;
use hatrace_core::config::{Configuration, Limit};
use hatrace_core::input::{Input, Limits};
use hatrace_core::life::Life;
use hatrace_core::time::Mono;
use serde::{Deserialize, Serialize};

use crate::port::Context;

/// The first line of each member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The format's version: what tells a recording from other JSON.
    pub hatrace_tape: u32,
    /// Which member it begins, from 0: a gap says that some are lost.
    pub member: u64,
    /// hatrace's version.
    pub hatrace: String,
    /// The kernel's release.
    pub kernel: String,
    /// The host's name.
    pub host: String,
    /// Which boot of it (`/proc/sys/kernel/random/boot_id`): moments of one boot are on one clock.
    pub boot: Option<String>,
    /// Which recording this is a part of: the same in all files of one.
    pub recording: String,
    /// The moment of the member's first line.
    pub began: Option<Mono>,
    /// How the engine was set.
    pub settings: Settings,
    /// What views know beside the snapshot, as it was then; with the recording's beginning on both clocks.
    pub context: Context,
    /// What was configured, by process: in a file's first member alone. For people; the engine reads it from the lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Configured>,
    /// The namespaces' settings that decide when sockets end; in a file's first member alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<Limits>,
}

/// The timeouts and limits of a process's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configured {
    /// Whose.
    pub pid: u32,
    /// `maxconn` of the global section.
    pub maxconn: Option<u64>,
    /// By section: `frontend fe`.
    pub sections: BTreeMap<String, Section>,
}

/// Of one proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// `maxconn`.
    pub maxconn: Option<u64>,
    /// Timeouts by keyword, in seconds; `null`: never.
    pub timeouts: BTreeMap<String, Option<f64>>,
}

impl Configured {
    /// The extract of a configuration.
    #[must_use]
    pub fn of(pid: u32, configuration: &Configuration) -> Self {
        let seconds = |limit: Limit| limit.duration().map(|length: Duration| length.as_secs_f64());
        let section = |proxy: &hatrace_core::config::Proxy| Section {
            maxconn: proxy.maxconn.as_ref().map(|set| set.value),
            timeouts: proxy
                .timeouts
                .iter()
                .map(|(kind, set)| (kind.name().to_owned(), seconds(set.value)))
                .collect(),
        };
        Self {
            pid,
            maxconn: configuration.global.maxconn.as_ref().map(|set| set.value),
            sections: configuration
                .proxies
                .iter()
                .map(|proxy| (proxy.section(), section(proxy)))
                .collect(),
        }
    }
}

/// Something, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// When it happened, or was read.
    pub at: Mono,
    /// What.
    pub what: What,
}

/// What a line tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// An input of the engine's.
    Input(Input),
    /// One that an earlier file has: for those who begin with this one.
    Again(Input),
    /// A whole scan of the table: each life that goes on, in its order; then that it was all.
    Scan(Vec<Run>),
    /// What views know beside the snapshot has changed.
    Context(Box<Context>),
    /// Names of peers were looked up.
    Names(BTreeMap<IpAddr, String>),
    /// A view was drawn of what there was by then.
    Cut,
}

/// An input as a line, without taking it over: those lines are most of a recording.
#[derive(Debug, Serialize)]
pub struct InputLine<'a> {
    /// When it happened, or was read.
    pub at: Mono,
    /// The input.
    pub what: InputWhat<'a>,
}

/// [`What`] by reference.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputWhat<'a> {
    /// [`What::Input`].
    Input(&'a Input),
    /// [`What::Again`].
    Again(&'a Input),
}

/// Some lives of a scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// So many of the scan before, from this one on, unchanged.
    Same(usize, usize),
    /// One that is new, or has changed.
    New(Life),
}
