//! How a view is to be drawn.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::tz::TimeZone;

use super::out::Output;
use super::paint::Paint;
use super::select::Selection;

/// How a view is to be drawn.
#[derive(Clone, Debug)]
pub struct Page {
    /// Whether to colour.
    pub paint: Paint,
    /// The terminal's columns; `None`: unlimited.
    pub width: Option<usize>,
    /// How many sockets a list may have.
    pub rows: usize,
    /// Which sockets are wanted.
    pub selection: Selection,
    /// Names of addresses, where they were looked up.
    pub hosts: BTreeMap<IpAddr, String>,
    /// In which zone times of day are written.
    pub zone: TimeZone,
}

impl Page {
    /// As `output` can show it, in the host's time zone.
    #[must_use]
    pub fn on(output: &Output, rows: usize, selection: Selection) -> Self {
        Self {
            paint: output.paint(),
            width: output.width(),
            rows,
            selection,
            hosts: BTreeMap::new(),
            zone: TimeZone::system(),
        }
    }

    /// The same for another stream: words on stderr beside data on stdout.
    #[must_use]
    pub fn painted(&self, paint: Paint) -> Self {
        Self {
            paint,
            ..self.clone()
        }
    }
}

impl Default for Page {
    /// Everything, plain, unlimited, in UTC.
    fn default() -> Self {
        Self {
            paint: Paint::plain(),
            width: None,
            rows: usize::MAX,
            selection: Selection::default(),
            hosts: BTreeMap::new(),
            zone: TimeZone::UTC,
        }
    }
}
