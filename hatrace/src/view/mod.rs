//! Snapshot in, text or JSON out.
