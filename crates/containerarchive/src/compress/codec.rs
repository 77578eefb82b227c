//! How a stored chunk is compressed.

/// The codec of a chunk, as recorded beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// The plain bytes.
    None = 0,
    /// One zstd frame (RFC 8878) without dictionary, with a window of at most 16 MiB.
    Zstd = 1,
    /// One gzip member (RFC 1952) with no optional field in its header.
    Gzip = 2,
}

impl Codec {
    /// The codec with this number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::None),
            1 => Some(Self::Zstd),
            2 => Some(Self::Gzip),
            _ => None,
        }
    }

    /// The number that is recorded.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_has_its_own_byte() {
        for byte in 0..=u8::MAX {
            assert_eq!(Codec::from_byte(byte).map(Codec::to_byte), (byte < 3).then_some(byte));
        }
    }
}
