//! The few bpf() calls that aya 0.14 has no words for: an array to be mapped, an iterator over one process's files, and how
//! often the kernel refused to run a program.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_BTF_LOAD: libc::c_int = 18;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;
const BPF_TRACE_ITER: u32 = 28;
const BPF_MAP_TYPE_ARRAY: u32 = 2;

fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<i32> {
    // SAFETY: `attr` is a live structure laid out as the command's part of `union bpf_attr`, and its true size is passed.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(i32::try_from(result).unwrap_or(-1))
    }
}

fn own(fd: i32) -> OwnedFd {
    // SAFETY: a descriptor the kernel has just made for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The least BTF that describes an array of structures of `size` bytes: an integer as its key, a structure without members as its value
/// (`include/uapi/linux/btf.h`).
fn array_btf(size: u32) -> Vec<u8> {
    const INT: u32 = 1 << 24;
    const STRUCT: u32 = 4 << 24;
    let strings = b"\0u32\0value\0";
    let types = [1, INT, 4, 32, 5, STRUCT, size];
    let types: Vec<u8> = types.into_iter().flat_map(u32::to_ne_bytes).collect();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
    let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    let header = [24, 0, length(&types), length(&types), length(strings)];
    bytes.extend(header.into_iter().flat_map(u32::to_ne_bytes));
    bytes.extend(types);
    bytes.extend(strings);
    bytes
}

fn load_btf(bytes: &[u8]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct BtfLoad {
        bytes: u64,
        log: u64,
        length: u32,
        log_length: u32,
    }
    let mut attr = BtfLoad {
        bytes: bytes.as_ptr() as u64,
        log: 0,
        length: u32::try_from(bytes.len()).unwrap_or(0),
        log_length: 0,
    };
    bpf(BPF_BTF_LOAD, &mut attr).map(own)
}

/// An array map of its own, of `entries` structures of `size` bytes. It has BTF because what it is to be put into has been declared with
/// it: up to 6.2 the kernel takes "no timer in there" and "nobody knows" for different.
///
/// # Errors
/// As the kernel says.
pub fn create_array(size: usize, entries: u32, flags: u32) -> io::Result<OwnedFd> {
    let size = u32::try_from(size).map_err(io::Error::other)?;
    let btf = load_btf(&array_btf(size))?;
    // Type, sizes, entries, flags; inner map, node, name and device: none; BTF and its two types.
    let mut attr = [0u32; 15];
    attr[..5].copy_from_slice(&[BPF_MAP_TYPE_ARRAY, 4, size, entries, flags]);
    attr[12..].copy_from_slice(&[btf.as_raw_fd().cast_unsigned(), 1, 2]);
    bpf(BPF_MAP_CREATE, &mut attr).map(own)
}

/// `union bpf_iter_link_info`, its `task` part.
#[repr(C)]
struct TaskInfo {
    tid: u32,
    pid: u32,
    pid_fd: u32,
    zero: u32,
}

#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    iter_info: u64,
    iter_info_len: u32,
    zero: u32,
}

/// A link of a `task_file` iterator to the files of one process, as `pid` is known in our own pid namespace; `None`: of all.
///
/// # Errors
/// `EINVAL` on kernels before 6.1, which know no such restriction.
pub fn link_task_files(program: BorrowedFd<'_>, pid: Option<u32>) -> io::Result<OwnedFd> {
    let info = TaskInfo {
        tid: 0,
        pid: pid.unwrap_or(0),
        pid_fd: 0,
        zero: 0,
    };
    let mut attr = LinkCreate {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_fd: 0,
        attach_type: BPF_TRACE_ITER,
        flags: 0,
        iter_info: if pid.is_some() {
            std::ptr::from_ref(&info) as u64
        } else {
            0
        },
        iter_info_len: if pid.is_some() { 16 } else { 0 },
        zero: 0,
    };
    bpf(BPF_LINK_CREATE, &mut attr).map(own)
}

/// One reading of a linked iterator.
///
/// # Errors
/// As the kernel says.
pub fn read_iterator(link: BorrowedFd<'_>) -> io::Result<File> {
    let mut attr = [link.as_raw_fd().cast_unsigned(), 0];
    bpf(BPF_ITER_CREATE, &mut attr).map(|fd| File::from(own(fd)))
}

/// What `struct bpf_prog_info` says of a loaded program.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProgramFigures {
    /// Times the kernel didn't run it because it was already running on that CPU.
    pub missed: u64,
    /// Instructions that the verifier has looked at to allow it; 0 before Linux 5.16, which doesn't tell.
    pub verified: u32,
}

/// Asks for a program's figures.
///
/// # Errors
/// As the kernel says.
pub fn program_figures(program: BorrowedFd<'_>) -> io::Result<ProgramFigures> {
    /// `struct bpf_prog_info` is longer; what we don't ask for we don't get.
    const LENGTH: usize = 232;
    const RECURSION_MISSES: usize = 208;
    const VERIFIED_INSNS: usize = 216;
    #[repr(C)]
    struct InfoByFd {
        fd: u32,
        length: u32,
        info: u64,
    }
    let mut info = [0u8; LENGTH];
    let mut attr = InfoByFd {
        fd: program.as_raw_fd().cast_unsigned(),
        length: u32::try_from(LENGTH).unwrap_or(0),
        info: info.as_mut_ptr() as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    let eight = |at: usize| u64::from_ne_bytes(info[at..at + 8].try_into().unwrap_or_default());
    Ok(ProgramFigures {
        missed: eight(RECURSION_MISSES),
        verified: u32::from_ne_bytes(
            info[VERIFIED_INSNS..VERIFIED_INSNS + 4]
                .try_into()
                .unwrap_or_default(),
        ),
    })
}
