//! HAProxy itself, asked politely: where its command line is, what it answers, what that means.
//!
//! One question is one connection, because a command line that is left open takes one of HAProxy's ten slots. `show sess` and `show fd`
//! stop all of HAProxy's threads while they format; what they cost is measured, and paid back by silence.

pub mod address;
mod client;
mod config;
mod dial;
mod find;
pub mod parse;
mod reach;
mod round;
mod verbatim;

pub use address::Address;
pub use config::{Whose, log_formats, supposed};
pub use find::configured_by;
pub use parse::Names;
pub use reach::Reach;
pub use round::{Answers, Questions};
pub use verbatim::Verbatim;
