//! A process of HAProxy's forked: the child is HAProxy's from its first socket on.
//!
//! match-proto: include/trace/events/sched.h: sched_process_fork(struct task_struct *parent, struct task_struct *child)

use aya_ebpf::cty::c_void;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use hatrace_common::wire::{Process, kind, process};

use crate::clock::now;
use crate::fields::{task_pid, task_tgid};
use crate::ring::put_other;
use crate::scope::{owned, set_owned};

#[btf_tracepoint(function = "sched_process_fork")]
pub fn process_fork(ctx: BtfTracePointContext) -> i32 {
    let parent: *mut c_void = ctx.arg(0);
    let child: *mut c_void = ctx.arg(1);
    let (tgid, forker) = (task_tgid(child), task_tgid(parent));
    // A thread shares its process's number.
    if task_pid(child) != tgid || !owned(forker) {
        return 0;
    }
    set_owned(tgid, true);
    put_other(&Process {
        kind: kind::PROCESS,
        what: process::BORN,
        at: now(),
        tgid,
        parent: forker,
    });
    0
}
