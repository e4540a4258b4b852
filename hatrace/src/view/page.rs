//! How a view is to be drawn.

use jiff::tz::TimeZone;

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
    /// In which zone times of day are written.
    pub zone: TimeZone,
}

impl Default for Page {
    /// Everything, plain, unlimited, in UTC.
    fn default() -> Self {
        Self {
            paint: Paint::plain(),
            width: None,
            rows: usize::MAX,
            selection: Selection::default(),
            zone: TimeZone::UTC,
        }
    }
}
