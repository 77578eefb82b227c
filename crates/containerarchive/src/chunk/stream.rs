//! From a byte stream to batches of whole chunks.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use super::Chunker;

/// What a batch holds at least beside one largest chunk, so that the copy of the unfinished tail is rare enough.
const LEAST_BYTES: usize = 64 << 10;

/// Consecutive chunks of a stream in one buffer. Made to be filled again and again.
#[derive(Default)]
pub struct Batch {
    buffer: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Batch {
    /// An empty batch; memory is taken when it is first filled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many chunks it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// True before the first filling and after the end of a stream.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The chunk with this number, in stream order. A number beyond [`Self::len`] is a defect of the caller.
    #[must_use]
    pub fn chunk(&self, number: usize) -> &[u8] {
        &self.buffer[self.ranges[number].clone()]
    }

    /// All chunks, in stream order.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ranges.iter().map(|range| &self.buffer[range.clone()])
    }

    /// Bytes of all chunks.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.ranges.last().map_or(0, |range| range.end)
    }
}

/// Cuts a stream.
///
/// Cuts depend on the stream's bytes only, never on how `source` divides them into reads, or on the size of batches.
/// Memory: each batch in circulation holds its bytes and 16 for each chunk; the reader keeps at most one largest chunk
/// besides.
pub struct ChunkReader<'a, R> {
    chunker: &'a Chunker,
    source: R,
    batch_bytes: usize,
    carry: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

impl<'a, R: Read> ChunkReader<'a, R> {
    /// Cuts `source` from its current place to its end, into batches of `batch_bytes`, or a little more than the
    /// largest chunk if that is more.
    #[must_use]
    pub fn new(chunker: &'a Chunker, source: R, batch_bytes: usize) -> Self {
        let batch_bytes = batch_bytes.max(chunker.params().max() + LEAST_BYTES);
        Self { chunker, source, batch_bytes, carry: Vec::new(), state: State::Reading }
    }

    /// The source. What is read from it past this reader is not cut.
    pub fn source_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// Fills `batch` with the next chunks, at least one; false and an empty batch at the end of the stream.
    /// Blocks until a buffer is full or the stream ends.
    ///
    /// # Errors
    /// The source failed; `Interrupted` is retried. What was read since the last batch is lost then, so the
    /// stream must not be taken as whole: every later call fails, too.
    pub fn next_batch(&mut self, batch: &mut Batch) -> io::Result<bool> {
        batch.ranges.clear();
        // The length stays the same, so that a recycled buffer is not zeroed again; a new one is zeroed by the system,
        // which takes no memory for what a short stream never fills.
        if batch.buffer.len() != self.batch_bytes {
            batch.buffer = vec![0; self.batch_bytes];
        }
        let filled = self.fill(&mut batch.buffer)?;
        let at_end = self.state == State::Ended;
        let mut start = 0;
        while let Some(length) = self.chunker.cut(&batch.buffer[start..filled], at_end) {
            batch.ranges.push(start..start + length);
            start += length;
        }
        // Shorter than the largest chunk, or the chunker would have cut it.
        // Kept and filled again: allocators make room for buffers that come and go, and many streams at once then take
        // half as much memory again.
        self.carry.clear();
        self.carry.extend_from_slice(&batch.buffer[start..filled]);
        Ok(!batch.is_empty())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.state == State::Failed {
            return Err(io::Error::other("the stream failed before"));
        }
        let mut filled = self.carry.len();
        buffer[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        while filled < buffer.len() && self.state == State::Reading {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => self.state = State::Ended,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.state = State::Failed;
                    return Err(error);
                }
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference::chunk_lengths;
    use super::super::testing::Random;
    use super::super::{ChunkParams, GearTable};
    use super::*;

    /// More than one batch of the sizes tested here.
    const LARGE: usize = 4 << 20;

    /// Gives the stream in pieces of random size, with interruptions, and fails when only `fails_at` bytes are left.
    struct Choppy<'a> {
        rest: &'a [u8],
        random: Random,
        largest: usize,
        fails_at: Option<usize>,
    }

    impl Read for Choppy<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.random.below(4) == 0 {
                return Err(ErrorKind::Interrupted.into());
            }
            if self.fails_at.is_some_and(|left| self.rest.len() <= left) {
                return Err(ErrorKind::ConnectionReset.into());
            }
            let count = (1 + self.random.below(self.largest)).min(buffer.len()).min(self.rest.len());
            buffer[..count].copy_from_slice(&self.rest[..count]);
            self.rest = &self.rest[count..];
            Ok(count)
        }
    }

    fn choppy(rest: &[u8], seed: u64, largest: usize) -> impl Read {
        Choppy { rest, random: Random(seed), largest, fails_at: None }
    }

    fn read_all(chunker: &Chunker, source: impl Read) -> Vec<Vec<u8>> {
        let mut reader = ChunkReader::new(chunker, source, 0);
        let mut batch = Batch::new();
        let mut chunks = Vec::new();
        while reader.next_batch(&mut batch).unwrap() {
            assert_eq!(batch.chunks().map(<[u8]>::len).sum::<usize>(), batch.content_bytes());
            assert!(batch.chunks().enumerate().all(|(number, chunk)| batch.chunk(number) == chunk));
            chunks.extend(batch.chunks().map(<[u8]>::to_vec));
        }
        assert!(batch.is_empty() && !reader.next_batch(&mut batch).unwrap());
        chunks
    }

    #[test]
    fn cuts_do_not_depend_on_how_the_source_divides_its_bytes() {
        let params = ChunkParams::new(4 << 10, 64 << 10, 1 << 20).unwrap();
        let chunker = Chunker::new(params, GearTable::published());
        // More than two buffers, with a stretch of zeros that only the largest size cuts.
        let mut random = Random(11);
        let mut stream: Vec<u8> = (0..(9 << 20) + 4321).map(|_| random.next() as u8).collect();
        stream[3 << 20..(6 << 20) + 5].fill(0);
        let expected = chunk_lengths(&params, &GearTable::published(), &stream);
        for (seed, largest) in [(1, 1), (2, 3), (3, 5000), (4, 1 << 20), (5, usize::MAX)] {
            let chunks = read_all(&chunker, choppy(&stream, seed, largest));
            assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), expected, "seed {seed}");
            assert!(chunks.concat() == stream, "seed {seed}");
        }
    }

    #[test]
    fn short_streams_and_buffer_lengths_are_cut_whole() {
        let params = ChunkParams::new(64, 256, 1024).unwrap();
        let chunker = Chunker::new(params, GearTable::published());
        assert!(read_all(&chunker, io::empty()).is_empty());
        let mut random = Random(5);
        let noise: Vec<u8> = (0..LARGE + 2).map(|_| random.next() as u8).collect();
        for length in [1, 2, 63, 64, 65, 1023, 1024, 1025, LARGE - 1, LARGE, LARGE + 1] {
            let chunks = read_all(&chunker, &noise[..length]);
            assert!(chunks.concat() == noise[..length], "length {length}");
        }
    }

    #[test]
    fn a_failing_source_fails_the_stream_for_good() {
        let chunker = Chunker::new(ChunkParams::default(), GearTable::published());
        let stream = vec![1; 6 << 20];
        let source = Choppy { rest: &stream, random: Random(1), largest: 1 << 20, fails_at: Some(1 << 19) };
        let mut reader = ChunkReader::new(&chunker, source, LARGE);
        let mut batch = Batch::new();
        assert!(reader.next_batch(&mut batch).unwrap());
        assert_eq!(reader.next_batch(&mut batch).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(batch.is_empty());
        assert!(reader.next_batch(&mut batch).is_err());
    }
}
