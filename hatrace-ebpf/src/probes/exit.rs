//! A process of HAProxy's exits. Its sockets are closed right after this: their ends are told under their own records.
//!
//! match-proto: include/trace/events/sched.h: sched_process_exit(struct task_struct *p, ...)

use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hatrace_common::wire::{Process, kind, process};

use crate::clock::now;
use crate::fields::{task_pid, task_tgid};
use crate::ring::put_other;
use crate::scope::{owned, set_owned};

#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(ctx: BtfTracePointContext) -> i32 {
    let task: *mut c_void = ctx.arg(0);
    let tgid = task_tgid(task);
    // Its threads exit one by one; the first of them stands for the process.
    if task_pid(task) != tgid || !owned(tgid) {
        return 0;
    }
    set_owned(tgid, false);
    put_other(&Process {
        kind: kind::PROCESS,
        what: process::ENDED,
        at: now(),
        tgid,
        parent: 0,
    });
    0
}
