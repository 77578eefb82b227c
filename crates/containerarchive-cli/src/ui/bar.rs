//! The progress line of a terminal, for any width.

use std::time::Duration;

use super::printable::{beginning, columns};
use super::progress::View;
use super::size;

/// Columns of an item's name, at most.
pub(super) const NAME_COLUMNS: usize = 32;
/// Columns of a name that still tells something.
const MIN_NAME: usize = 8;
/// Columns of the bar with its brackets.
const MIN_BAR: usize = 10;
const MAX_BAR: usize = 32;
const GAP: &str = "  ";

/// A line of at most `width` columns less one: in the last column some terminals begin a new line.
pub(super) fn line(view: &View, width: usize) -> String {
    let room = width.saturating_sub(1);
    let candidates = match view.percentage {
        Some(percentage) => with_total(view, percentage, room),
        None => without_total(view, room),
    };
    let fits = |line: &String| columns(line) <= room;
    candidates.into_iter().find(fits).unwrap_or_else(|| beginning(view.operation, room))
}

/// From rich to poor.
fn with_total(view: &View, percentage: u64, room: usize) -> Vec<String> {
    let percent = format!("{percentage:>3} %");
    let left = view.left.map_or_else(String::new, |left| format!("{} left", clock(left)));
    let left = format!("{left:>10}");
    let rate = rate(view);
    let bytes = of_total(view);
    let mut lines = Vec::new();
    for parts in
        [&[&percent, &bytes, &rate, &left][..], &[&percent, &rate, &left], &[&percent, &left], &[&percent]]
    {
        let end: String = parts.iter().flat_map(|part| [GAP, part]).collect();
        let free = room.saturating_sub(view.operation.len() + end.len() + GAP.len());
        // The bar's width must not depend on the name's, or everything moves when the name changes.
        if free >= MIN_BAR + GAP.len() + MIN_NAME {
            let bar = bar(view, (free * 2 / 5).clamp(MIN_BAR, MAX_BAR));
            let name = view.named((free - bar.len() - GAP.len()).min(NAME_COLUMNS));
            lines.push(format!("{}{GAP}{bar}{end}{GAP}{name}", view.operation));
        } else if free >= MIN_BAR {
            lines.push(format!("{}{GAP}{}{end}", view.operation, bar(view, free.min(MAX_BAR))));
        }
    }
    lines.push(format!("{}{GAP}{percent}", view.operation));
    lines.push(percent);
    lines
}

fn without_total(view: &View, room: usize) -> Vec<String> {
    let bytes = format!("{:>10}", size(view.bytes));
    let long = format!("{}{GAP}{bytes}{GAP}{}{GAP}{:>7}", view.operation, rate(view), clock(view.elapsed));
    let name = view.named(room.saturating_sub(long.len() + GAP.len()).min(NAME_COLUMNS));
    let short = format!("{}{GAP}{bytes}", view.operation);
    let rich = room >= long.len() + GAP.len() + MIN_NAME;
    let named = rich.then(|| format!("{long}{GAP}{name}"));
    named.into_iter().chain([long, short, bytes.trim_start().to_owned()]).collect()
}

fn rate(view: &View) -> String {
    format!("{:>12}", size(view.rate) + "/s")
}

/// `0.3 of 2.7 GiB`, both in the unit of the total and of one width for the whole operation.
fn of_total(view: &View) -> String {
    let total_bytes = view.total_bytes.unwrap_or(view.bytes);
    let total = size(total_bytes);
    let Some((number, unit)) = total.split_once(' ') else { return total };
    let width = number.len();
    let digits = usize::from(number.contains('.'));
    let unit_bytes = total_bytes as f64 / number.parse::<f64>().unwrap_or(1.0).max(0.1);
    format!("{:>width$.digits$} of {number} {unit}", view.bytes as f64 / unit_bytes)
}

/// `[=====>    ]` in exactly `width` columns. Signs of one column everywhere, in every character set.
fn bar(view: &View, width: usize) -> String {
    let inside = width.saturating_sub(2);
    let total = view.total_bytes.unwrap_or(0).max(1);
    let done = (u128::from(view.bytes) * inside as u128 / u128::from(total)) as usize;
    let done = done.min(inside);
    let head = if done < inside { ">" } else { "" };
    format!("[{}{head:<rest$}]", "=".repeat(done), rest = inside - done)
}

/// `0:12`, `3:05`, `1:02:05`
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        1..=99 => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(bytes: u64, total_bytes: Option<u64>, subject: &str) -> View {
        View {
            operation: "ingest",
            bytes,
            total_bytes,
            percentage: total_bytes.map(|total| bytes * 100 / total),
            rate: 310 << 20,
            elapsed: Duration::from_secs(75),
            left: Some(Duration::from_secs(5)),
            subject: subject.to_owned(),
            others: 2,
        }
    }

    #[test]
    fn a_line_shows_what_fits_and_never_more() {
        let view = view(1 << 30, Some(11 << 28), "var/lib/dumps/app.sql");
        for (width, expected) in [
            (
                120,
                "ingest  [========>             ]   36 %  1.0 of 2.8 GiB   310.0 MiB/s   0:05 left  var/lib/dumps/app.sql +2",
            ),
            (80, "ingest  [==>     ]   36 %  1.0 of 2.8 GiB   310.0 MiB/s   0:05 left  …pp.sql +2"),
            (60, "ingest  [=====>          ]   36 %   310.0 MiB/s   0:05 left"),
            (40, "ingest  [===>      ]   36 %   0:05 left"),
            (20, "ingest   36 %"),
            (8, " 36 %"),
            (4, "in…"),
            (1, ""),
        ] {
            assert_eq!(line(&view, width), expected, "{width}");
        }
        let stream = View { percentage: None, total_bytes: None, left: None, ..view };
        assert_eq!(line(&stream, 80), "ingest     1.0 GiB   310.0 MiB/s     1:15  var/lib/dumps/app.sql +2");
        assert_eq!(line(&stream, 20), "ingest     1.0 GiB");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for subject in ["漢字".repeat(50), "e\u{301}".repeat(50), String::new(), "a".repeat(4096)] {
            for total_bytes in [None, Some(u64::MAX / 200), Some(1 << 20)] {
                for width in 0..200 {
                    let line = line(&view(1 << 20, total_bytes, &subject), width);
                    assert!(columns(&line) <= width.saturating_sub(1), "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn nothing_moves_while_bytes_and_names_change() {
        let total = Some(3 << 30);
        let start = |line: String| line.find("/s").unwrap();
        let place = start(line(&view(0, total, "a"), 100));
        for (bytes, name) in
            [(5 << 20, "b/c/d.sql"), (1 << 30, "漢字"), (3 << 30, "long ".repeat(20).as_str())]
        {
            assert_eq!(start(line(&view(bytes, total, name), 100)), place, "{bytes} {name}");
        }
    }

    #[test]
    fn times_are_as_clocks_show_them() {
        for (seconds, text) in [(0, "0:00"), (65, "1:05"), (3_725, "1:02:05"), (864_000, "10 days")] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }
}
