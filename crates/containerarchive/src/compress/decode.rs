//! Decompressing chunks that somebody else may have written.

use std::io::Cursor;

use crate::base::limits::MAX_CHUNK_BYTES;

use super::Codec;
use super::gzip::{GzipDecoder, GzipError};
use super::zstd_frame::{self, FrameError};

/// Stored bytes are not the compressed form of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The announced length is beyond the limit of chunks.
    #[error("a chunk of {plain_bytes} bytes is larger than {MAX_CHUNK_BYTES}")]
    TooLarge {
        /// What was announced.
        plain_bytes: usize,
    },
    /// There are more or fewer bytes than announced.
    #[error("chunk has not the length of {plain_bytes} bytes that its record says")]
    Length {
        /// What was announced.
        plain_bytes: usize,
    },
    /// The zstd frame is not acceptable.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The zstd frame is broken.
    #[error("broken zstd frame")]
    Zstd,
    /// The gzip member is broken.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// No memory for zstd's state.
    #[error("no memory for decompression")]
    Memory,
}

/// Decompresses chunks; each worker thread has its own. Its states are of fixed size (about 200 KiB), whatever
/// the stored bytes ask for.
#[derive(Default)]
pub struct Decompressor {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    gzip: Option<GzipDecoder>,
}

impl Decompressor {
    /// A decompressor without any state yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the `plain_len` bytes that `stored` stands for. Memory: `out` grows by `plain_len` bytes at most.
    ///
    /// # Errors
    /// `plain_len` is beyond [`MAX_CHUNK_BYTES`]; or `stored` is not exactly one compressed form of exactly
    /// `plain_len` bytes, with nothing before or behind it. `out` is as before then.
    pub fn decompress(
        &mut self,
        codec: Codec,
        stored: &[u8],
        plain_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), DecompressError> {
        if plain_len > MAX_CHUNK_BYTES {
            return Err(DecompressError::TooLarge { plain_bytes: plain_len });
        }
        let start = out.len();
        out.reserve_exact(plain_len);
        let mut done = match codec {
            Codec::None if stored.len() == plain_len => {
                out.extend_from_slice(stored);
                Ok(())
            }
            Codec::None => Err(DecompressError::Length { plain_bytes: plain_len }),
            Codec::Zstd => self.zstd(stored, plain_len, out),
            Codec::Gzip => {
                self.gzip.get_or_insert_with(GzipDecoder::new).decode(stored, out).map_err(Into::into)
            }
        };
        // A recycled buffer has room for more than was announced.
        if done.is_ok() && out.len() - start != plain_len {
            done = Err(DecompressError::Length { plain_bytes: plain_len });
        }
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    fn zstd(&mut self, stored: &[u8], plain_len: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
        zstd_frame::check(stored, plain_len)?;
        let context = match &mut self.zstd {
            Some(context) => context,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(|_| DecompressError::Memory)?),
        };
        let mut target = Cursor::new(out);
        target.set_position(target.get_ref().len() as u64);
        context.decompress_to_buffer(stored, &mut target).map_err(|_| DecompressError::Zstd)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::lines;
    use super::super::{Compressor, GzipLevel, Method, ZstdLevel};
    use super::*;

    fn stored(method: Method, input: &[u8]) -> (Codec, Vec<u8>) {
        let mut out = Vec::new();
        let codec = Compressor::new().compress(method, input, &mut out);
        assert_ne!(codec, Codec::None);
        (codec, out)
    }

    fn both() -> [Method; 2] {
        [Method::Zstd(ZstdLevel::DEFAULT), Method::Gzip(GzipLevel::DEFAULT)]
    }

    /// With a recycled buffer, as its room is what a bomb could fill.
    fn decompress(codec: Codec, stored: &[u8], plain_len: usize) -> Result<Vec<u8>, DecompressError> {
        let mut out = Vec::with_capacity(plain_len.min(MAX_CHUNK_BYTES) + 5000);
        out.push(7);
        let done = Decompressor::new().decompress(codec, stored, plain_len, &mut out);
        assert_eq!(out.len(), if done.is_ok() { 1 + plain_len } else { 1 });
        assert_eq!(out.remove(0), 7);
        done.map(|()| out)
    }

    #[test]
    fn another_length_than_announced_is_refused() {
        let input = lines(1, 20_000);
        for (codec, stored) in both().map(|method| stored(method, &input)) {
            for plain_len in [0, 1, 19_999, 20_001, MAX_CHUNK_BYTES, MAX_CHUNK_BYTES + 1, usize::MAX] {
                assert!(decompress(codec, &stored, plain_len).is_err(), "{codec:?} {plain_len}");
            }
        }
        assert!(decompress(Codec::None, &input, 19_999).is_err());
        assert!(decompress(Codec::None, &[], 0).is_ok());
    }

    #[test]
    fn every_truncation_and_every_addition_is_refused() {
        let input = lines(1, 3000);
        for (codec, stored) in both().map(|method| stored(method, &input)) {
            for length in 0..stored.len() {
                assert!(decompress(codec, &stored[..length], input.len()).is_err(), "{codec:?} {length}");
            }
            let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
            for addition in [&[0][..], &skippable, &stored] {
                let longer = [&stored, addition].concat();
                assert!(decompress(codec, &longer, input.len()).is_err(), "{codec:?}");
                let before = [addition, &stored].concat();
                assert!(decompress(codec, &before, input.len()).is_err(), "{codec:?}");
            }
        }
    }

    #[test]
    fn two_members_or_frames_that_add_up_are_refused() {
        let (first, second) = (lines(1, 2000), lines(2, 1000));
        for method in both() {
            let joined = [stored(method, &first).1, stored(method, &second).1].concat();
            let codec = stored(method, &first).0;
            assert!(decompress(codec, &joined, 3000).is_err(), "{codec:?}");
        }
    }

    #[test]
    fn bombs_are_refused_and_take_no_memory() {
        let bomb = vec![0; MAX_CHUNK_BYTES];
        for (codec, stored) in both().map(|method| stored(method, &bomb)) {
            assert!(stored.len() < MAX_CHUNK_BYTES / 500);
            let mut out = Vec::new();
            assert!(Decompressor::new().decompress(codec, &stored, 1000, &mut out).is_err());
            assert!(out.capacity() < 2000);
        }
    }

    #[test]
    fn frames_with_huge_windows_or_dictionaries_or_without_content_are_refused() {
        // Magic, descriptor, window, then one last raw block of one byte.
        let frame = |descriptor: u8, window: u8| {
            [&[0x28, 0xb5, 0x2f, 0xfd, descriptor, window][..], &[0x09, 0, 0, b'x']].concat()
        };
        let refused = |bytes: &[u8]| decompress(Codec::Zstd, bytes, 1).unwrap_err();
        assert_eq!(decompress(Codec::Zstd, &frame(0, 14 << 3), 1).unwrap(), b"x");
        assert_eq!(refused(&frame(0, (14 << 3) + 1)), FrameError::Window { log: 24 }.into());
        assert_eq!(refused(&frame(0, 0xff)), FrameError::Window { log: 41 }.into());
        assert_eq!(refused(&frame(1, 0)), FrameError::Dictionary.into());
        assert_eq!(refused(&frame(8, 0)), FrameError::Header.into());
        // Single segment: the byte after the descriptor is the content's length.
        assert_eq!(decompress(Codec::Zstd, &frame(0x20, 1), 1).unwrap(), b"x");
        assert_eq!(refused(&frame(0x20, 200)), FrameError::Length { content_bytes: 200 }.into());
        assert_eq!(refused(&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]), FrameError::Magic.into());
    }

    proptest! {
        #[test]
        fn flipped_bits_never_give_more_than_announced(
            seed: u64,
            length in 200usize..20_000,
            flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        ) {
            let input = lines(seed, length);
            for (codec, mut bytes) in both().map(|method| stored(method, &input)) {
                for (place, bit) in &flips {
                    let place = place.index(bytes.len());
                    bytes[place] ^= 1 << bit;
                }
                let outcome = decompress(codec, &bytes, length);
                // The gzip checksum notices; a zstd frame has none, as packs are authenticated.
                if codec == Codec::Gzip && outcome.is_ok() {
                    prop_assert!(outcome.unwrap() == input);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, plain_len in 0usize..5000) {
            let member = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff][..], &bytes].concat();
            let frame = [&[0x28, 0xb5, 0x2f, 0xfd][..], &bytes].concat();
            for (codec, stored) in [(Codec::Gzip, &member), (Codec::Zstd, &frame), (Codec::Zstd, &bytes)] {
                let _ = decompress(codec, stored, plain_len);
            }
        }
    }
}
