//! Tables and numbers as Markdown.

use std::fmt;

/// A table; its first columns are text, the others are numbers.
#[derive(Debug)]
pub(crate) struct Table {
    text_columns: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these heads.
    pub(crate) fn new(text_columns: usize, heads: &[&str]) -> Self {
        Self { text_columns, rows: vec![heads.iter().map(|head| (*head).to_owned()).collect()] }
    }

    /// Adds a row with as many cells as there are heads.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
            if number == 0 {
                let rule = |column| if column < self.text_columns { "---" } else { "---:" };
                writeln!(f, "|{}|", (0..row.len()).map(rule).collect::<Vec<_>>().join("|"))?;
            }
        }
        Ok(())
    }
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With two digits after the point.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.2}")
}

/// `81 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((seconds(1.005_1), percent(0.806)), ("1.01".to_owned(), "81 %".to_owned()));
    }

    #[test]
    fn a_table_has_heads_a_rule_and_rows() {
        let mut table = Table::new(1, &["name", "s"]);
        table.row(["a|b".to_owned(), "1".to_owned()]);
        assert_eq!(table.to_string(), "| name | s |\n|---|---:|\n| a\\|b | 1 |\n");
    }
}
