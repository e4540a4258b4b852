//! A recording: everything the engine was given, line by line, so that another engine says the same, elsewhere and later.
//!
//! JSON lines in gzip members of a second each, so that `zcat FILE | jq` reads it and a recorder that is killed has lost a second. A member
//! stands by itself: it begins with a [`Header`], and nothing in it refers to another one. What follows are [`Line`]s:
//!
//! ```text
//! {"hatrace_tape":2,"member":0,"hatrace":"0.1.0","kernel":"6.12.0","host":"lb1","recording":"lb1-4711-5c0f","settings":{..},"context":{..},"limits":[..]}
//! {"at":81230000,"what":{"input":{"process":{"born":{"pid":12,"parent":11}}}}}
//! {"at":81240000,"what":{"scan":[{"same":[0,57]},{"new":{"cookie":4242,..}}]}}
//! {"at":81250000,"what":"cut"}
//! ```
//!
//! A recording can be put into several files, one after the other. Each but the first repeats what a reader needs who hasn't the earlier ones
//! (`again`); whoever has them passes that over.
//!
//! Moments are nanoseconds of the recording host's `CLOCK_MONOTONIC`; the header's context has one of them on both clocks.

mod baseline;
mod files;
mod lines;
mod members;
mod migrate;
mod reader;
mod redact;
mod reel;
mod scan;
mod understood;
mod writer;

pub use files::Plan;
pub use lines::{Header, Line, What};
pub use reader::Item;
pub use redact::Redactor;
pub use reel::Reel;
pub use writer::{Recorded, Recorder};

/// The version of the format. Higher ones are refused, lower ones are read: `migrate.rs` has the steps.
pub const FORMAT: u32 = 2;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
