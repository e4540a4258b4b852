//! Logs, counted: how sessions ended, where, whose, when that changed, and how well stickiness works. Lines come in one by one and are
//! not kept: memory depends on how many proxies, servers and networks there are, and is bounded.

mod change;
mod entry;
mod named;
mod series;
mod summary;
mod tally;

pub use change::Rise;
pub use entry::{Entry, Written};
pub use series::Series;
pub use summary::{Counted, Persistence, Summary, Waits};
pub use tally::Tally;
