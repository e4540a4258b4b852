//! The kernel half's other half: load, attach, decode, sweep.

mod bpf;
mod btf;
pub mod decode;
mod figures;
mod files;
mod ghosts;
mod load;
mod memory;
mod offsets;
mod ports;
mod refusal;
mod source;
mod table;

pub use load::{LoadOptions, Probe, btf_path, load_empty, probe};
pub use refusal::LoadError;
pub use source::Traced;
pub use table::Size;
