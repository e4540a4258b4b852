//! The kernel half's other half: load, attach, decode, sweep.

mod bpf;
mod btf;
mod decode;
mod figures;
mod load;
mod memory;
mod offsets;

pub use load::{LoadError, LoadOptions, Loaded, Probe, load_empty, probe};
