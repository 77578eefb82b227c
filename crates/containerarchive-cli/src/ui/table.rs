//! Columns.

use std::fmt;

use super::Printable;
use super::printable::columns;

/// A longer cell goes beyond its column, and one long name does not push all rows apart.
const MAX_COLUMN: usize = 48;

/// Rows of cells below a heading; text of a repository is escaped.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns of numbers.
    right: &'static [usize],
}

impl Table {
    pub(crate) fn new(heading: &[&str], right: &'static [usize]) -> Self {
        Self { rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()], right }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| Printable(&cell).to_string()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| columns(cell))
                .filter(|width| *width <= MAX_COLUMN)
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width.saturating_sub(columns(cell)));
                let (before, after) =
                    if self.right.contains(&column) { (&*padding, "") } else { ("", &*padding) };
                line.push_str(before);
                line.push_str(cell);
                line.push_str(after);
                line.push_str("  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_cells_are_escaped() {
        let mut table = Table::new(&["ID", "SIZE"], &[1]);
        table.row(["a\n".to_owned(), "5 B".to_owned()]);
        table.row(["long id".to_owned(), "1.5 MiB".to_owned()]);
        assert_eq!(table.to_string(), "ID          SIZE\na\\n          5 B\nlong id  1.5 MiB\n");
    }

    #[test]
    fn wide_signs_take_two_columns_and_a_long_name_moves_no_other_row() {
        let mut table = Table::new(&["NAME", "SIZE"], &[1]);
        let long = "x".repeat(4096);
        for name in ["漢字", "plain", &long] {
            table.row([name.to_owned(), "5 B".to_owned()]);
        }
        assert_eq!(table.to_string(), format!("NAME   SIZE\n漢字    5 B\nplain   5 B\n{long}   5 B\n"));
    }
}
