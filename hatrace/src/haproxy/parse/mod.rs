//! What HAProxy prints, as data: `&str` in, a value out, nothing read and nothing refused loudly.
//!
//! HAProxy's own words for these outputs are the management guide, section 9.3; they carry no promise of stability, and change with nearly
//! every version. So every parser takes what it knows and steps over what it doesn't: unknown keys, missing blocks, anonymised names.

mod fd;
mod info;
mod long;
mod procs;
mod servers;
mod short;
mod stat;
mod words;

pub use fd::fd_line;
pub use info::{Info, info, version};
pub use long::long_session;
pub use procs::{Worker, workers};
pub use servers::{servers_conn, servers_state};
pub use short::stream;
pub use stat::services;
pub use words::Names;

#[cfg(test)]
mod tests;
