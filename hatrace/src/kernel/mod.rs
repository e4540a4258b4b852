//! The kernel half's other half: load, attach, decode, sweep.
