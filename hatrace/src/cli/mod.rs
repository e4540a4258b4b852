//! The command line: what was asked, resolved.
