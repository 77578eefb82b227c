//! Random cases for this room's tests, each from a seed that the failure message names.

use super::ChunkParams;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    /// Small parameters, so that short inputs have many chunks.
    pub(super) fn params(&mut self) -> ChunkParams {
        let average = 256 << self.below(4);
        let min = 64 + 2 * self.below((average - 64) / 2);
        let max = average + 2 + 2 * self.below(2 * average);
        ChunkParams::new(min, average, max).unwrap()
    }

    /// Noise, text of few letters, runs or zeros, of a length that is often close to one of the sizes.
    pub(super) fn stream(&mut self, params: &ChunkParams) -> Vec<u8> {
        let near = [params.min(), params.average(), params.max(), 2 * params.max()][self.below(4)];
        let length = match self.below(3) {
            0 => near - 1 + self.below(3),
            1 => self.below(2 * params.max()),
            _ => self.below(24 << 10),
        };
        let mut stream = vec![0; length];
        match self.below(5) {
            0 => {}
            1 => stream.fill_with(|| b"ab"[self.below(2)]),
            2 => {
                let period = 1 + self.below(300);
                for place in 0..length {
                    stream[place] = if place < period { self.next() as u8 } else { stream[place - period] };
                }
            }
            _ => stream.fill_with(|| self.next() as u8),
        }
        stream
    }
}
