//! What is measured on: parts of a file, cut as the engine cuts them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use containerarchive::ChunkParams;
use containerarchive::chunk::{Chunker, GearTable};

/// A file longer than the sample is taken in so many parts, evenly spread: dumps are not alike from end to end.
const PARTS: u64 = 64;

/// Bytes of a file in memory, and the chunks in them.
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) chunks: Vec<Range<usize>>,
}

impl Sample {
    /// Reads at most `most_bytes` of a file.
    pub(crate) fn read(file: &Path, most_bytes: u64) -> io::Result<Self> {
        let file = File::open(file)?;
        let file_bytes = file.metadata()?.len();
        if file_bytes == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is empty, or not a file"));
        }
        let (count, part_bytes) =
            if file_bytes <= most_bytes { (1, file_bytes) } else { (PARTS, (most_bytes / PARTS).max(1)) };
        let mut bytes = vec![0; (count * part_bytes) as usize];
        let mut start = 0;
        for part in bytes.chunks_exact_mut(part_bytes as usize) {
            file.read_exact_at(part, start)?;
            start += file_bytes / count;
        }
        let chunker = Self::chunker();
        let chunks = cut(&chunker, &bytes);
        Ok(Self { bytes, chunks })
    }

    /// The default sizes. The published table is as fast as a secret one.
    pub(crate) fn chunker() -> Chunker {
        Chunker::new(ChunkParams::default(), GearTable::published())
    }

    /// The chunks' bytes.
    pub(crate) fn chunks(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.chunks.iter().map(|range| &self.bytes[range.clone()])
    }
}

/// All chunks of `bytes`.
pub(crate) fn cut(chunker: &Chunker, bytes: &[u8]) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    while let Some(length) = chunker.cut(&bytes[start..], true) {
        chunks.push(start..start + length);
        start += length;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_the_file_and_its_chunks_cover_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..640_000u32).map(|at| (at / 10_000) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let sample = Sample::read(&path, 6_400).unwrap();
        let expected: Vec<u8> = (0..64u8).flat_map(|part| [part; 100]).collect();
        assert_eq!(sample.bytes, expected);
        assert_eq!(sample.chunks().flatten().count(), 6_400);
        assert_eq!(Sample::read(&path, 640_000).unwrap().bytes, content);
    }
}
