//! The engine of hatrace: pure. No aya, no tokio, no files, no sockets, no clock; time is a parameter.
//!
//! Three calls: [`Engine::handle`] takes what was seen and cannot fail; [`Engine::deadline`] says when it wants to be
//! told the time; [`Engine::snapshot`] gives the plain data that every view reads. [`Engine::events`] hands out
//! what has happened since it was last asked, for the stream.
#![forbid(unsafe_code)]

mod account;
mod adopt;
pub mod advice;
pub mod clock;
pub mod compare;
pub mod config;
pub mod dwell;
pub mod ending;
mod engine;
pub mod event;
mod gaps;
mod handed;
pub mod ids;
pub mod input;
mod join;
mod judging;
mod ledger;
pub mod life;
pub mod log;
pub mod merge;
mod names;
pub mod naming;
mod ns;
pub mod onsets;
mod services;
mod sessions;
pub mod snapshot;
pub mod sock;
mod spikes;
pub mod stream;
pub mod survey;
mod sweep;
pub mod tcp;
mod telling;
pub mod time;
mod timewaits;
mod timing;
mod told;
mod tolls;
mod transitions;
pub mod trend;
pub mod units;
pub mod verdicts;
pub mod what_if;

pub use engine::{Engine, Settings};
