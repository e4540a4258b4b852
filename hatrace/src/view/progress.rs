//! Progress on long work: a pure renderer; who has a terminal is the caller's business.

use std::time::Duration;

/// Between the bar's brackets at most: longer bars say no more.
const WIDEST: usize = 30;

/// One line of at most `width` characters: `[#####---------] 12 s of 25 s  text`. The text gives way first, the bar next.
#[must_use]
pub fn bar(elapsed: Duration, total: Duration, width: usize, text: &str) -> String {
    let done = elapsed.min(total);
    let count = format!("{} s of {} s", done.as_secs(), total.as_secs());
    let room = width.saturating_sub(count.chars().count() + 3).min(WIDEST);
    let mut line = String::new();
    if room >= 3 {
        let share = if total.is_zero() {
            1.0
        } else {
            done.as_secs_f64() / total.as_secs_f64()
        };
        // A cell is full when its middle has been passed.
        let full = (0..room)
            .filter(|cell| (*cell as f64 + 0.5) / room as f64 <= share)
            .count();
        line.push('[');
        line.extend(std::iter::repeat_n('#', full));
        line.extend(std::iter::repeat_n('-', room - full));
        line.push_str("] ");
    }
    line.push_str(&count);
    if !text.is_empty() {
        line.push_str("  ");
        line.push_str(text);
    }
    let cut: String = line.chars().take(width).collect();
    cut.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::bar;
    use std::time::Duration;

    const TOTAL: Duration = Duration::from_secs(25);

    #[test]
    fn it_fills_from_empty_to_full() {
        let at = |seconds| bar(Duration::from_secs(seconds), TOTAL, 24, "");
        assert_eq!(at(0), "[----------] 0 s of 25 s");
        assert_eq!(at(12), "[####-----] 12 s of 25 s");
        assert_eq!(at(25), "[#########] 25 s of 25 s");
        assert_eq!(at(99), at(25), "late is done");
    }

    #[test]
    fn the_text_gives_way_first() {
        let wide = bar(Duration::from_secs(5), TOTAL, 80, "12 sockets in FIN_WAIT2");
        assert!(wide.ends_with("5 s of 25 s  12 sockets in FIN_WAIT2"), "{wide}");
        for width in 0..80 {
            let line = bar(Duration::from_secs(5), TOTAL, width, "some text ✓ more");
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }

    #[test]
    fn nothing_to_wait_for_is_done() {
        assert!(bar(Duration::ZERO, Duration::ZERO, 60, "").starts_with("[####"));
    }
}
