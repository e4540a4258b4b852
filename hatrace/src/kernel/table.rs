//! The kernel half's table of lives as memory, and its growth.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::{ArrayOfMaps, MapData};
use hatrace_common::wire::{Bucket, Life, table};

use super::bpf;
use super::memory::Mapped;

/// Home places in a page of the table.
const PAGE: u32 = 1 << table::RUN_BITS;
/// Places in a bucket of the overflow.
const PLACES: usize = 8;

/// So many more lives may begin and stay between one scan and the next: half a second of a crowd that comes back all at once.
const BURST: usize = 8192;

/// How large the table of lives is at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Home places, in pages of 64.
    pub pages: u32,
    /// Whether more levels may be made than the first.
    pub grows: bool,
}

impl Size {
    /// For so many home places, rounded up.
    #[must_use]
    pub fn of(homes: usize, grows: bool) -> Self {
        let homes = u32::try_from(homes).unwrap_or(u32::MAX).max(PAGE);
        Self {
            pages: homes.div_ceil(PAGE).min(table::MOST_PAGES),
            grows,
        }
    }

    /// Room for what HAProxy has open: its sockets fill half of the home places, and a crowd that comes finds room besides.
    #[must_use]
    pub fn for_open(files: usize) -> Self {
        const MOST: usize = 1 << 19;
        Self::of(
            (2 * BURST).saturating_add(files.saturating_mul(2)).min(MOST),
            true,
        )
    }

    /// Records at home.
    #[must_use]
    pub const fn homes(self) -> u32 {
        self.pages * PAGE
    }

    /// So many more lives may begin before the next scan. Only a table that was made small on purpose, to see it grow, expects fewer.
    fn burst(self) -> usize {
        BURST.min(self.homes() as usize * PLACES)
    }

    /// Buckets of a level.
    #[must_use]
    pub const fn buckets(self, level: u32) -> u32 {
        2 * table::pairs(self.pages, level)
    }
}

/// The outer map.
pub type Levels = ArrayOfMaps<MapData, MapData>;

struct Level {
    memory: Mapped,
    buckets: usize,
}

/// A record's place.
#[derive(Clone, Copy)]
enum Place {
    Home(usize),
    Overflow {
        level: usize,
        bucket: usize,
        place: usize,
    },
}

/// The table of lives.
pub struct Table {
    records: Mapped,
    outer: Levels,
    levels: Vec<Level>,
    size: Size,
}

