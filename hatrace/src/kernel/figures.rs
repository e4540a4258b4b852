//! The kernel half's counters and histograms, summed over the CPUs.

use std::time::Duration;

use aya::maps::{MapData, PerCpuArray};
use hatrace_common::wire::{count, dwell};
use hatrace_core::input::{Counts, ShortDwell};
use hatrace_core::sock::{BySide, Side};
use hatrace_core::tcp::TcpState;

use super::decode;

/// The counter block, as aya reads it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Block([u64; count::SIZE]);

// SAFETY: integers.
unsafe impl aya::Pod for Block {}

/// Readers of both maps.
pub struct Figures {
    counts: PerCpuArray<MapData, Block>,
    dwell: PerCpuArray<MapData, u64>,
    /// Counters at the last reading: nothing short has ended since if they are the same, so the histograms are too.
    last: Option<[u64; count::SIZE]>,
    short: Vec<ShortDwell>,
}

impl Figures {
    /// Over the two maps of a loaded object.
    #[must_use]
    pub const fn new(counts: PerCpuArray<MapData, Block>, dwell: PerCpuArray<MapData, u64>) -> Self {
        Self {
            counts,
            dwell,
            last: None,
            short: Vec::new(),
        }
    }

    /// Reads the counters; the histograms too when `histograms` (it is a call for each of a thousand cells).
    pub fn read(&mut self, histograms: bool) -> Counts {
        let mut sum = [0u64; count::SIZE];
        if let Ok(blocks) = self.counts.get(&0, 0) {
            for block in blocks.iter() {
                for (total, one) in sum.iter_mut().zip(block.0) {
                    *total += one;
                }
            }
        }
        if histograms && self.last != Some(sum) {
            self.short = self.histograms();
            self.last = Some(sum);
        }
        counts(&sum, self.short.clone())
    }

    fn histograms(&self) -> Vec<ShortDwell> {
        let mut cells = Vec::new();
        for side in 0..4 {
            for index in 0..dwell::STATES {
                let Some(state) = dwell::state_of(index).and_then(TcpState::from_kernel) else {
                    continue;
                };
                for bucket in 0..dwell::BUCKETS {
                    let cell = (side * dwell::STATES + index) * dwell::BUCKETS + bucket;
                    let Ok(values) = self.dwell.get(&cell, 0) else {
                        continue;
                    };
                    let count: u64 = values.iter().sum();
                    if count > 0 {
                        let (low, high) = dwell::bounds(bucket);
                        cells.push(ShortDwell {
                            side: decode::side(u8::try_from(side).unwrap_or(3)),
                            state,
                            low: Duration::from_micros(low),
                            high: Duration::from_micros(high),
                            count,
                        });
                    }
                }
            }
        }
        cells
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
