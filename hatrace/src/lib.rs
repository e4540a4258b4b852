//! The agent: finds HAProxy, loads the kernel half, feeds the engine, draws what it says.
//!
//! Data flows one way: kernel -> decode -> engine -> snapshot -> view. See docs/ARCHITECTURE.md.

pub mod ability;
pub mod app;
pub mod cli;
pub mod clock;
pub mod demo;
pub mod doctor;
pub mod error;
pub mod haproxy;
pub mod kernel;
pub mod logs;
pub mod netns;
pub mod polled;
pub mod port;
pub mod resolver;
pub mod sockdiag;
pub mod tape;
pub mod target;
pub mod view;
