//! Snapshot in, text or JSON out.
//!
//! Every view is a pure function from a [`Snapshot`](hatrace_core::snapshot::Snapshot) or an
//! [`Event`](hatrace_core::event::Event), a [`Context`](crate::port::Context) and a [`Page`] to a writer. Only
//! [`out`] knows terminals and files.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod advise;
pub mod bundle;
pub mod clock;
pub mod columns;
pub mod compare;
pub mod culprits;
pub mod doctor;
pub mod explain;
pub mod findings;
pub mod hlog;
pub mod json;
pub mod logs;
pub mod names;
pub mod out;
pub mod page;
pub mod paint;
pub mod progress;
pub mod report;
pub mod rows;
pub mod select;
pub mod sessions;
pub mod stream;
pub mod stuck;
pub mod summary;
pub mod tally;
pub mod what_if;
pub mod words;

#[cfg(test)]
mod sample;

pub use hatrace_core::units;
pub use out::{ColorChoice, Format, Output, OutputError, OutputOptions};
pub use page::Page;
pub use paint::Paint;
pub use select::{Prefix, Selection};
