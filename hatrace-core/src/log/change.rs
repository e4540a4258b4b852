//! When one way to end became more frequent, and by how much: not because there was more of everything.

use super::series::Series;

/// A rise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rise {
    /// At which step.
    pub step: i64,
    /// How many times as frequent among the sessions of its frontend.
    pub fold: f64,
    /// How many there were from then on.
    pub after: u64,
    /// And before.
    pub before: u64,
}

/// At least so many from then on, so many times as frequent, and so much likelier than chance (logarithm of the likelihoods' ratio).
const ENOUGH: u64 = 20;
const FOLD: f64 = 3.0;
const LIKELIER: f64 = 12.0;

/// The moment that parts the series best into before and after, if what comes after is a rise. `all`: the sessions of which these are some;
/// `among`: how many such series are looked at, of which one would rise by chance.
#[expect(clippy::cast_precision_loss, reason = "counts of log lines")]
pub(super) fn rise(of: &Series, all: &Series, among: usize) -> Option<Rise> {
    let likelier_than = LIKELIER + (among.max(1) as f64).ln();
    let (first, last) = all.span()?;
    let total: u64 = (first..=last).map(|step| of.at(step)).sum();
    let everything: u64 = (first..=last).map(|step| all.at(step)).sum();
    if total < ENOUGH || everything == 0 || last <= first {
        return None;
    }
    let (mut before, mut of_all) = (0u64, 0u64);
    let mut best: Option<(f64, Rise)> = None;
    for step in first + 1..=last {
        before += of.at(step - 1);
        of_all += all.at(step - 1);
        let after = total - before;
        let rest = everything - of_all;
        // A part without sessions says nothing of their share.
        if of_all == 0 || rest == 0 || after < ENOUGH {
            continue;
        }
        let expected = |share: u64| total as f64 * share as f64 / everything as f64;
        let term = |count: u64, expected: f64| match count {
            0 => 0.0,
            count => count as f64 * (count as f64 / expected).ln(),
        };
        let likelier = term(before, expected(of_all)) + term(after, expected(rest));
        // Of none before nobody knows how rare they were: half of one is a guess on the safe side.
        let rare = (before as f64).max(0.5) / of_all as f64;
        let fold = after as f64 / rest as f64 / rare;
        if fold >= FOLD && likelier >= likelier_than && best.is_none_or(|(most, _)| likelier > most) {
            let rise = Rise {
                step,
                fold,
                after,
                before,
            };
            best = Some((likelier, rise));
        }
    }
    best.map(|(_, rise)| rise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rise(of: &Series, all: &Series) -> Option<Rise> {
        super::rise(of, all, 1)
    }

    fn series(counts: &[u64]) -> Series {
        let mut series = Series::default();
        for (step, count) in (0..).zip(counts) {
            (0..*count).for_each(|_| series.add(step));
        }
        series.settle();
        series
    }

    #[test]
    fn a_rise_is_dated() {
        let mut counts = vec![1; 30];
        counts.extend([12; 10]);
        let found = rise(&series(&counts), &series(&[100; 40])).unwrap();
        assert_eq!((found.step, found.before, found.after), (30, 30, 120));
        assert!((found.fold - 12.0).abs() < 0.01, "{found:?}");
        // From nothing.
        let found = rise(&series(&[0, 0, 0, 0, 30, 30]), &series(&[100; 6])).unwrap();
        assert_eq!((found.step, found.before), (4, 0));
    }

    #[test]
    fn more_of_everything_is_none_nor_is_chance_or_an_end() {
        let mut busy = vec![10; 20];
        busy.extend([120; 20]);
        let share: Vec<u64> = busy.iter().map(|count| count / 5).collect();
        assert_eq!(rise(&series(&share), &series(&busy)), None);
        let chance: Vec<u64> = (0..60).map(|step| 3 + step * 7 % 5).collect();
        assert_eq!(rise(&series(&chance), &series(&[100; 60])), None);
        // What would be one among a few is none among ten thousand.
        let (some, all) = (series(&[2, 2, 8, 8, 8]), series(&[100; 5]));
        assert!(
            rise(&some, &all).is_none()
                && super::rise(&series(&[0, 0, 14, 14]), &series(&[100; 4]), 1).is_some()
        );
        assert_eq!(
            super::rise(&series(&[0, 0, 14, 14]), &series(&[100; 4]), 10_000),
            None
        );
        let mut over = vec![12; 10];
        over.extend([1; 30]);
        assert_eq!(rise(&series(&over), &series(&[100; 40])), None);
        assert_eq!(rise(&series(&[]), &series(&[])), None);
        assert_eq!(rise(&series(&[50]), &series(&[50])), None);
    }
}
