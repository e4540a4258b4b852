//! The engine of hatrace: pure. No aya, no tokio, no files, no sockets, no clock; time is a parameter.
//!
//! Three calls: [`Engine::handle`] takes what was seen and cannot fail; [`Engine::deadline`] says when it wants to be
//! told the time; [`Engine::snapshot`] gives the plain data that every view reads. [`Engine::events`] hands out
//! what has happened since it was last asked, for the stream.
#![forbid(unsafe_code)]

pub mod engine;
pub mod event;
pub mod ids;
pub mod input;
pub mod life;
pub mod snapshot;
pub mod sock;
pub mod tcp;
pub mod time;

pub use engine::{Engine, Settings};
