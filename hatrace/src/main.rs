//! `hatrace`: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    give_large_blocks_back();
    match hatrace::cli::parse() {
        Ok(invocation) => hatrace::app::run(invocation),
        Err(code) => code,
    }
}

/// A look at twenty thousand sockets needs some MiB for some milliseconds. By default glibc's malloc takes the first such block, when it
/// is freed, as a sign to keep those to come; with a threshold that is set they go back to the kernel at once.
fn give_large_blocks_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers; before any other thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}
