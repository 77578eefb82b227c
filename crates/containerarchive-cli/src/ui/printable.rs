//! Text of unknown origin on its way to a terminal.

use std::fmt::{self, Write};

/// Shows text so that it cannot command a terminal or pose as other text: control characters, bidirectional
/// controls, line and paragraph separators and bytes that are no UTF-8 are written as escapes.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

/// Controls of the bidirectional algorithm (Unicode Standard Annex 9, section 2) and separators: they move or hide
/// what stands around them.
fn is_deceptive(sign: char) -> bool {
    matches!(sign, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for sign in self.0.chars() {
            if sign.is_control() || is_deceptive(sign) {
                write!(f, "{}", sign.escape_default())?;
            } else {
                f.write_char(sign)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_gets_through() {
        for (text, expected) in [
            ("grün €.sql", "grün €.sql"),
            ("\x1b[2Jx", "\\u{1b}[2Jx"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("a\u{2028}b\u{2066}", "a\\u{2028}b\\u{2066}"),
        ] {
            assert_eq!(Printable(text).to_string(), expected);
        }
    }
}
