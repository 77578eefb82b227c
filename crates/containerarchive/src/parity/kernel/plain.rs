//! Without special instructions: eight bytes in a word, bit by bit.

use super::super::gf::{NIBBLES, multiply};
use super::Part;

const WORD: usize = 8;
/// The lowest bit of each byte.
const LOWEST: u64 = 0x0101_0101_0101_0101;

pub(super) fn add<const N: usize>(source: &[u8], parts: [Part<'_, 1>; N]) {
    // For each bit of a byte what it adds to the product, in every byte of a word.
    let products = parts.each_ref().map(|part| {
        std::array::from_fn::<_, 8, _>(|bit| u64::from(multiply(part.factors[0], 1 << bit)) * LOWEST)
    });
    let (words, rest) = source.as_chunks::<WORD>();
    let mut accumulators = parts.map(|Part { factors: [factor], accumulator }| {
        let (whole, end) = accumulator.as_chunks_mut::<WORD>();
        add_bytes(rest, factor, end);
        &mut whole[..words.len()]
    });
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let mut sums = [0; N];
        for bit in 0..8 {
            let ones = word >> bit & LOWEST;
            // 0xFF where the bit is set.
            let mask = (ones << 8).wrapping_sub(ones);
            for (sum, products) in sums.iter_mut().zip(&products) {
                *sum ^= mask & products[bit];
            }
        }
        for (accumulator, sum) in accumulators.iter_mut().zip(sums) {
            let place = &mut accumulator[at];
            *place = (u64::from_le_bytes(*place) ^ sum).to_le_bytes();
        }
    }
}

/// Byte by byte, for what is shorter than a word or a register.
pub(super) fn add_bytes(source: &[u8], factor: u8, accumulator: &mut [u8]) {
    let products = &NIBBLES[usize::from(factor)];
    for (sum, byte) in accumulator.iter_mut().zip(source) {
        *sum ^= products[usize::from(byte & 15)] ^ products[16 + usize::from(byte >> 4)];
    }
}
