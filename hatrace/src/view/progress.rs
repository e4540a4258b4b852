//! Progress on long work, for a terminal.

use std::time::Duration;

use super::units;

/// A bar of `width` columns with what is said beside it: `[#####-----] 12s of 25s  text`.
#[must_use]
pub fn bar(elapsed: Duration, total: Duration, width: usize, text: &str) -> String {
    let share = if total.is_zero() {
        1.0
    } else {
        (elapsed.as_secs_f64() / total.as_secs_f64()).clamp(0.0, 1.0)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and a terminal's width"
    )]
    let done = (share * width as f64).round() as usize;
    let elapsed = Duration::from_secs(elapsed.as_secs().min(total.as_secs()));
    format!(
        "[{}{}] {} of {}  {text}",
        "#".repeat(done),
        "-".repeat(width.saturating_sub(done)),
        units::round(elapsed),
        units::round(total)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up_and_no_further() {
        let of = |seconds| bar(Duration::from_secs(seconds), Duration::from_secs(10), 10, "x");
        assert!(of(0).starts_with("[----------]"), "{}", of(0));
        assert!(of(5).starts_with("[#####-----]"), "{}", of(5));
        assert!(of(99).starts_with("[##########]"), "{}", of(99));
    }
}
