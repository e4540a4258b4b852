//! The polled mode: sock_diag sweeps in place of the kernel half.
