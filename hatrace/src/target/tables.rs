//! The fd tables of a process. One, shared by all its threads, unless HAProxy was told `tune.fd.tables per-thread-group` (3.5): then the
//! threads of each group but the first have another, and the same number is another file there.

use std::collections::BTreeMap;

use hatrace_core::ids::{FdTable, Pid};

/// Which table each of these threads uses, numbered in the order of thread ids: HAProxy starts its groups' threads in that order.
#[must_use]
pub fn tables(pid: Pid, threads: &[u32]) -> BTreeMap<u32, FdTable> {
    // One thread for each table that is known: its first.
    let mut firsts: Vec<u32> = vec![pid.0];
    let mut found = BTreeMap::from([(pid.0, FdTable::FIRST)]);
    let mut threads = threads.to_vec();
    threads.sort_unstable();
    for thread in threads {
        if found.contains_key(&thread) {
            continue;
        }
        let known = firsts.iter().position(|first| share(*first, thread));
        let index = known.unwrap_or_else(|| {
            firsts.push(thread);
            firsts.len() - 1
        });
        found.insert(thread, FdTable(u32::try_from(index).unwrap_or(0) + 1));
    }
    found
}

/// Every thread of a process.
#[must_use]
pub fn threads(pid: Pid) -> Vec<u32> {
    std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether two threads use the same table (`kcmp(2)`). A kernel that can't say is taken to share, as threads do.
fn share(one: u32, other: u32) -> bool {
    const KCMP_FILES: libc::c_int = 2;
    // SAFETY: numbers only.
    let compared = unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_FILES, 0, 0) };
    compared <= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_with_a_table_of_its_own_is_told_from_one_that_shares() {
        let own = Pid(std::process::id());
        // SAFETY: no pointers.
        let gettid = || unsafe { u32::try_from(libc::gettid()).expect("a thread id") };
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let (end_other, ended_other) = std::sync::mpsc::channel::<()>();
        let tell_other = tell.clone();
        let sharing = std::thread::spawn(move || {
            tell_other.send(("shares", gettid())).expect("told");
            let _ = ended_other.recv();
        });
        let apart = std::thread::spawn(move || {
            // SAFETY: concerns this thread's descriptors alone.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
            tell.send(("apart", gettid())).expect("told");
            let _ = ended.recv();
        });
        let both: BTreeMap<&str, u32> = told.iter().take(2).collect();
        let found = tables(own, &threads(own));
        assert_eq!(found[&both["shares"]], FdTable::FIRST);
        assert_ne!(found[&both["apart"]], FdTable::FIRST);
        drop((end, end_other));
        sharing.join().expect("ended");
        apart.join().expect("ended");
    }
}
