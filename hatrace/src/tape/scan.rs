//! Scans told by what has changed: four times a second the table says the same of nearly every life in it.

use std::collections::HashMap;

use hatrace_core::ids::Cookie;
use hatrace_core::life::Life;

use super::lines::Run;

/// The last scan, as both ends of a recording know it. It begins empty with each member.
#[derive(Debug, Default)]
pub struct Scans {
    last: Vec<Life>,
    places: HashMap<Cookie, usize>,
}

impl Scans {
    /// A scan, beside the one before.
    pub fn shorten(&mut self, lives: Vec<Life>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for life in &lives {
            let same = self.places.get(&life.cookie).copied();
            match (same.filter(|place| self.last[*place] == *life), runs.last_mut()) {
                (Some(place), Some(Run::Same(from, count))) if *from + *count == place => *count += 1,
                (Some(place), _) => runs.push(Run::Same(place, 1)),
                (None, _) => runs.push(Run::New(life.clone())),
            }
        }
        self.keep(lives);
        runs
    }

    /// The scan that such runs tell; `None`: they tell of one that isn't known.
    pub fn restore(&mut self, runs: Vec<Run>) -> Option<Vec<Life>> {
        let mut lives = Vec::new();
        for run in runs {
            match run {
                Run::Same(from, count) => {
                    lives.extend_from_slice(self.last.get(from..from.checked_add(count)?)?);
                }
                Run::New(life) => lives.push(life),
            }
        }
        self.last.clone_from(&lives);
        Some(lives)
    }

    fn keep(&mut self, lives: Vec<Life>) {
        self.places = lives
            .iter()
            .enumerate()
            .map(|(place, life)| (life.cookie, place))
            .collect();
        self.last = lives;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hatrace_core::ids::Netns;
    use hatrace_core::sock::Side;

    fn life(cookie: u64, retransmits: u32) -> Life {
        Life {
            cookie: Cookie(cookie),
            side: Side::Client,
            netns: Netns(1),
            pid: None,
            connecting_at: None,
            established_at: None,
            closing: None,
            second: None,
            orphaned_at: None,
            retransmits,
            reset_sent: false,
            adopted: false,
        }
    }

    #[test]
    fn a_scan_comes_back_in_its_order_and_says_only_what_is_new() {
        let scans = [
            vec![life(1, 0), life(2, 0), life(3, 0)],
            vec![life(1, 0), life(2, 0), life(3, 0)],
            vec![life(4, 0), life(2, 0), life(3, 7), life(1, 0)],
            vec![],
        ];
        let (mut from, mut to) = (Scans::default(), Scans::default());
        let mut lengths = Vec::new();
        for scan in scans {
            let runs = from.shorten(scan.clone());
            lengths.push(runs.len());
            assert_eq!(to.restore(runs), Some(scan));
        }
        assert_eq!(lengths, [3, 1, 4, 0]);
    }

    #[test]
    fn what_was_never_told_is_not_made_up() {
        let mut scans = Scans::default();
        assert_eq!(scans.restore(vec![Run::Same(0, 1)]), None);
        assert_eq!(scans.restore(vec![Run::Same(usize::MAX, usize::MAX)]), None);
    }
}
