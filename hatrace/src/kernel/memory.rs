//! Maps as memory: read and written without a system call an entry.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use hatrace_common::wire::port;

/// A mapped array map.
pub(super) struct Mapped {
    start: NonNull<u8>,
    length: usize,
    /// The mapping would do; what the map takes is told of open descriptors only.
    _map: OwnedFd,
}

// SAFETY: plain shared memory; every access goes through atomics or volatile reads.
unsafe impl Send for Mapped {}

impl Mapped {
    pub(super) fn new(map: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let owned = map.try_clone_to_owned()?;
        let page = rustix::param::page_size();
        let length = length.next_multiple_of(page);
        // SAFETY: a fresh mapping of a map's memory; the kernel refuses lengths beyond it.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                // At once: page by page, a first scan would take ten times as long.
                MapFlags::SHARED | MapFlags::POPULATE,
                map,
                0,
            )?
        };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap gave a null address"))?;
        Ok(Self {
            start,
            length,
            _map: owned,
        })
    }

    /// # Safety
    /// `index` items of `T` lie within the map, and `T` may be any bytes.
    pub(super) unsafe fn item<T>(&self, index: usize) -> NonNull<T> {
        debug_assert!((index + 1) * size_of::<T>() <= self.length, "beyond the map");
        // SAFETY: by the caller.
        unsafe { self.start.cast::<T>().add(index) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: our own mapping, nobody holds a reference into it.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// What the kernel keeps for the maps that this process has open, in bytes (`/proc/self/fdinfo`: `memlock`).
#[must_use]
pub fn of_maps() -> Option<u64> {
    let mut maps = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").ok()?.flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let number = |key: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().parse().ok()
        };
        if let (Some(id), Some(bytes)) = (number("map_id:"), number("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    (!maps.is_empty()).then(|| maps.values().sum())
}

/// A bitmap in an array of words.
pub struct Bits {
    map: Mapped,
    words: usize,
}

impl Bits {
    /// Maps an array of so many words.
    ///
    /// # Errors
    /// As mmap() says.
    pub fn new(map: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        let map = Mapped::new(map, words * 8)?;
        Ok(Self { map, words })
    }

    /// Sets a bit, or clears it; one beyond the map is let go.
    pub fn set(&self, bit: u32, to: bool) {
        let index = (bit >> 6) as usize;
        if index >= self.words {
            return;
        }
        // SAFETY: below the words of the map.
        let word = unsafe { self.map.item::<AtomicU64>(index).as_ref() };
        let bit = 1 << (bit & 63);
        if to {
            word.fetch_or(bit, Ordering::AcqRel);
        } else {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }
}

/// The listening ports: an answer for each, and a bit where there is one.
pub struct Ports {
    answers: Mapped,
    bits: Bits,
}

impl Ports {
    /// Maps both.
    ///
    /// # Errors
    /// As mmap() says.
    pub fn new(answers: BorrowedFd<'_>, bits: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self {
            answers: Mapped::new(answers, 65536 * 8)?,
            bits: Bits::new(bits, 65536 / 64)?,
        })
    }

    /// Sets the answer for a port: see `hatrace_common::wire::port`.
    pub fn set(&self, number: u16, answer: u64) {
        // SAFETY: one of 65536 words.
        unsafe { self.answers.item::<AtomicU64>(usize::from(number)).as_ref() }
            .store(answer, Ordering::Release);
        self.bits.set(u32::from(number), answer != port::NONE);
    }
}
