//! What a user can ask for: `auto`, `zstd:3`, `gzip:6`, `none`.

use std::fmt;
use std::str::FromStr;

/// A text or number names no way to compress.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// Not one of the forms.
    #[error("'{text}' is not a compression: write auto, zstd, zstd:LEVEL, gzip, gzip:LEVEL or none")]
    Form {
        /// What was given, shortened.
        text: String,
    },
    /// No level of zstd.
    #[error("zstd has no level {level} here: choose 1 to 22, or -1 to -7 for more speed")]
    ZstdLevel {
        /// What was given.
        level: i32,
    },
    /// No level of gzip.
    #[error("gzip has no level {level}: choose 1 to 9")]
    GzipLevel {
        /// What was given.
        level: i32,
    },
}

/// A level of zstd: 1 to 22, or −7 to −1 for speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZstdLevel(i32);

impl ZstdLevel {
    /// The fastest of the regular levels.
    pub const FAST: Self = Self(1);
    /// What zstd itself takes when not told otherwise.
    pub const DEFAULT: Self = Self(3);

    /// Checks the number.
    ///
    /// # Errors
    /// It is not in 1..=22 or −7..=−1. Zero is refused: for zstd it means "default", not "less than 1".
    pub fn new(level: i32) -> Result<Self, CompressionError> {
        match level {
            -7..=-1 | 1..=22 => Ok(Self(level)),
            _ => Err(CompressionError::ZstdLevel { level }),
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }
}

/// A level of gzip: 1 to 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GzipLevel(u8);

impl GzipLevel {
    /// What gzip itself takes when not told otherwise.
    pub const DEFAULT: Self = Self(6);

    /// Checks the number.
    ///
    /// # Errors
    /// It is not in 1..=9.
    pub fn new(level: i32) -> Result<Self, CompressionError> {
        match u8::try_from(level) {
            Ok(checked @ 1..=9) => Ok(Self(checked)),
            _ => Err(CompressionError::GzipLevel { level }),
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

/// The setting. The text form is `auto`, `zstd:3`, `gzip:6` or `none`; `zstd` and `gzip` alone mean these levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// zstd with a level found for each item.
    #[default]
    Auto,
    /// zstd with this level.
    Zstd(ZstdLevel),
    /// gzip with this level.
    Gzip(GzipLevel),
    /// No compression.
    None,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Zstd(level) => write!(f, "zstd:{}", level.get()),
            Self::Gzip(level) => write!(f, "gzip:{}", level.get()),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        let form = || CompressionError::Form { text: text.chars().take(80).collect() };
        match text.split_once(':') {
            None => match text {
                "auto" => Ok(Self::Auto),
                "zstd" => Ok(Self::Zstd(ZstdLevel::DEFAULT)),
                "gzip" => Ok(Self::Gzip(GzipLevel::DEFAULT)),
                "none" => Ok(Self::None),
                _ => Err(form()),
            },
            Some((name, level)) => {
                // `parse` alone would take a leading plus.
                let level = level.parse().ok().filter(|_| !level.starts_with('+')).ok_or_else(form)?;
                match name {
                    "zstd" => ZstdLevel::new(level).map(Self::Zstd),
                    "gzip" => GzipLevel::new(level).map(Self::Gzip),
                    _ => Err(form()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip() {
        for text in ["auto", "none", "zstd:1", "zstd:22", "zstd:-7", "gzip:1", "gzip:9"] {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
        }
        assert_eq!("zstd".parse::<Compression>().unwrap().to_string(), "zstd:3");
        assert_eq!("gzip".parse::<Compression>().unwrap().to_string(), "gzip:6");
    }

    #[test]
    fn other_forms_and_levels_are_refused() {
        for bad in [
            "",
            "Zstd",
            "zstd:",
            "zstd:0",
            "zstd:23",
            "zstd:-8",
            "zstd:+3",
            "zstd:3:1",
            "gzip:0",
            "gzip:10",
            "gzip:-1",
            "none:1",
            "auto:3",
            "lz4",
            "zstd: 3",
            "zstd:99999999999",
        ] {
            assert!(bad.parse::<Compression>().is_err(), "{bad}");
        }
    }
}
