//! Names by which the agent finds what the kernel half defines. A typo here is a failed load, not a silent nothing.

/// Maps.
pub mod map {
    /// The table of lives: the records.
    pub const RECORDS: &str = "RECORDS";
    /// The table of lives: levels of records that are not where their cookies say.
    pub const LEVELS: &str = "LEVELS";
    /// Local ports of owned listeners.
    pub const PORTS: &str = "PORTS";
    /// Bitmap of the ports that `PORTS` has an answer for.
    pub const PORT_BITS: &str = "PORT_BITS";
    /// Owned listeners, exactly.
    pub const LISTENERS: &str = "LISTENERS";
    /// Bitmap of owned processes.
    pub const TGIDS: &str = "TGIDS";
    /// Per-CPU counters and dwell histograms of lives that were only counted.
    pub const TALLY: &str = "TALLY";
    /// The ring of records.
    pub const RING: &str = "RING";
    /// What the fd iterator is to do.
    pub const CONTROL: &str = "CONTROL";
}

/// Programs.
pub mod program {
    /// `tp_btf/inet_sock_set_state`.
    pub const SET_STATE: &str = "set_state";
    /// `tp_btf/inet_sock_set_state` again, where every transition is wanted.
    pub const TRANSITION: &str = "transition";
    /// `tp_btf/tcp_send_reset`.
    pub const SEND_RESET: &str = "send_reset";
    /// `tp_btf/tcp_retransmit_skb`.
    pub const RETRANSMIT: &str = "retransmit";
    /// `tp_btf/sched_process_fork`.
    pub const FORK: &str = "process_fork";
    /// `tp_btf/sched_process_exec`.
    pub const EXEC: &str = "process_exec";
    /// `tp_btf/sched_process_exit`.
    pub const EXIT: &str = "process_exit";
    /// `fentry/tcp_twsk_destructor`, optional.
    pub const TIMEWAIT_END: &str = "timewait_end";
    /// `iter/task_file`.
    pub const FILES: &str = "files";
    /// Does nothing on `inet_sock_set_state`: the floor of the bench.
    pub const EMPTY_SET_STATE: &str = "empty_set_state";
}
