//! Columns.

use std::fmt;

use super::Printable;
use super::printable::{beginning, columns};

/// A longer cell goes beyond its column, and one long name does not push all rows apart.
const MAX_COLUMN: usize = 48;

/// What still tells something of a longer cell.
const MIN_COLUMN: usize = 8;
const GAP: &str = "  ";

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

    /// Cuts the cells of these columns, one column after the other, until no row is wider than so many columns, or all
    /// of them are as narrow as still makes sense.
    #[must_use]
    pub(crate) fn fit(mut self, flexible: &[usize], width: Option<usize>) -> Self {
        let Some(width) = width else { return self };
        for &column in flexible {
            let widest =
                |of: usize| self.rows.iter().filter_map(|row| row.get(of)).map(|cell| columns(cell)).max();
            let others = (0..self.column_count()).filter(|other| *other != column);
            // A column without a word takes none, nor its gap.
            let taken: usize =
                others.filter_map(widest).filter(|widest| *widest > 0).map(|widest| widest + GAP.len()).sum();
            let room = width.saturating_sub(taken).max(MIN_COLUMN);
            for cell in self.rows.iter_mut().filter_map(|row| row.get_mut(column)) {
                *cell = beginning(cell, room);
            }
        }
        self
    }

    fn column_count(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or(0)
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| Printable(&cell).to_string()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| columns(cell))
                .filter(|width| *width <= MAX_COLUMN)
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.column_count()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width.saturating_sub(columns(cell)));
                let (before, after) =
                    if self.right.contains(&column) { (&*padding, "") } else { ("", &*padding) };
                line.push_str(before);
                line.push_str(cell);
                line.push_str(after);
                line.push_str(GAP);
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
    fn a_table_for_a_terminal_is_cut_to_its_width_and_any_other_is_whole() {
        let table = || {
            let mut table = Table::new(&["NAME", "TYPE", "SIZE", ""], &[2]);
            table.row(["n".repeat(60), "t".repeat(60), "5 B".to_owned(), String::new()]);
            table.row(["漢字".repeat(30), "t".to_owned(), "1.5 MiB".to_owned(), "STALE".to_owned()]);
            table
        };
        assert!(table().fit(&[0, 1], None).to_string().contains(&"n".repeat(60)));
        for width in [40, 47, 80, 120, 300] {
            let text = table().fit(&[0, 1], Some(width)).to_string();
            assert!(text.lines().all(|line| columns(line) <= width), "{width}:\n{text}");
            assert_eq!(text.contains('…'), width < 300, "{text}");
        }
        // Beyond what makes sense, it is the terminal that breaks lines.
        let text = table().fit(&[0, 1], Some(5)).to_string();
        assert!(text.contains("nnnnnnn…  ttttttt…"), "{text}");
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
