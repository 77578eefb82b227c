//! The standard error as a terminal: its width, colours, and one line that is drawn again and again.

use std::io::{IsTerminal, Write};
use std::os::fd::BorrowedFd;

use rustix::termios::{tcgetpgrp, tcgetwinsize};

use super::printable::columns;

/// Where the terminal does not say.
const DEFAULT_COLUMNS: usize = 80;
/// Back to the first column, and nothing to the right of it.
pub(super) const CLEAR_LINE: &str = "\r\x1b[K";
/// As before, and nothing below: a terminal that became narrower has broken the line that was drawn into several.
const CLEAR_BELOW: &str = "\r\x1b[J";

/// A word before a message, in a colour where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Error,
    Warning,
    Damaged,
    Mended,
}

impl Label {
    /// `error:`
    pub(super) fn text(self, is_colourful: bool) -> String {
        let (word, colour) = match self {
            Self::Error => ("error:", 31),
            Self::Damaged => ("damaged:", 31),
            Self::Warning => ("warning:", 33),
            Self::Mended => ("mended:", 32),
        };
        if is_colourful { format!("\x1b[1;{colour}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

/// Whether the standard error is a terminal that understands more than text.
pub(super) fn is_capable() -> bool {
    is_more_than_text() && std::io::stderr().is_terminal()
}

fn is_more_than_text() -> bool {
    let kind = std::env::var_os("TERM").unwrap_or_default();
    !kind.is_empty() && kind != "dumb"
}

/// Whether the environment lets words have colours, where there is a terminal (no-color.org).
pub(crate) fn are_colours_welcome() -> bool {
    is_more_than_text() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether words may have colours on the standard error.
pub(super) fn is_colourful() -> bool {
    is_capable() && are_colours_welcome()
}

/// Text that a terminal cuts at its edge instead of breaking it: one that became narrower may say so only later.
fn unbroken(text: &str) -> String {
    format!("\x1b[?7l{text}\x1b[?7h")
}

/// Columns of the terminal, now.
pub(super) fn width() -> usize {
    width_of(rustix::stdio::stderr())
}

/// Columns of the standard output, if it is a terminal. What goes elsewhere is cut nowhere.
pub(crate) fn output_width() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| width_of(rustix::stdio::stdout()))
}

fn width_of(terminal: BorrowedFd<'_>) -> usize {
    match tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => DEFAULT_COLUMNS,
    }
}

/// Whether the terminal is this job's to draw on. A job in the background writes lines and draws none.
fn is_foreground() -> bool {
    // Without job control everything is in the foreground.
    tcgetpgrp(rustix::stdio::stderr()).map_or(true, |group| group == rustix::process::getpgrp())
}

/// The line that is drawn, if one is.
#[derive(Default)]
pub(super) struct Screen {
    line: Option<Drawn>,
}

struct Drawn {
    text: String,
    /// Of the terminal, when it was drawn.
    width: usize,
}

impl Screen {
    /// Draws a line over the one before. The cursor stays in the first column: when the terminal becomes narrower, it
    /// then still stands where the line begins, and what a person types to interrupt is drawn over.
    pub(super) fn draw(&mut self, text: String, width: usize) {
        if is_foreground() {
            let clear = self.clearing(width);
            // The end of a longer line goes after the new one stands: nothing flickers.
            let before = if clear == CLEAR_BELOW { clear } else { "\r" };
            write(&format!("{before}{}\x1b[K\r", unbroken(&text)));
            self.line = Some(Drawn { text, width });
        } else {
            self.line = None;
        }
    }

    /// Removes the line.
    pub(super) fn clear(&mut self) {
        if self.line.is_some() {
            write(self.clearing(width()));
            self.line = None;
        }
    }

    /// Writes a line of text, above the line that is drawn.
    pub(super) fn tell(&mut self, text: &str) {
        let Some(drawn) = &self.line else { return write(&format!("{text}\n")) };
        let width = width();
        let clear = self.clearing(width);
        // One that no longer fits comes back with the next drawing.
        let again =
            if columns(&drawn.text) < width { format!("{}\r", unbroken(&drawn.text)) } else { String::new() };
        write(&format!("{clear}{text}\n{again}"));
    }

    fn clearing(&self, width: usize) -> &'static str {
        match &self.line {
            Some(drawn) if width < drawn.width => CLEAR_BELOW,
            _ => CLEAR_LINE,
        }
    }
}

/// All at once, so that other writers come before or after. There is nobody to tell if the standard error fails.
pub(super) fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_words_before_they_are_colours() {
        assert_eq!(Label::Error.text(false), "error:");
        assert_eq!(Label::Warning.text(true), "\x1b[1;33mwarning:\x1b[0m");
    }
}
