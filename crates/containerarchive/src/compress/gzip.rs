//! One gzip member (RFC 1952) in memory, with reused states.
//!
//! Byte table: header `1f 8b 08 00 00 00 00 00 00 ff` (deflate, no flags, no time, no hint, unknown system), raw
//! deflate stream (RFC 1951), CRC-32 and length of the plain bytes, both 32-bit little-endian. The header is
//! written here, as libraries put the system they run on into it.

use flate2::{Compress, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::GzipLevel;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const TRAILER_BYTES: usize = 8;

/// Why stored bytes are not our gzip member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GzipError {
    /// Not the one header that is written, or too short.
    #[error("not a gzip member of this repository")]
    Header,
    /// The deflate stream is broken.
    #[error("broken deflate stream")]
    Deflate,
    /// The deflate stream does not end where the trailer starts.
    #[error("gzip member does not end with the stored bytes")]
    Extent,
    /// The checksum or length is another.
    #[error("gzip checksum does not fit")]
    Checksum,
}

pub(super) struct GzipEncoder {
    level: GzipLevel,
    deflate: Compress,
}

impl GzipEncoder {
    pub(super) fn new(level: GzipLevel) -> Self {
        Self { level, deflate: Compress::new(flate2::Compression::new(u32::from(level.get())), false) }
    }

    pub(super) fn level(&self) -> GzipLevel {
        self.level
    }

    /// Appends the member; `None`, with bytes of no use appended, when it would not be shorter than the input.
    pub(super) fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        out.reserve(input.len() + HEADER.len() + TRAILER_BYTES);
        out.extend_from_slice(&HEADER);
        self.deflate.reset();
        // A second call happens only when the buffer is full: the input did not shrink.
        let status = self.deflate.compress_vec(input, out, FlushCompress::Finish).ok()?;
        if status != Status::StreamEnd {
            return None;
        }
        let mut crc = Crc::new();
        crc.update(input);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        (out.len() - start < input.len()).then_some(())
    }
}

pub(super) struct GzipDecoder {
    inflate: Decompress,
}

impl GzipDecoder {
    pub(super) fn new() -> Self {
        Self { inflate: Decompress::new(false) }
    }

    /// Fills the spare capacity of `out`, and no more.
    pub(super) fn decode(&mut self, stored: &[u8], out: &mut Vec<u8>) -> Result<(), GzipError> {
        let start = out.len();
        let rest = stored.strip_prefix(&HEADER).ok_or(GzipError::Header)?;
        let (deflated, trailer) = rest.split_last_chunk::<TRAILER_BYTES>().ok_or(GzipError::Header)?;
        self.inflate.reset(false);
        let status = self.inflate.decompress_vec(deflated, out, FlushDecompress::Finish);
        match status {
            Ok(Status::StreamEnd) if self.inflate.total_in() == deflated.len() as u64 => {}
            Ok(_) => return Err(GzipError::Extent),
            Err(_) => return Err(GzipError::Deflate),
        }
        let mut crc = Crc::new();
        crc.update(&out[start..]);
        let [a, b, c, d] = crc.sum().to_le_bytes();
        let [e, f, g, h] = crc.amount().to_le_bytes();
        if *trailer == [a, b, c, d, e, f, g, h] { Ok(()) } else { Err(GzipError::Checksum) }
    }
}
