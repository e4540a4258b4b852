//! Live tests: what the issue says hatrace must show, on a real HAProxy with real sockets and a real kernel.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests fail by panicking")]

