//! The harness of the live tests.
