//! The part of a zstd frame's header that decides whether we decompress it (RFC 8878, section 3.1.1.1).

/// log2 of the largest accepted window: that of the largest chunk.
pub(super) const MAX_WINDOW_LOG: u32 = 24;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a frame is refused before it is decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not the magic number of a frame with content; this includes skippable frames.
    #[error("not a zstd frame")]
    Magic,
    /// The header is cut short or sets a reserved bit.
    #[error("broken zstd header")]
    Header,
    /// It wants a dictionary, and chunks have none.
    #[error("zstd frame with a dictionary")]
    Dictionary,
    /// It wants more memory than a chunk can need.
    #[error("zstd window of 2^{log} bytes")]
    Window {
        /// log2 of the window, rounded down.
        log: u32,
    },
    /// It announces another length than the chunk has.
    #[error("zstd frame of {content_bytes} bytes")]
    Length {
        /// What it announces.
        content_bytes: u64,
    },
    /// The frame is broken or cut short, or something follows it.
    #[error("zstd frame does not end with the stored bytes")]
    Extent,
}

/// Checks that `stored` is exactly one frame that can hold `plain_len` bytes.
pub(super) fn check(stored: &[u8], plain_len: usize) -> Result<(), FrameError> {
    let rest = stored.strip_prefix(&MAGIC).ok_or(FrameError::Magic)?;
    let (descriptor, rest) = rest.split_first().ok_or(FrameError::Header)?;
    let is_single_segment = descriptor & 0x20 != 0;
    if descriptor & 0x08 != 0 {
        return Err(FrameError::Header);
    }
    if descriptor & 0x03 != 0 {
        return Err(FrameError::Dictionary);
    }
    if !is_single_segment {
        let window = rest.first().ok_or(FrameError::Header)?;
        // Five bits of exponent, then three of mantissa that add up to 7/8 of the power.
        let log = 10 + u32::from(window >> 3);
        if log > MAX_WINDOW_LOG || (log == MAX_WINDOW_LOG && window & 7 != 0) {
            return Err(FrameError::Window { log });
        }
    }
    match zstd::zstd_safe::get_frame_content_size(stored) {
        Ok(Some(content_bytes)) if content_bytes != plain_len as u64 => {
            return Err(FrameError::Length { content_bytes });
        }
        Ok(_) => {}
        Err(_) => return Err(FrameError::Header),
    }
    match zstd::zstd_safe::find_frame_compressed_size(stored) {
        Ok(length) if length == stored.len() => Ok(()),
        _ => Err(FrameError::Extent),
    }
}
