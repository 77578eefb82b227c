//! What an item is read from, and what its content is checked for at its end.

use std::io::{self, Read};
use std::sync::Arc;

use serde_json::Value;

use crate::error::Error;
use crate::host::CapturedCommand;

/// How much of an item's end [`super::IngestOptions::expected_tail`] is looked for in.
pub(super) const TAIL_BYTES: usize = 4 << 10;

/// What an item is read from. Everything that can be read and sent to another thread is one.
///
/// For programs of which the end of the output says nothing (a dump that was killed ends like one that was finished),
/// [`Source::finish`] tells whether it is whole.
pub trait Source: Send {
    /// The next bytes; 0 at the end, as [`Read::read`].
    ///
    /// # Errors
    /// As [`Read::read`].
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Bytes that the evidence of [`Source::finish`] takes at most as JSON. Asked before anything is read: a snapshot
    /// whose description could become too long is refused then, and not when all is stored.
    fn max_evidence_bytes(&self) -> usize {
        0
    }

    /// Called once, when the end was read, in the thread that reads. What it returns is kept as the item's evidence.
    ///
    /// # Errors
    /// The content is not whole: there will be no snapshot.
    fn finish(&mut self) -> io::Result<Option<Value>> {
        Ok(None)
    }
}

impl<R: Read + Send> Source for R {
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }
}

impl Source for CapturedCommand {
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_output(buffer)
    }

    fn max_evidence_bytes(&self) -> usize {
        self.max_evidence_bytes()
    }

    fn finish(&mut self) -> io::Result<Option<Value>> {
        let evidence = self.finish_output()?;
        Ok(Some(serde_json::to_value(evidence)?))
    }
}

/// What every item must be like.
#[derive(Clone)]
pub(super) struct Checks {
    pub(super) min_size_bytes: u64,
    pub(super) expected_tail: Option<Arc<[u8]>>,
}

/// A source, and what is known of what came from it.
pub(super) struct Watched<'a> {
    pub(super) item: String,
    source: Box<dyn Source + 'a>,
    checks: Checks,
    bytes: u64,
    /// Its last bytes; only where they are to be checked.
    tail: Vec<u8>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(item: String, source: Box<dyn Source + 'a>, checks: Checks) -> Self {
        Self { item, source, checks, bytes: 0, tail: Vec::new() }
    }

    /// At the end: its evidence.
    ///
    /// # Errors
    /// It is not whole.
    pub(super) fn finish(&mut self) -> Result<Option<Value>, Error> {
        let item = || self.item.clone();
        // First: a command's own error says more than what it has led to.
        let evidence =
            self.source.finish().map_err(|source| Error::Incomplete { item: self.item.clone(), source })?;
        let announced = self.source.max_evidence_bytes();
        if let Some(evidence) = &evidence
            && evidence.to_string().len() > announced
        {
            let source = io::Error::other(format!("its evidence takes more than {announced} bytes"));
            return Err(Error::Incomplete { item: item(), source });
        }
        let (size, min_size) = (self.bytes, self.checks.min_size_bytes);
        if size < min_size {
            return Err(Error::TooSmall { item: item(), size, min_size });
        }
        if let Some(expected) = &self.checks.expected_tail
            && !self.tail.windows(expected.len()).any(|window| window == &**expected)
        {
            let expected = String::from_utf8_lossy(expected).into_owned();
            return Err(Error::UnexpectedTail { item: item(), expected });
        }
        Ok(evidence)
    }

    fn note(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.checks.expected_tail.is_some() {
            self.tail.extend(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
            self.tail.drain(..self.tail.len().saturating_sub(TAIL_BYTES));
        }
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_content(buffer)?;
        self.note(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(content: &[u8], min_size_bytes: u64, tail: &str) -> Result<Option<Value>, Error> {
        let checks = Checks { min_size_bytes, expected_tail: Some(tail.as_bytes().into()) };
        let mut watched = Watched::new("a".to_owned(), Box::new(content), checks);
        let mut buffer = [0; 1000];
        while watched.read(&mut buffer).unwrap() > 0 {}
        watched.finish()
    }

    #[test]
    fn the_expected_tail_is_looked_for_in_the_last_4_kib_only() {
        let content = [b"complete".as_slice(), &[b'-'; TAIL_BYTES - 8]].concat();
        assert!(end(&content, 0, "complete").is_ok());
        let longer = [&content[..], b"-"].concat();
        assert!(matches!(end(&longer, 0, "complete"), Err(Error::UnexpectedTail { .. })));
        assert!(end(&longer, 0, "omplete").is_ok());
        assert!(matches!(end(b"", 0, "x"), Err(Error::UnexpectedTail { .. })));
    }

    #[test]
    fn an_item_of_the_least_size_is_large_enough() {
        assert!(end(b"abc", 3, "c").is_ok());
        assert!(matches!(end(b"abc", 4, "c"), Err(Error::TooSmall { size: 3, min_size: 4, .. })));
    }
}
