//! A process of HAProxy's executes a program. A master that re-executes itself stays HAProxy's; an external check or a
//! `program` section's child doesn't.
//!
//! match-proto: include/trace/events/sched.h: sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)

use aya_ebpf::Global;
use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hatrace_common::wire::{Process, kind, process};

use crate::clock::now;
use crate::fields::{comm, task_tgid};
use crate::ring::put_other;
use crate::scope::{owned, set_owned};

/// The first half of HAProxy's process name (`/proc/PID/comm`), as eight little-endian bytes.
#[unsafe(no_mangle)]
static COMM_LOW: Global<u64> = Global::new(0);
/// The second half.
#[unsafe(no_mangle)]
static COMM_HIGH: Global<u64> = Global::new(0);

#[btf_tracepoint(function = "sched_process_exec")]
pub fn process_exec(ctx: BtfTracePointContext) -> i32 {
    let task: *mut c_void = ctx.arg(0);
    let tgid = task_tgid(task);
    if !owned(tgid) {
        return 0;
    }
    let name = comm(task);
    let half = |at: usize| {
        let mut word = 0u64;
        let mut i = 0;
        while i < 8 {
            word |= (name[at + i] as u64) << (8 * i);
            i += 1;
        }
        word
    };
    if half(0) == COMM_LOW.load() && half(8) == COMM_HIGH.load() {
        return 0;
    }
    set_owned(tgid, false);
    put_other(&Process {
        kind: kind::PROCESS,
        what: process::LEFT,
        at: now(),
        tgid,
        parent: 0,
    });
    0
}
