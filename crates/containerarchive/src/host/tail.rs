//! The last bytes of a stream of messages.

use std::collections::VecDeque;

const TAIL_BYTES: usize = 4 << 10;
/// What of it is told in an error.
const LAST_LINES: usize = 5;
const LAST_CHARS: usize = 1000;

/// Keeps the last 4 KiB.
#[derive(Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    total_bytes: u64,
}

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total_bytes += bytes.len() as u64;
        self.bytes.extend(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        self.bytes.drain(..self.bytes.len().saturating_sub(TAIL_BYTES));
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// As text, without the part of a line that it begins with: the end of a secret is not recognized as one.
    pub(super) fn text(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let is_cut = self.total_bytes > bytes.len() as u64;
        let cut =
            if is_cut { bytes.iter().position(is_line_end).map_or(bytes.len(), |at| at + 1) } else { 0 };
        String::from_utf8_lossy(&bytes[cut..]).trim_end().to_owned()
    }
}

/// The end of a text, from the beginning of a line on, that takes at most so many bytes as a JSON string.
pub(super) fn within_json(text: &str, max_bytes: usize) -> &str {
    let mut left = max_bytes;
    let kept = text.char_indices().rev().take_while(|(_, sign)| {
        let bytes = match sign {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            _ => sign.len_utf8(),
        };
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    });
    match kept.last() {
        Some((0, _)) => text,
        None => "",
        Some((start, _)) => {
            let rest = &text[start..];
            rest.find(['\n', '\r']).map_or("", |end| &rest[end + 1..])
        }
    }
}

/// The last lines of a text that say something, as one.
pub(super) fn last_lines(text: &str) -> String {
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" / ");
    let skipped = last.chars().count().saturating_sub(LAST_CHARS);
    if skipped == 0 { last } else { format!("…{}", last.chars().skip(skipped).collect::<String>()) }
}

/// Progress of some programs comes in lines that end with a carriage return.
fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_lines_of_many_are_kept() {
        let mut tail = Tail::default();
        tail.push(b"first\n");
        assert_eq!(tail.text(), "first");
        for number in 0..10_000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        let text = tail.text();
        assert!(text.len() < TAIL_BYTES && text.starts_with("line 9") && text.ends_with("line 9999"));
        assert_eq!(last_lines(&text), "line 9995 / line 9996 / line 9997 / line 9998 / line 9999");
        assert_eq!(tail.total_bytes(), 6 + 98_890);
    }

    #[test]
    fn a_text_is_cut_to_whole_lines_by_the_bytes_that_json_takes() {
        for text in ["", "a", "a\nb\n\"c\"", "\u{1}\u{1}\n\u{1}\r\n€", "\u{7f}\\\t\u{8}\u{c}"] {
            let whole = serde_json::to_string(text).unwrap().len() - 2;
            assert_eq!(within_json(text, whole), text);
            for max_bytes in 0..whole {
                let kept = within_json(text, max_bytes);
                assert!(text.ends_with(kept) && kept.len() < text.len(), "{text:?} {max_bytes}");
                assert!(serde_json::to_string(kept).unwrap().len() - 2 <= max_bytes, "{text:?} {max_bytes}");
            }
        }
        assert_eq!(within_json("first\nsecond\nthird", 10), "third");
    }

    #[test]
    fn a_line_that_is_longer_than_what_is_kept_is_not_kept_by_half() {
        let mut tail = Tail::default();
        tail.push(&[0xff; 10_000]);
        assert_eq!((tail.text(), tail.total_bytes()), (String::new(), 10_000));
        tail.push(b"\rx\xff\x1b[0m\n\n");
        assert_eq!(tail.text(), "x\u{fffd}\u{1b}[0m");
    }
}
