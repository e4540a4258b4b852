//! The kernel half's counters and histograms, summed over the CPUs: one call for all of both.

use std::time::Duration;

use aya::maps::{MapData, PerCpuArray};
use hatrace_common::wire::{Tally, count, dwell};
use hatrace_core::input::{Counts, ShortDwell};
use hatrace_core::sock::{BySide, Side};
use hatrace_core::tcp::TcpState;

use super::decode;

/// [`Tally`], as aya reads it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Block(Tally);

// SAFETY: integers, no padding.
unsafe impl aya::Pod for Block {}

/// The reader of the blocks of all CPUs.
pub struct Figures {
    tally: PerCpuArray<MapData, Block>,
    /// The cells of each CPU's histograms when last read.
    before: Vec<[u32; dwell::SIZE]>,
    /// Sums of what the cells have grown by.
    grown: Box<[u64; dwell::SIZE]>,
}

impl Figures {
    /// Over the map of a loaded object.
    #[must_use]
    pub fn new(tally: PerCpuArray<MapData, Block>) -> Self {
        Self {
            tally,
            before: Vec::new(),
            grown: Box::new([0; dwell::SIZE]),
        }
    }

    /// Reads the counters, and what short lives came to.
    pub fn read(&mut self) -> Counts {
        let mut sum = [0u64; count::SIZE];
        if let Ok(blocks) = self.tally.get(&0, 0) {
            self.before.resize(blocks.len(), [0; dwell::SIZE]);
            for (block, before) in blocks.iter().zip(&mut self.before) {
                for (total, one) in sum.iter_mut().zip(block.0.counts) {
                    *total += one;
                }
                for ((grown, cell), before) in self.grown.iter_mut().zip(block.0.dwell).zip(before) {
                    *grown += u64::from(cell.wrapping_sub(*before));
                    *before = cell;
                }
            }
        }
        counts(&sum, self.histograms())
    }

    fn histograms(&self) -> Vec<ShortDwell> {
        let of_cell = |(cell, count): (u32, &u64)| {
            let (place, bucket) = (cell / dwell::BUCKETS, cell % dwell::BUCKETS);
            let state = dwell::state_of(place % dwell::STATES).and_then(TcpState::from_kernel)?;
            let (low, high) = dwell::bounds(bucket);
            (*count > 0).then(|| ShortDwell {
                side: decode::side(u8::try_from(place / dwell::STATES).unwrap_or(3)),
                state,
                low: Duration::from_micros(low),
                high: Duration::from_micros(high),
                count: *count,
            })
        };
        (0..).zip(self.grown.iter()).filter_map(of_cell).collect()
    }
}

fn counts(sum: &[u64; count::SIZE], short: Vec<ShortDwell>) -> Counts {
    let by_side = |first: usize| {
        let mut all = BySide::default();
        for side in Side::ALL {
            all.set(side, sum[first + usize::from(decode::side_number(side))]);
        }
        all
    };
    Counts {
        seen: by_side(count::SEEN),
        counted: by_side(count::COUNTED),
        delivered: by_side(count::DELIVERED),
        lost: by_side(count::LOST),
        table_full: by_side(count::TABLE_FULL),
        open: BySide::default(),
        lost_other: sum[count::LOST_OTHER],
        transitions: sum[count::TRANSITIONS],
        missed_runs: 0,
        reset_by_peer: by_side(count::RESET_BY_PEER),
        reset_by_haproxy: by_side(count::RESET_BY_HAPROXY),
        timewait_begun: by_side(count::TIMEWAIT),
        mptcp: sum[count::MPTCP],
        short,
    }
}
