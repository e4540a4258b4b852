//! Maps as memory: the kernel's table and the ownership arrays, read and written without a system call an entry.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use hatrace_common::wire::{Life, port, table};

/// A mapped array map.
struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: plain shared memory; every access goes through atomics or volatile reads.
unsafe impl Send for Mapped {}

impl Mapped {
    fn new(map: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let page = rustix::param::page_size();
        let length = length.next_multiple_of(page);
        // SAFETY: a fresh mapping of a map's memory; the kernel refuses lengths beyond it.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map,
                0,
            )?
        };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap gave a null address"))?;
        Ok(Self { start, length })
    }

    /// # Safety
    /// `index` items of `T` lie within the map, and `T` may be any bytes.
    unsafe fn item<T>(&self, index: usize) -> NonNull<T> {
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

/// How large the table of lives is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Home places: a power of two.
    pub homes: u32,
    /// Places of the overflow: a power of two, two buckets at least.
    pub overflow: u32,
}

impl Size {
    /// For so many home places, rounded up.
    #[must_use]
    pub fn of(homes: usize) -> Self {
        let homes = u32::try_from(homes).unwrap_or(u32::MAX).clamp(64, 1 << 22);
        let homes = homes.next_power_of_two();
        Self {
            homes,
            overflow: homes / table::OVERFLOW_PART,
        }
    }

    /// Records in all.
    #[must_use]
    pub const fn records(self) -> u32 {
        self.homes + self.overflow
    }
}

/// The table of lives.
pub struct Table {
    records: Mapped,
    overflow: Mapped,
    size: Size,
}

impl Table {
    /// Maps the two arrays of the table.
    ///
    /// # Errors
    /// As mmap() says.
    pub fn new(records: BorrowedFd<'_>, overflow: BorrowedFd<'_>, size: Size) -> io::Result<Self> {
        Ok(Self {
            records: Mapped::new(records, size.records() as usize * size_of::<Life>())?,
            overflow: Mapped::new(overflow, size.overflow as usize * 8)?,
            size,
        })
    }

    fn slots(&self) -> std::ops::Range<usize> {
        0..self.size.records() as usize
    }

    /// The word that says whose a record is.
    fn cookie(&self, slot: usize) -> &AtomicU64 {
        const _: () = assert!(std::mem::offset_of!(Life, cookie) == 0);
        // SAFETY: `slot` is one of `slots`; the kernel writes the same word atomically.
        unsafe { self.records.item::<Life>(slot).cast().as_ref() }
    }

    fn record(&self, slot: usize) -> Life {
        // SAFETY: `slot` is one of `slots`; any bytes make a `Life`.
        unsafe { self.records.item::<Life>(slot).as_ptr().read_volatile() }
    }

    /// Calls `visit` with each record in use. A record that is being written just now is read again until two
    /// readings agree; one that doesn't settle is left for the next scan, half a state being worse than none.
    pub fn scan(&self, mut visit: impl FnMut(&Life)) {
        for slot in self.slots() {
            if self.cookie(slot).load(Ordering::Acquire) == 0 {
                continue;
            }
            let mut life = self.record(slot);
            for _ in 0..4 {
                let again = self.record(slot);
                if again == life {
                    if life.cookie != 0 && life.state != 0 {
                        visit(&life);
                    }
                    break;
                }
                life = again;
            }
        }
    }

    /// Gives the places of records back that `ghost` knows to be nobody's, and the records.
    pub fn forget(&self, ghost: impl Fn(&Life) -> bool) -> Vec<Life> {
        let mut forgotten = Vec::new();
        for slot in self.slots() {
            let record = self.record(slot);
            if record.cookie == 0 || !ghost(&record) {
                continue;
            }
            // If the place has been taken anew meanwhile, the exchange fails.
            let mine = self
                .cookie(slot)
                .compare_exchange(record.cookie, 0, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
            if mine {
                self.leave_overflow(slot, record.cookie);
                forgotten.push(record);
            }
        }
        forgotten
    }

    fn leave_overflow(&self, slot: usize, cookie: u64) {
        let Some(place) = slot.checked_sub(self.size.homes as usize) else {
            return;
        };
        // SAFETY: a record beyond the homes has its word in the overflow.
        let word = unsafe { self.overflow.item::<AtomicU64>(place).as_ref() };
        let _ = word.compare_exchange(cookie, 0, Ordering::AcqRel, Ordering::Acquire);
    }
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
