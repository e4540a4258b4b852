//! The kernel half of hatrace: whose socket, and what happened to it.
//!
//! One probe a file under `probes`; maps in `maps`; what differs between kernels (field offsets) in `fields`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, core_intrinsics)]
#![allow(
    internal_features,
    reason = "compare-and-exchange on map memory has no stable spelling for the BPF target"
)]

mod clock;
mod counters;
mod fields;
mod life;
mod maps;
mod probes;
mod ring;
mod scope;
mod table;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
