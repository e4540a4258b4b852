//! One probe a file.

pub mod empty;
pub mod exec;
pub mod exit;
pub mod files;
pub mod fork;
pub mod retransmit;
pub mod send_reset;
pub mod set_state;
pub mod timewait_end;
pub mod transition;
