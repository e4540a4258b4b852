//! Wire types and names shared by both halves.
#![no_std]
