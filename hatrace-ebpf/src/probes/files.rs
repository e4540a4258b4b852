//! The fds of owned processes, read on demand: which sockets HAProxy holds right now, in any network namespace.
//!
//! match-proto: kernel/bpf/task_iter.c: bpf_iter_task_file { struct bpf_iter_meta *meta; struct task_struct *task; u32 fd; struct file *file; }
//!
//! It is also the adoption: a socket older than hatrace gets its record here. A transition that runs at the same time on
//! another CPU may have looked for that record just before; so the state is read again afterwards.

use aya_ebpf::bindings::{file, seq_file, socket};
use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::bpf_sock_from_file;
use aya_ebpf::helpers::generated::bpf_seq_write;
use hatrace_common::wire::{Ends, FileRow, control, flag, side};

use crate::fields::{
    CLOSE, CLOSING, ESTABLISHED, FIN_WAIT1, LISTEN, Ptr, SYN_SENT, ends, file_inode, inode_ino, netns,
    sk_family, sk_state, socket_sk, task_pid, task_tgid,
};
use crate::life::{enter, make};
use crate::maps::CONTROL;
use crate::scope::{accepted, cookie, count_mptcp, is_mptcp, owned, plain_tcp, set_owned};
use crate::table::find;

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub extern "C" fn files(raw: *mut u64) -> i32 {
    // SAFETY: the context of this iterator: meta, task, fd, file; the verifier checks each.
    let (meta, task, fd, open) = unsafe {
        (
            *raw as Ptr,
            *raw.add(1) as Ptr,
            *raw.add(2).cast::<u32>(),
            *raw.add(3) as *mut file,
        )
    };
    if task.is_null() || open.is_null() {
        return 0;
    }
    let Some(todo) = CONTROL.get_ptr(0) else { return 0 };
    // SAFETY: a map value.
    let todo = unsafe { *todo };
    let tgid = task_tgid(task);
    if !owned(tgid) {
        if todo & control::OWN == 0 {
            return 0;
        }
        set_owned(tgid, true);
    }
    // SAFETY: a file the iterator holds; null where it isn't a socket's.
    let socket: *mut socket = unsafe { bpf_sock_from_file(open) };
    if socket.is_null() {
        return 0;
    }
    let sk = socket_sk(socket.cast()) as *mut c_void;
    if sk.is_null() || !matches!(sk_family(sk), 2 | 10) {
        return 0;
    }
    if !plain_tcp(sk) {
        if todo & control::ADOPT != 0 && is_mptcp(sk) {
            count_mptcp();
        }
        return 0;
    }
    let state = sk_state(sk) as i32;
    let wanted = matches!(state, SYN_SENT | LISTEN | CLOSE) || (state >= FIN_WAIT1 && state <= CLOSING);
    if !wanted && todo & (control::EVERY_STATE | control::ADOPT) == 0 {
        // Nearly all of them, at every sweep.
        return 0;
    }
    let side = accepted(sk).unwrap_or(side::SERVER);
    let record = if todo & control::ADOPT != 0 && state != LISTEN {
        adopt(sk, tgid, side, state)
    } else {
        0
    };
    if !wanted && todo & control::EVERY_STATE == 0 {
        return 0;
    }
    let mut row = FileRow {
        cookie: cookie(sk),
        inode: inode_ino(file_inode(open as Ptr)),
        tgid,
        fd,
        netns: netns(sk),
        state: state as u8,
        side,
        record,
        zero: 0,
        ends: Ends::default(),
        tid: task_pid(task),
        unused: 0,
    };
    ends(sk, &mut row.ends);
    // SAFETY: the seq_file of this iterator; the length is the row's.
    unsafe {
        let seq = *(meta as *const *mut seq_file);
        bpf_seq_write(
            seq,
            (&raw const row).cast_mut().cast(),
            size_of::<FileRow>() as u32,
        );
    }
    0
}

/// Makes a record for a socket that has none and needs one: an active socket at any time (its owner is not tellable later), a
/// passive one when it is closing.
#[inline(always)]
fn adopt(sk: *mut c_void, tgid: u32, side: u8, state: i32) -> u8 {
    let closing = (FIN_WAIT1..=CLOSING).contains(&state) && state != CLOSE;
    let active = side == side::SERVER && matches!(state, SYN_SENT | ESTABLISHED);
    if !closing && !active {
        return 0;
    }
    let own = cookie(sk);
    if find(own).is_some() {
        return 1;
    }
    let Some(life) = make(sk, side, own) else {
        return 3;
    };
    life.flags = flag::ADOPTED;
    life.tgid = tgid;
    life.steps = 0;
    if closing {
        life.first = state as u8;
    }
    enter(life, state);
    if sk_state(sk) as i32 == CLOSE
        && let Some((slot, life)) = find(own)
    {
        slot.free(life);
    }
    2
}
