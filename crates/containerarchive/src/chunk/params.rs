//! The three sizes of content-defined chunking.

use std::fmt;
use std::str::FromStr;

use crate::base::limits::MAX_CHUNK_BYTES;

/// Least, average and largest chunk size in bytes, checked.
///
/// The text form is `64KiB,256KiB,1MiB`; a size is a number of bytes or of the units `KiB` and `MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkParams {
    min: usize,
    average: usize,
    max: usize,
}

/// Three sizes cannot be used for chunking.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkParamsError {
    /// There are not three sizes.
    #[error("chunk sizes are written as least,average,largest, for example 64KiB,256KiB,1MiB")]
    Count,
    /// A size is not a number with or without a unit.
    #[error("'{text}' is not a size: write bytes, or a number followed by KiB or MiB")]
    Size {
        /// What was given, shortened.
        text: String,
    },
    /// The sizes do not grow, or leave the bounds.
    #[error(
        "chunk sizes {min},{average},{max} do not fit 64 <= least < average < largest <= {MAX_CHUNK_BYTES}"
    )]
    Order {
        /// Least.
        min: usize,
        /// Average.
        average: usize,
        /// Largest.
        max: usize,
    },
    /// The average has no masks.
    #[error("average chunk size {average} is not a power of two from 256 to 4194304")]
    Average {
        /// What was given.
        average: usize,
    },
    /// Least or largest is odd; implementations that step by two bytes would round it.
    #[error("chunk size {size} is odd")]
    Odd {
        /// What was given.
        size: usize,
    },
}

impl ChunkParams {
    /// Smallest least size: the gear hash looks back over 64 bytes.
    pub const MIN_BYTES: usize = 64;
    /// Smallest average.
    pub const LEAST_AVERAGE: usize = 1 << 8;
    /// Largest average.
    pub const LARGEST_AVERAGE: usize = 1 << 22;

    /// Checks the three sizes.
    ///
    /// # Errors
    /// They do not satisfy 64 ≤ min < average < max ≤ 16 MiB, the average is not a power of two from 256 B to
    /// 4 MiB, or one is odd.
    pub fn new(min: usize, average: usize, max: usize) -> Result<Self, ChunkParamsError> {
        if min < Self::MIN_BYTES || min >= average || average >= max || max > MAX_CHUNK_BYTES {
            return Err(ChunkParamsError::Order { min, average, max });
        }
        let has_masks = (Self::LEAST_AVERAGE..=Self::LARGEST_AVERAGE).contains(&average);
        if !average.is_power_of_two() || !has_masks {
            return Err(ChunkParamsError::Average { average });
        }
        match [min, max].into_iter().find(|size| size % 2 == 1) {
            Some(size) => Err(ChunkParamsError::Odd { size }),
            None => Ok(Self { min, average, max }),
        }
    }

    /// No chunk but a stream's last is smaller.
    #[must_use]
    pub fn min(&self) -> usize {
        self.min
    }

    /// Where the masks change; chunk sizes gather around it.
    #[must_use]
    pub fn average(&self) -> usize {
        self.average
    }

    /// No chunk is larger.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }
}

impl Default for ChunkParams {
    /// 64 KiB, 256 KiB, 1 MiB.
    fn default() -> Self {
        Self { min: 64 << 10, average: 256 << 10, max: 1 << 20 }
    }
}

impl fmt::Display for ChunkParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", Size(self.min), Size(self.average), Size(self.max))
    }
}

impl FromStr for ChunkParams {
    type Err = ChunkParamsError;

    fn from_str(text: &str) -> Result<Self, ChunkParamsError> {
        let mut sizes = text.split(',');
        match (sizes.next(), sizes.next(), sizes.next(), sizes.next()) {
            (Some(min), Some(average), Some(max), None) => {
                Self::new(parse_size(min)?, parse_size(average)?, parse_size(max)?)
            }
            _ => Err(ChunkParamsError::Count),
        }
    }
}

const UNITS: [(&str, usize); 2] = [("MiB", 1 << 20), ("KiB", 1 << 10)];

struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.into_iter().find(|(_, unit)| self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

fn parse_size(text: &str) -> Result<usize, ChunkParamsError> {
    let with_unit = UNITS.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)));
    let (digits, unit) = with_unit.unwrap_or((text, 1));
    // `parse` alone would take a leading plus.
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit());
    let count = digits.parse::<usize>().ok().filter(|_| is_number);
    count
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| ChunkParamsError::Size { text: text.chars().take(80).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_names_the_default() {
        assert_eq!(ChunkParams::default().to_string(), "64KiB,256KiB,1MiB");
        assert_eq!("64KiB,256KiB,1MiB".parse(), Ok(ChunkParams::default()));
        assert_eq!("65536,262144,1048576".parse(), Ok(ChunkParams::default()));
        for text in ["64,256,258", "66,1KiB,1026", "2MiB,4MiB,16MiB"] {
            assert_eq!(text.parse::<ChunkParams>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn sizes_outside_the_bounds_are_refused() {
        for bad in [
            "62,256,1024",
            "256,256,1024",
            "64,256,256",
            "64,256,16777218",
            "64,128,1024",
            "64,300,1024",
            "64,8MiB,16MiB",
            "65,256,1024",
            "64,256,1023",
            "64,256",
            "64,256,1024,2048",
            "64,256,1024,",
            "",
            "+64,256,1024",
            "64 ,256,1024",
            "64kib,256,1024",
            "KiB,256,1024",
            "64,256,99999999999999999999",
            "64,256,18014398509481985KiB",
            "-1,256,1024",
        ] {
            assert!(bad.parse::<ChunkParams>().is_err(), "{bad}");
        }
    }
}
