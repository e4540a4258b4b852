//! A figure that was measured several times.

/// A middle value, and how far it may be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    /// From here to `high` the true median is with 95 % of confidence; of fewer than six values they are the least and the most.
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) count: usize,
}

impl Spread {
    /// None: there are no values.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let (&min, &max) = (values.first()?, values.last()?);
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        let outside = outside(values.len());
        Some(Self {
            median,
            low: values[outside],
            high: values[values.len() - 1 - outside],
            min,
            max,
            count: values.len(),
        })
    }

    /// Whether it is at least so much; None: it may be either.
    pub(super) fn is_at_least(&self, limit: f64) -> Option<bool> {
        (self.low >= limit || self.high < limit).then_some(self.low >= limit)
    }

    /// Whether it is at most so much; None: it may be either.
    pub(super) fn is_at_most(&self, limit: f64) -> Option<bool> {
        (self.high <= limit || self.low > limit).then_some(self.high <= limit)
    }
}

/// How many values on either side can be left out so that the median is between the others with 95 % of confidence: a sign test, which asks
/// nothing of how the values are distributed.
fn outside(count: usize) -> usize {
    // The probability that so many of `count` values, or fewer, are below the median.
    let (mut term, mut below) = (0.5f64.powi(i32::try_from(count).unwrap_or(i32::MAX)), 0.0);
    for left_out in 0..count {
        below += term;
        if below > 0.025 {
            return left_out.saturating_sub(1);
        }
        term *= (count - left_out) as f64 / (left_out + 1) as f64;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_count_has_its_middle_between_two() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 4.0));
        assert_eq!((spread.low, spread.high), (1.0, 4.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn the_interval_is_that_of_a_sign_test() {
        // From tables of the confidence interval of a median.
        let known = [
            (5, 0),
            (6, 0),
            (8, 0),
            (9, 1),
            (12, 2),
            (16, 3),
            (20, 5),
            (40, 13),
            (60, 21),
        ];
        for (count, expected) in known {
            assert_eq!(outside(count), expected, "{count} values");
        }
    }

    #[test]
    fn what_straddles_a_limit_is_undecided() {
        let spread = Spread::of((0..40).map(f64::from).collect()).unwrap();
        assert_eq!((spread.low, spread.high), (13.0, 26.0));
        assert_eq!(spread.is_at_least(13.0), Some(true));
        assert_eq!(spread.is_at_least(20.0), None);
        assert_eq!(spread.is_at_least(27.0), Some(false));
        assert_eq!(spread.is_at_most(26.0), Some(true));
        assert_eq!(spread.is_at_most(12.0), Some(false));
    }
}
