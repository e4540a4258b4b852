//! Colour, only when asked for: a view names what a word is, not which colour that has.

use std::fmt;

use anstyle::{AnsiColor, Style};

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ink {
    /// Ordinary text.
    #[default]
    Plain,
    /// A heading.
    Head,
    /// Of less interest.
    Faint,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Stuck, lost or failed.
    Bad,
}

impl Ink {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Head => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// Colours where `colour`.
    #[must_use]
    pub const fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Never colours.
    #[must_use]
    pub const fn plain() -> Self {
        Self::new(false)
    }

    /// Whether it colours.
    #[must_use]
    pub const fn colours(self) -> bool {
        self.colour
    }

    /// `text` in `ink`.
    #[must_use]
    pub const fn dab(self, ink: Ink, text: &str) -> Dab<'_> {
        Dab {
            paint: self,
            ink,
            text,
        }
    }
}

/// A coloured piece of text, to be displayed.
#[derive(Clone, Copy, Debug)]
pub struct Dab<'a> {
    paint: Paint,
    ink: Ink,
    text: &'a str,
}

impl fmt::Display for Dab<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.paint.colour && self.ink != Ink::Plain {
            let style = self.ink.style();
            write!(f, "{style}{}{style:#}", self.text)
        } else {
            f.write_str(self.text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_when_asked() {
        assert_eq!(Paint::plain().dab(Ink::Bad, "x").to_string(), "x");
        assert_eq!(Paint::new(true).dab(Ink::Plain, "x").to_string(), "x");
        assert_eq!(
            Paint::new(true).dab(Ink::Warn, "x").to_string(),
            "\u{1b}[33mx\u{1b}[0m"
        );
    }
}
