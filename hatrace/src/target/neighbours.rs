//! Who on this host holds the other end of a connection of HAProxy's.

use std::collections::HashMap;

use hatrace_core::ids::Cookie;
use hatrace_core::survey::Neighbour;

use super::proc::{Proc, socket_inodes};

/// The holders of inodes, by a walk through the files of every process; of none where nobody is asked about.
#[must_use]
pub fn neighbours(opposites: &[(Cookie, u64)]) -> Vec<Neighbour> {
    if opposites.is_empty() {
        return Vec::new();
    }
    let mut wanted: HashMap<u64, Vec<Cookie>> = HashMap::new();
    for (cookie, inode) in opposites {
        wanted.entry(*inode).or_default().push(*cookie);
    }
    let mut found = Vec::new();
    for process in Proc::all() {
        for (inode, _) in socket_inodes(process.pid) {
            for cookie in wanted.remove(&inode).into_iter().flatten() {
                found.push(Neighbour {
                    cookie,
                    pid: process.pid,
                    name: process.comm.clone(),
                });
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    found
}
