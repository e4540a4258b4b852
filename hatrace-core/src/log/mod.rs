//! Logs, counted: how sessions ended, where, whose, when that changed, and how well stickiness works. Lines come in one by one and are
//! not kept: memory depends on how many proxies, servers and networks there are, and is bounded.

mod beside;
mod change;
mod entry;
mod following;
mod heavy;
mod held;
mod join;
mod named;
mod place;
mod said;
mod series;
mod stories;
mod story;
mod summary;
mod tally;
#[cfg(test)]
mod testing;

pub use beside::Saw;
pub use change::Rise;
pub use entry::{Entry, Written};
pub use following::{Following, Told};
pub use held::{Disagreement, Held, Lines, Sockets, Together};
pub use said::Proxies;
pub use series::Series;
pub use stories::Stories;
pub use story::{First, Story};
pub use summary::{Busy, Counted, Network, Persistence, Rate, Summary, Waits};
pub use tally::Tally;
