//! Text of unknown origin on its way to a terminal, and how wide it is there.

use std::fmt::{self, Write};

use unicode_width::UnicodeWidthChar;

/// Combining marks that one sign may carry; more of them is no writing system, and stacks over the lines around it.
const MAX_MARKS: usize = 4;

/// Shows text so that it cannot command a terminal or pose as other text: control characters, bidirectional
/// controls, line and paragraph separators, invisible signs, marks without a sign and stacks of marks are written as
/// escapes. Escaping twice is escaping once.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

/// Signs that command a terminal, or that nobody sees: controls, the bidirectional ones (Unicode Standard Annex 9,
/// section 2), separators, annotations, and the property `Default_Ignorable_Code_Point` of the Unicode Character
/// Database.
pub(super) fn is_deceptive(sign: char) -> bool {
    sign.is_control()
        || matches!(sign,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A mark at the beginning would go to whatever stands before.
        let mut marks = MAX_MARKS;
        for sign in self.0.chars() {
            marks = if sign.width() == Some(0) { marks + 1 } else { 0 };
            if is_deceptive(sign) || marks > MAX_MARKS {
                write!(f, "{}", sign.escape_default())?;
            } else {
                f.write_char(sign)?;
            }
        }
        Ok(())
    }
}

/// Columns that escaped text takes at most. Signs that some terminals join count each for itself.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|sign| sign.width().unwrap_or(0)).sum()
}

/// The beginning of escaped text, in at most `limit` columns.
pub(crate) fn beginning(text: &str, limit: usize) -> String {
    if columns(text) <= limit {
        return text.to_owned();
    }
    let mut kept: String = within(text.chars(), limit.saturating_sub(1)).collect();
    kept.extend((limit > 0).then_some('…'));
    kept
}

/// The end of escaped text, in at most `limit` columns: the end of a path tells more than its beginning.
pub(crate) fn ending(text: &str, limit: usize) -> String {
    if columns(text) <= limit {
        return text.to_owned();
    }
    let kept: Vec<char> = within(text.chars().rev(), limit.saturating_sub(1)).collect();
    let kept = kept.into_iter().rev().skip_while(|sign| sign.width() == Some(0));
    (limit > 0).then_some('…').into_iter().chain(kept).collect()
}

fn within(signs: impl Iterator<Item = char>, limit: usize) -> impl Iterator<Item = char> {
    let mut used = 0;
    signs.take_while(move |sign| {
        used += sign.width().unwrap_or(0);
        used <= limit
    })
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
            assert_eq!(Printable(expected).to_string(), expected);
        }
    }

    #[test]
    fn what_nobody_sees_is_shown() {
        for (text, expected) in [
            ("a\u{200b}b", "a\\u{200b}b"),
            ("app\u{ad}.sql", "app\\u{ad}.sql"),
            ("x\u{e0041}", "x\\u{e0041}"),
            ("\u{301}a", "\\u{301}a"),
            ("e\u{301}", "e\u{301}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{1112}\u{1161}\u{11ab}"),
        ] {
            assert_eq!(Printable(text).to_string(), expected);
        }
        let tower = format!("a{}", "\u{301}".repeat(100));
        assert!(Printable(&tower).to_string().starts_with("a\u{301}\u{301}\u{301}\u{301}\\u{301}"));
    }

    #[test]
    fn text_is_cut_by_the_columns_it_takes() {
        assert_eq!(columns("漢字.sql"), 8);
        assert_eq!(ending("漢字.sql", 8), "漢字.sql");
        assert_eq!(ending("漢字.sql", 7), "…字.sql");
        assert_eq!(ending("漢字.sql", 6), "….sql");
        assert_eq!(beginning("漢字.sql", 6), "漢字.…");
        assert_eq!(beginning("漢字.sql", 4), "漢…");
        assert_eq!(ending("ae\u{301}x", 2), "…x");
        for text in ["漢字漢字漢字", "e\u{301}e\u{301}e\u{301}", "plain ascii"] {
            for limit in 0..14 {
                assert!(columns(&ending(text, limit)) <= limit, "{text} {limit}");
                assert!(columns(&beginning(text, limit)) <= limit, "{text} {limit}");
            }
        }
    }
}
