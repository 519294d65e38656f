//! Columns: fields of equal width in a long listing, names side by side on a terminal.

use console::measure_text_width;

/// Spaces between columns.
const GAP: usize = 2;

/// On which side a field is filled up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Align {
    /// Text begins at the left.
    Left,
    /// Numbers end at the right.
    Right,
}

/// Rows of fields, each column as wide as its widest field.
pub(crate) struct Table<const N: usize> {
    align: [Align; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub(crate) fn new(align: [Align; N]) -> Self {
        Self {
            align,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// The rows as lines without line end, in order; one space between columns, none after the
    /// last.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, field) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(field));
            }
        }
        self.rows.iter().map(move |row| {
            let mut line = String::new();
            for ((field, width), align) in row.iter().zip(widths).zip(self.align) {
                let fill = " ".repeat(width - measure_text_width(field));
                if !line.is_empty() {
                    line.push(' ');
                }
                match align {
                    Align::Left => line.extend([field, fill.as_str()]),
                    Align::Right => line.extend([fill.as_str(), field]),
                }
            }
            line
        })
    }
}

/// Names side by side, top to bottom and then left to right, in as few rows as fit `columns`.
///
/// Each row is a list of (index of the name, spaces behind it).
pub(crate) fn side_by_side(names: &[String], columns: usize) -> Vec<Vec<(usize, usize)>> {
    let widths: Vec<usize> = names.iter().map(|name| measure_text_width(name)).collect();
    let rows = (1..=names.len()).find(|rows| total_width(&widths, *rows) <= columns);
    let rows = rows.unwrap_or(names.len()).max(1);
    let column_widths: Vec<usize> = widths
        .chunks(rows)
        .map(|column| column.iter().copied().max().unwrap_or(0))
        .collect();
    (0..rows.min(names.len()))
        .map(|row| {
            let cells = (row..names.len()).step_by(rows).zip(&column_widths);
            let last = (names.len() - 1 - row) / rows;
            cells
                .enumerate()
                .map(|(column, (name, width))| {
                    let is_last = column == last;
                    (
                        name,
                        if is_last {
                            0
                        } else {
                            width - widths[name] + GAP
                        },
                    )
                })
                .collect()
        })
        .collect()
}

fn total_width(widths: &[usize], rows: usize) -> usize {
    let columns = widths.len().div_ceil(rows);
    let text: usize = widths
        .chunks(rows)
        .map(|column| column.iter().copied().max().unwrap_or(0))
        .sum();
    text + columns.saturating_sub(1) * GAP
}

#[cfg(test)]
mod tests {
    use super::{Align, Table, side_by_side};

    #[test]
    fn fields_line_up() {
        let mut table = Table::new([Align::Right, Align::Left]);
        table.push(["7".to_owned(), "ä".to_owned()]);
        table.push(["1234".to_owned(), "b日".to_owned()]);
        assert_eq!(table.lines().collect::<Vec<_>>(), ["   7 ä  ", "1234 b日"]);
    }

    #[test]
    fn names_fill_the_terminal() {
        let names: Vec<String> = ["aaaa", "b", "cc", "dddd", "e"].map(str::to_owned).to_vec();
        assert_eq!(side_by_side(&names, 80).len(), 1);
        let rows = [vec![(0, 2), (3, 0)], vec![(1, 5), (4, 0)], vec![(2, 0)]];
        assert_eq!(
            side_by_side(&names, 12),
            rows,
            "three rows of 4 + 2 + 4 columns"
        );
        assert_eq!(side_by_side(&names, 1).len(), 5);
        assert!(side_by_side(&[], 80).is_empty());
    }
}
