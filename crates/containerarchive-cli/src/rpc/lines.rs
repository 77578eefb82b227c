//! Lines of a bounded length, from bytes that arrive in any portions.

use zeroize::Zeroizing;

/// Longest line, in bytes without its end.
pub(super) const MAX_LINE_BYTES: usize = 16 << 20;
/// What is kept of a line that is too long: enough to find the id of its request.
const HEAD_BYTES: usize = 256;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// May hold a passphrase, hence wiped.
    Whole(Zeroizing<Vec<u8>>),
    /// A line that was longer than [`MAX_LINE_BYTES`]: its first bytes.
    TooLong(Vec<u8>),
}

/// Cuts bytes into lines. Holds at most one line of the permitted length.
pub(super) struct LineSplitter {
    max_bytes: usize,
    begun: Zeroizing<Vec<u8>>,
    is_too_long: bool,
}

impl LineSplitter {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, begun: Zeroizing::default(), is_too_long: false }
    }

    /// The lines that these bytes complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for portion in bytes.split_inclusive(|byte| *byte == b'\n') {
            match portion.strip_suffix(b"\n") {
                None => self.extend(portion),
                Some(rest) => {
                    self.extend(rest);
                    lines.push(self.take());
                }
            }
        }
        lines
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.is_too_long {
            return;
        }
        if self.begun.len() + bytes.len() > self.max_bytes {
            self.is_too_long = true;
            // So much that it is the same however the bytes arrive.
            let missing = HEAD_BYTES.min(self.max_bytes).saturating_sub(self.begun.len()).min(bytes.len());
            self.begun.extend_from_slice(&bytes[..missing]);
            self.begun.truncate(HEAD_BYTES);
            self.begun.shrink_to_fit();
            return;
        }
        self.begun.extend_from_slice(bytes);
    }

    fn take(&mut self) -> Line {
        let line = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.is_too_long) { Line::TooLong(line.to_vec()) } else { Line::Whole(line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &[u8]) -> Line {
        Line::Whole(Zeroizing::new(text.to_vec()))
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = b"{\"id\":\"1\"}\n\nlonger than twelve bytes\nlast\nunfinished";
        let expected =
            [whole(b"{\"id\":\"1\"}"), whole(b""), Line::TooLong(text[12..24].to_vec()), whole(b"last")];
        for portion in 1..=text.len() {
            let mut splitter = LineSplitter::new(12);
            let lines: Vec<Line> = text.chunks(portion).flat_map(|bytes| splitter.push(bytes)).collect();
            assert_eq!(lines, expected, "portions of {portion}");
        }
    }

    #[test]
    fn a_line_without_end_takes_no_memory_beyond_the_limit() {
        let mut splitter = LineSplitter::new(1 << 20);
        for _ in 0..64 {
            assert!(splitter.push(&[b'x'; 1 << 20]).is_empty());
            assert!(splitter.begun.capacity() <= 2 << 20);
        }
        assert_eq!(splitter.push(b"\n"), [Line::TooLong(vec![b'x'; HEAD_BYTES])]);
        assert_eq!(splitter.push(b"a\n"), [whole(b"a")]);
    }
}
