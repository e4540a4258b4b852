//! What both halves of hatrace must agree on: the records' layout, the names of programs, maps and globals.
//!
//! No logic lives here. Every type is `#[repr(C)]`, free of padding, and its size is asserted at compile time:
//! the kernel half writes these bytes and [`decode`](https://docs.rs) of the agent reads them, compiled by different compilers.
#![no_std]

pub mod fields;
pub mod names;
pub mod wire;
