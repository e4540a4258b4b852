//! Readings of the fd iterator: which sockets HAProxy's processes hold, in whatever network namespace.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use hatrace_common::wire::{FileRow, control};
use hatrace_core::ids::Pid;

use super::load::Loaded;
use super::{bpf, decode};
use crate::ability::Ability;

/// What a reading is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Listeners and closing sockets; nothing is changed.
    Look,
    /// The same, and sockets that are older than hatrace get their records.
    Adopt,
    /// Sockets in every state; nothing is changed.
    Every,
}

/// The links, one a process: made once, read often.
#[derive(Default)]
pub struct Files {
    links: BTreeMap<Pid, OwnedFd>,
    /// This kernel (before 6.1) can't restrict the iterator to a process: one link walks every process of the host.
    whole_host: Option<OwnedFd>,
}

/// One row, and the process as our own `/proc` knows it.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The process.
    pub pid: Pid,
    /// What it holds.
    pub row: FileRow,
}

impl Files {
    /// Reads the files of `pids`, which become HAProxy's for the kernel half by this.
    ///
    /// # Errors
    /// As the kernel says; a process that has gone is no error.
    pub fn read(&mut self, loaded: &mut Loaded, pids: &[Pid], purpose: Purpose) -> io::Result<Vec<Held>> {
        self.links.retain(|pid, _| pids.contains(pid));
        for pid in pids {
            self.link(loaded, *pid)?;
        }
        let adopt = match purpose {
            Purpose::Look => 0,
            Purpose::Adopt => control::ADOPT,
            Purpose::Every => control::EVERY_STATE,
        };
        let mut held = Vec::new();
        if let Some(link) = &self.whole_host {
            set_control(loaded, adopt)?;
            let rows = read_all(link)?;
            // Before 6.1 only the initial pid namespace is supported: numbers agree.
            held.extend(decode::file_rows(&rows).map(|row| Held {
                pid: Pid(row.tgid),
                row,
            }));
            return Ok(held);
        }
        set_control(loaded, adopt | control::OWN)?;
        for (pid, link) in &self.links {
            let rows = read_all(link)?;
            held.extend(decode::file_rows(&rows).map(|row| Held { pid: *pid, row }));
        }
        set_control(loaded, 0)?;
        Ok(held)
    }

    fn link(&mut self, loaded: &mut Loaded, pid: Pid) -> io::Result<()> {
        if self.links.contains_key(&pid) {
            return Ok(());
        }
        if self.whole_host.is_some() {
            loaded.tgids.set(pid.0, true);
            return Ok(());
        }
        let program = loaded.files().map_err(io::Error::other)?;
        if !loaded.abilities.has(Ability::OneProcess) {
            self.whole_host = Some(bpf::link_task_files(program, None)?);
            loaded.tgids.set(pid.0, true);
            return Ok(());
        }
        match bpf::link_task_files(program, Some(pid.0)) {
            Ok(link) => {
                self.links.insert(pid, link);
            }
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn set_control(loaded: &mut Loaded, bits: u32) -> io::Result<()> {
    loaded.control.set(0, bits, 0).map_err(io::Error::other)
}

fn read_all(link: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = bpf::read_iterator(link.as_fd())?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0u8; 256 << 10];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            Err(error) => return Err(error),
        }
    }
}
