//! Which bits of the gear hash decide about a cut.

use super::ChunkParams;

/// Masks with 6 to 24 set bits.
///
/// Those of 6 to 17 bits are the constants of the FastCDC authors' C code (destor), which spread the bits, so that
/// more bytes of content have a say (bit n depends on the last n + 1); the longer ones continue them as
/// restic-FastCDC and the `fastcdc` crate do.
const MASKS: [u64; 19] = [
    0x0000_0000_0180_3110,
    0x0000_0000_1803_5100,
    0x0000_0018_0003_5300,
    0x0000_0190_0035_3000,
    0x0000_5900_0353_0000,
    0x0000_d900_0353_0000,
    0x0000_d901_0353_0000,
    0x0000_d903_0353_0000,
    0x0000_d903_1353_0000,
    0x0000_d90f_0353_0000,
    0x0000_d903_0353_7000,
    0x0000_d907_0353_7000,
    0x0000_d907_0753_7000,
    0x0000_d917_0753_7000,
    0x0000_d917_4753_7000,
    0x0000_d917_6753_7000,
    0x0000_d937_6753_7000,
    0x0000_d937_7753_7000,
    0x0000_d937_7757_7000,
];

/// Set bits of the first mask.
const FIRST_BITS: usize = 6;

/// Normalization level: how many bits more or fewer than log2(average) the masks have. Level 2 is the choice of
/// both papers.
const LEVEL: usize = 2;

/// The two masks of an average size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masks {
    /// log2(average) + 2 bits, used before the average: cuts are rare.
    pub small: u64,
    /// log2(average) − 2 bits, used from the average on: cuts are frequent.
    pub large: u64,
}

impl Masks {
    /// The masks for these sizes.
    #[must_use]
    pub fn of(params: &ChunkParams) -> Self {
        // Parameters are checked: 8 ≤ bits ≤ 22, so both indices lie inside the table.
        let bits = params.average().ilog2() as usize;
        Self { small: MASKS[bits + LEVEL - FIRST_BITS], large: MASKS[bits - LEVEL - FIRST_BITS] }
    }
}

#[cfg(test)]
mod tests {
    use fastcdc::v2020::{Normalization, select_masks};

    use super::*;

    #[test]
    fn masks_have_the_promised_number_of_bits_and_are_the_published_ones() {
        for bits in 8..=22 {
            let average = 1usize << bits;
            let masks = Masks::of(&ChunkParams::new(64, average, average + 2).unwrap());
            assert_eq!((masks.small.count_ones(), masks.large.count_ones()), (bits + 2, bits - 2));
            assert_eq!((masks.small, masks.large), select_masks(average, Normalization::Level2));
        }
    }
}
