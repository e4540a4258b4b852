//! Counts over time, by steps that grow with the time there is.

use std::collections::BTreeMap;

/// Steps at most: the width doubles beyond it.
const STEPS: i64 = 360;

/// The steps' width, one for all series: they can be held against each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    /// In milliseconds.
    pub(super) width: i64,
    /// The first moment and the last.
    span: Option<(i64, i64)>,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            width: 1000,
            span: None,
        }
    }
}

impl Steps {
    /// Makes room for a moment; how often the width has doubled for it.
    pub(super) fn stretch(&mut self, at: i64) -> u32 {
        let (first, last) = self
            .span
            .map_or((at, at), |(first, last)| (first.min(at), last.max(at)));
        self.span = Some((first, last));
        let mut doubled = 0;
        while last.saturating_sub(first) >= self.width.saturating_mul(STEPS) && doubled < 62 {
            self.width = self.width.saturating_mul(2);
            doubled += 1;
        }
        doubled
    }

    /// The first moment and the last.
    pub(super) fn ends(&self) -> impl Iterator<Item = i64> + use<> {
        self.span.into_iter().flat_map(|(first, last)| [first, last])
    }

    /// The step that a moment is in.
    pub(super) const fn step(&self, at: i64) -> i64 {
        at.div_euclid(self.width)
    }
}

/// One count over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    steps: BTreeMap<i64, u64>,
    /// The step at hand, and what is to be added to it: most lines are of the same one as the line before.
    hot: (i64, u64),
}

impl Series {
    pub(super) fn add(&mut self, step: i64) {
        if step != self.hot.0 {
            self.settle();
            self.hot.0 = step;
        }
        self.hot.1 += 1;
    }

    /// Puts what was added into its step: before anything is read.
    pub(super) fn settle(&mut self) {
        let (step, count) = self.hot;
        if count > 0 {
            *self.steps.entry(step).or_default() += count;
            self.hot.1 = 0;
        }
    }

    pub(super) fn double(&mut self, times: u32) {
        self.settle();
        self.hot = (i64::MIN, 0);
        for _ in 0..times {
            for (step, count) in std::mem::take(&mut self.steps) {
                *self.steps.entry(step.div_euclid(2)).or_default() += count;
            }
        }
    }

    /// Takes another one's in, of the same steps.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.settle();
        other.settle();
        for (step, count) in other.steps {
            *self.steps.entry(step).or_default() += count;
        }
    }

    pub(super) fn at(&self, step: i64) -> u64 {
        self.steps.get(&step).copied().unwrap_or(0)
    }

    /// The first step with most of them, and how many.
    pub(super) fn most(&self) -> Option<(i64, u64)> {
        let all = self.steps.iter().map(|(step, count)| (*step, *count));
        all.max_by_key(|(step, count)| (*count, std::cmp::Reverse(*step)))
    }

    /// The first and the last step with anything in it.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        Some((*self.steps.keys().next()?, *self.steps.keys().next_back()?))
    }

    /// In so many parts of equal length, between two steps.
    pub(super) fn parts(&self, span: (i64, i64), parts: usize) -> Vec<u64> {
        let length = (span.1 - span.0 + 1).max(1);
        let mut sums = vec![0; parts];
        for (step, count) in self.steps.range(span.0..=span.1) {
            let part = (step - span.0).saturating_mul(i64::try_from(parts).unwrap_or(1)) / length;
            if let Some(sum) = usize::try_from(part).ok().and_then(|part| sums.get_mut(part)) {
                *sum += count;
            }
        }
        sums
    }
}
