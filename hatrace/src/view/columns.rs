//! Tables: fixed columns, no borders, no blank inside a cell, so that `awk` and `sort` work on them.

use std::io::{self, Write};

use super::paint::{Ink, Paint};

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    ink: Ink,
}

impl Cell {
    /// Ordinary text; `-` where there is none.
    #[must_use]
    pub fn new(text: impl ToString) -> Self {
        Self::inked(Ink::Plain, text)
    }

    /// Text of a kind.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a cell takes its value over")]
    pub fn inked(ink: Ink, text: impl ToString) -> Self {
        let text = text.to_string();
        let text = if text.is_empty() { "-".to_owned() } else { text };
        Self { text, ink }
    }

    /// The text, or `-` where it isn't known.
    #[must_use]
    pub fn known(value: Option<impl ToString>) -> Self {
        value.map_or_else(|| Self::inked(Ink::Faint, "-"), Self::new)
    }
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
    /// Of each row: a column of its own, where any has one.
    hosts: Vec<Option<Cell>>,
}

impl Table {
    /// An empty table with these columns.
    #[must_use]
    pub fn new(heads: &[(&'static str, Align)]) -> Self {
        Self {
            heads: heads.to_vec(),
            rows: Vec::new(),
            hosts: Vec::new(),
        }
    }

    /// One more row.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.push_on(None, row);
    }

    /// One more row, of a host among several: if any row has one, that is the first column.
    pub fn push_on(&mut self, host: Option<&str>, row: Vec<Cell>) {
        self.rows.push(row);
        self.hosts.push(host.map(Cell::new));
    }

    /// With the hosts as a column, where there are any.
    fn with_hosts(&self) -> Self {
        let mut whole = self.clone();
        if self.hosts.iter().any(Option::is_some) {
            whole.heads.insert(0, ("HOST", Align::Left));
            for (row, host) in whole.rows.iter_mut().zip(&self.hosts) {
                row.insert(0, host.clone().unwrap_or_else(|| Cell::known(None::<u32>)));
            }
        }
        whole
    }

    /// Whether it has no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|(head, _)| head.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        widths
    }

    /// Writes the heading and the rows.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        self.with_hosts().write_all(out, paint)
    }

    fn write_all(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let widths = self.widths();
        let heads: Vec<Cell> = self
            .heads
            .iter()
            .map(|(head, _)| Cell::inked(Ink::Head, head))
            .collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let last = row.len().saturating_sub(1);
            for (column, (cell, (&width, (_, align)))) in
                row.iter().zip(widths.iter().zip(&self.heads)).enumerate()
            {
                let blanks = width.saturating_sub(cell.text.chars().count());
                let (before, after) = match align {
                    Align::Right => (blanks, 0),
                    // A line doesn't end with blanks.
                    Align::Left if column == last => (0, 0),
                    Align::Left => (0, blanks),
                };
                let before = before + usize::from(column > 0);
                let text = paint.dab(cell.ink, &cell.text);
                write!(out, "{:before$}{text}{:after$}", "", "")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_column_where_there_is_one() {
        let mut table = Table::new(&[("NOW", Align::Right)]);
        table.push_on(Some("lb1"), vec![Cell::new(7)]);
        table.push(vec![Cell::new(12)]);
        let mut out = Vec::new();
        table.write(&mut out, Paint::plain()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "HOST NOW\nlb1    7\n-     12\n");
    }

    #[test]
    fn columns_line_up_with_one_blank_between() {
        let mut table = Table::new(&[
            ("SIDE", Align::Left),
            ("NOW", Align::Right),
            ("PEER", Align::Left),
        ]);
        table.push(vec![Cell::new("client"), Cell::new(7), Cell::new("10.0.0.7:5")]);
        table.push(vec![Cell::new("≥"), Cell::new(12_345), Cell::known(None::<u32>)]);
        let mut out = Vec::new();
        table.write(&mut out, Paint::plain()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\
SIDE     NOW PEER
client     7 10.0.0.7:5
≥      12345 -
"
        );
    }
}