impl Table {
    /// Maps the records at home, and makes the overflow's first level.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn new(records: BorrowedFd<'_>, outer: Levels, size: Size) -> io::Result<Self> {
        let mut this = Self {
            records: Mapped::new(records, size.homes() as usize * size_of::<Life>())?,
            outer,
            levels: Vec::new(),
            size,
        };
        this.add_level()?;
        Ok(this)
    }

    fn add_level(&mut self) -> io::Result<()> {
        let level = u32::try_from(self.levels.len()).unwrap_or(u32::MAX);
        let buckets = self.size.buckets(level);
        let map = bpf::create_array(size_of::<Bucket>(), buckets, table::LEVEL_FLAGS)?;
        let memory = Mapped::new(map.as_fd(), buckets as usize * size_of::<Bucket>())?;
        let map = MapData::from_fd(map).map_err(io::Error::other)?;
        self.outer.set(level, &map, 0).map_err(io::Error::other)?;
        self.levels.push(Level {
            memory,
            buckets: buckets as usize,
        });
        Ok(())
    }

    /// Makes more levels where `used` lives, and those that may come before the next scan, would fill three fifths of the places that count.
    ///
    /// # Errors
    /// As the kernel says: it may have no memory for it.
    pub fn grow(&mut self, used: usize) -> io::Result<()> {
        let soon = used + self.size.burst();
        while self.size.grows && self.levels.len() < table::LEVELS as usize && soon * 5 > self.room() * 3 {
            self.add_level()?;
        }
        Ok(())
    }

    /// Places that count: the first level is for those that are in each other's way, not for more.
    fn room(&self) -> usize {
        let more = self.levels.iter().skip(1).map(|level| level.buckets * PLACES);
        self.size.homes() as usize + more.sum::<usize>()
    }

    fn record_at(&self, place: Place) -> *mut Life {
        match place {
            // SAFETY: one of the home places.
            Place::Home(index) => unsafe { self.records.item::<Life>(index).as_ptr() },
            Place::Overflow { level, bucket, place } => {
                // SAFETY: a bucket of the level, and one of its eight places.
                unsafe {
                    let bucket = self.levels[level].memory.item::<Bucket>(bucket).as_ptr();
                    (&raw mut (*bucket).lives).cast::<Life>().add(place)
                }
            }
        }
    }

    /// The word that says whose a record is.
    fn cookie(&self, place: Place) -> &AtomicU64 {
        const _: () = assert!(std::mem::offset_of!(Life, cookie) == 0);
        // SAFETY: a record of the table; the kernel writes the same word atomically.
        unsafe { &*self.record_at(place).cast::<AtomicU64>() }
    }

    /// The word that says the same in the bucket of a place of the overflow.
    fn word(&self, level: usize, bucket: usize, place: usize) -> &AtomicU64 {
        const _: () = assert!(std::mem::offset_of!(Bucket, cookies) == 0);
        // SAFETY: a bucket of the level, and one of its eight places.
        unsafe {
            let words = self.levels[level]
                .memory
                .item::<Bucket>(bucket)
                .cast::<AtomicU64>();
            words.add(place).as_ref()
        }
    }

    fn record(&self, place: Place) -> Life {
        // SAFETY: a record of the table; any bytes make a `Life`.
        unsafe { self.record_at(place).read_volatile() }
    }

    /// Every place in use.
    fn used(&self) -> impl Iterator<Item = Place> {
        let homes = (0..self.size.homes() as usize).map(Place::Home);
        let homes = homes.filter(|place| self.cookie(*place).load(Ordering::Acquire) != 0);
        let overflow = self.levels.iter().enumerate().flat_map(move |(level, of)| {
            let places = (0..of.buckets).flat_map(|bucket| (0..PLACES).map(move |place| (bucket, place)));
            places
                .filter(move |(bucket, place)| self.word(level, *bucket, *place).load(Ordering::Acquire) != 0)
                .map(move |(bucket, place)| Place::Overflow { level, bucket, place })
        });
        homes.chain(overflow)
    }

    /// Calls `visit` with each record in use; says how many. A record that is being written just now is read again until two
    /// readings agree; one that doesn't settle is left for the next scan, half a state being worse than none.
    pub fn scan(&self, mut visit: impl FnMut(&Life)) -> usize {
        let mut used = 0;
        for place in self.used() {
            used += 1;
            let mut life = self.record(place);
            for _ in 0..4 {
                let again = self.record(place);
                if again == life {
                    if life.cookie != 0 && life.state != 0 {
                        visit(&life);
                    }
                    break;
                }
                life = again;
            }
        }
        used
    }

    /// Gives the places of records back that `ghost` knows to be nobody's, and the records.
    pub fn forget(&self, ghost: impl Fn(&Life) -> bool) -> Vec<Life> {
        let mut forgotten = Vec::new();
        for place in self.used() {
            let record = self.record(place);
            // If the place has been taken anew meanwhile, the exchange fails.
            if record.cookie == 0 || !ghost(&record) || !cleared(self.cookie(place), record.cookie) {
                continue;
            }
            if let Place::Overflow { level, bucket, place } = place {
                cleared(self.word(level, bucket, place), record.cookie);
            }
            forgotten.push(record);
        }
        forgotten
    }
}

fn cleared(word: &AtomicU64, from: u64) -> bool {
    word.compare_exchange(from, 0, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_pages_and_pairs() {
        let small = Size::of(1, false);
        assert_eq!((small.homes(), small.buckets(0)), (64, 2));
        let common = Size::for_open(0);
        assert_eq!(common.homes(), 16_384);
        let places = |level| common.buckets(level) as usize * PLACES;
        assert_eq!([0, 1, 2, 3].map(places), [4_096, 16_384, 32_768, 65_536]);
        let vast = Size::of(usize::MAX, true);
        // The last place of the last level has a number of its own: 28 bits for bucket and place.
        assert!(
            u64::from(vast.buckets(table::LEVELS - 1)) * 8 <= 1 << 28,
            "{vast:?}"
        );
    }

    #[test]
    fn what_is_open_takes_no_more_memory_than_is_promised() {
        let bytes = |files| {
            let size = Size::for_open(files);
            size.homes() as usize * size_of::<Life>() + size.buckets(0) as usize * size_of::<Bucket>()
        };
        assert!(bytes(100_000) - bytes(0) <= 200 * 100_000);
    }
}
