//! Logs, counted: how sessions ended, where, whose, when that changed, and how well stickiness works. Lines come in one by one and are
//! not kept: memory depends on how many proxies, servers and networks there are, and is bounded.

mod change;
mod entry;
mod held;
mod named;
mod series;
mod story;
mod summary;
mod tally;

pub use change::Rise;
pub use entry::{Entry, Written};
pub use held::{Disagreement, Held, Lines};
pub use series::Series;
pub use story::{First, Stories, Story};
pub use summary::{Counted, Persistence, Summary, Waits};
pub use tally::Tally;
