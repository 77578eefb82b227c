//! The code: what a shard is made of, and how lost columns come back.

use super::gf::{inverse, multiply};
use super::kernel::{Kernel, Part};

/// Columns of a group are numbered 0..=239.
pub const MAX_COLUMNS: usize = 240;

/// Shards of a group are numbered 0..=15. With the columns they take all numbers that a byte has, each once.
pub const MAX_SHARDS: usize = 16;

/// So many bytes of each source are done for all accumulators before the next: they stay in the first-level cache
/// beside those of the accumulators that are at work.
const TILE_BYTES: usize = 8 << 10;

/// How often a block of a column is in a shard: g(i, c) = 1 / ((240 + i) xor c), never 0.
///
/// Numbers that are out of range have no coefficient; they are a mistake of the caller, and give any number.
#[must_use]
pub const fn coefficient(shard: u8, column: u8) -> u8 {
    debug_assert!((shard as usize) < MAX_SHARDS && (column as usize) < MAX_COLUMNS);
    inverse(point(shard) ^ column)
}

/// Where a shard stands among the numbers of columns.
const fn point(shard: u8) -> u8 {
    (MAX_COLUMNS as u8).wrapping_add(shard)
}

/// Adds a block of a column to shards, as [`add_blocks`] does.
pub fn add_block(column: u8, block: &[u8], shards: &[u8], accumulators: &mut [&mut [u8]]) {
    add_blocks(&[(column, block)], shards, accumulators);
}

/// Adds blocks, each with its column, to shards: accumulator i, which is shard `shards[i]`, becomes itself xor
/// g(`shards[i]`, column) · block over each block's length. Done twice, it is undone.
///
/// Accumulators are as many as `shards`, and each is at least as long as every block; what is behind a block stays as
/// it was, as if the block went on with zeros. What is missing on either side is left out.
///
/// Costs one pass over each block, and for each four blocks one over each accumulator.
pub fn add_blocks(blocks: &[(u8, &[u8])], shards: &[u8], accumulators: &mut [&mut [u8]]) {
    debug_assert_eq!(shards.len(), accumulators.len());
    let kernel = Kernel::best();
    let (fours, rest) = blocks.as_chunks::<4>();
    for four in fours {
        let common = four.iter().map(|(_, block)| block.len()).min().unwrap_or(0);
        add_equal(kernel, four.map(|(column, block)| (column, &block[..common])), shards, accumulators);
        let behind =
            accumulators.iter_mut().map(|accumulator| accumulator.get_mut(common..).unwrap_or_default());
        let mut behind: Vec<&mut [u8]> = behind.collect();
        for (column, block) in four {
            add_equal(kernel, [(*column, &block[common..])], shards, &mut behind);
        }
    }
    for block in rest {
        add_equal(kernel, [*block], shards, accumulators);
    }
}

/// Adds blocks that are equally long.
fn add_equal<const S: usize>(
    kernel: Kernel,
    blocks: [(u8, &[u8]); S],
    shards: &[u8],
    accumulators: &mut [&mut [u8]],
) {
    for (shards, accumulators) in shards.chunks(MAX_SHARDS).zip(accumulators.chunks_mut(MAX_SHARDS)) {
        let mut factors = [[0; S]; MAX_SHARDS];
        for (factors, shard) in factors.iter_mut().zip(shards) {
            *factors = blocks.map(|(column, _)| coefficient(*shard, column));
        }
        add_products(kernel, &factors[..shards.len()], blocks.map(|(_, block)| block), accumulators);
    }
}

/// Each accumulator, over the length that it shares with the blocks, becomes itself xor the sum of its factors · blocks.
/// Those are equally long.
pub(super) fn add_products<const S: usize>(
    kernel: Kernel,
    factors: &[[u8; S]],
    blocks: [&[u8]; S],
    accumulators: &mut [&mut [u8]],
) {
    let len = blocks.iter().map(|block| block.len()).min().unwrap_or(0);
    debug_assert!(blocks.iter().all(|block| block.len() == len));
    if accumulators.iter().any(|accumulator| accumulator.len() < len) {
        for (factors, accumulator) in factors.iter().zip(accumulators) {
            let common = accumulator.len().min(len);
            let blocks = blocks.map(|block| &block[..common]);
            add_products(kernel, &[*factors], blocks, &mut [&mut accumulator[..common]]);
        }
        return;
    }
    for start in (0..len).step_by(TILE_BYTES) {
        let tile = start..len.min(start + TILE_BYTES);
        let sources = blocks.map(|block| &block[tile.clone()]);
        let mut parts = factors.iter().zip(accumulators.iter_mut()).map(|(factors, accumulator)| Part {
            factors: *factors,
            accumulator: &mut accumulator[tile.clone()],
        });
        // Four at a time: their tables and sums fit the registers, and each byte of a block is loaded once for them.
        loop {
            match [parts.next(), parts.next(), parts.next(), parts.next()] {
                [Some(a), Some(b), Some(c), Some(d)] => kernel.add(sources, [a, b, c, d]),
                [Some(a), Some(b), Some(c), None] => kernel.add(sources, [a, b, c]),
                [Some(a), Some(b), None, _] => kernel.add(sources, [a, b]),
                [Some(a), None, ..] => kernel.add(sources, [a]),
                [None, ..] => break,
            }
        }
    }
}

/// The accumulator becomes itself xor the block over the block's length: so shards of groups with disjoint columns
/// become the shard of both groups.
///
/// The accumulator is at least as long as the block; else the common length is done.
pub fn xor_block(block: &[u8], accumulator: &mut [u8]) {
    debug_assert!(accumulator.len() >= block.len());
    for (sum, byte) in accumulator.iter_mut().zip(block) {
        *sum ^= byte;
    }
}

/// Gives lost columns back, from as many shards.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// Row `which` has the factors by which the syndromes make the lost block `which`.
    rows: Vec<[u8; MAX_SHARDS]>,
}

impl Decoder {
    /// For the columns that are lost and the shards that are taken for them.
    ///
    /// `None` unless both are equally many, at most [`MAX_SHARDS`], in range, and no number stands twice.
    #[must_use]
    pub fn new(erased: &[u8], shards: &[u8]) -> Option<Self> {
        let are_sound = |numbers: &[u8], limit: usize| {
            let is_first = |(at, number): (usize, &u8)| !numbers[..at].contains(number);
            numbers.iter().all(|number| usize::from(*number) < limit)
                && numbers.iter().enumerate().all(is_first)
        };
        let fits = erased.len() == shards.len() && erased.len() <= MAX_SHARDS;
        (fits && are_sound(erased, MAX_COLUMNS) && are_sound(shards, MAX_SHARDS)).then(|| {
            let row = |which| {
                let mut row = [0; MAX_SHARDS];
                for (at, factor) in row.iter_mut().enumerate().take(shards.len()) {
                    *factor = inverse_entry(erased, shards, which, at);
                }
                row
            };
            Self { rows: (0..erased.len()).map(row).collect() }
        })
    }

    /// Writes the block of column `erased[which]` to `out`, all of it.
    ///
    /// `syndromes[j]` is the stored shard `shards[j]` xor g(`shards[j]`, c) · block of c for each column c that is
    /// there, which is [`add_block`] on the shard. They are as many as the shards and as long as `out`; shorter ones
    /// count as if they went on with zeros. A `which` out of range is a mistake of the caller and gives zeros.
    ///
    /// Costs one pass over each syndrome.
    pub fn recover(&self, which: usize, syndromes: &[&[u8]], out: &mut [u8]) {
        debug_assert!(which < self.rows.len() && syndromes.len() == self.rows.len());
        out.fill(0);
        let Some(row) = self.rows.get(which) else {
            return;
        };
        let kernel = Kernel::best();
        for (number, tile) in out.chunks_mut(TILE_BYTES).enumerate() {
            for (syndrome, factor) in syndromes.iter().zip(row) {
                let part = syndrome.get(number * TILE_BYTES..).unwrap_or_default();
                let common = part.len().min(tile.len());
                add_products(kernel, &[[*factor]], [&part[..common]], &mut [&mut *tile]);
            }
        }
    }
}

/// Row `which`, column `at` of the inverse of the matrix g(`shards[i]`, `erased[j]`), i down and j across: D. Knuth,
/// The Art of Computer Programming, volume 1, section 1.2.3, exercise 41, where minus is plus here.
pub(super) fn inverse_entry(erased: &[u8], shards: &[u8], which: usize, at: usize) -> u8 {
    let (column, own) = (erased[which], point(shards[at]));
    let (mut above, mut below) = (1, own ^ column);
    for (number, (other_column, other_shard)) in erased.iter().zip(shards).enumerate() {
        above = multiply(above, multiply(own ^ other_column, point(*other_shard) ^ column));
        if number != at {
            below = multiply(below, own ^ point(*other_shard));
        }
        if number != which {
            below = multiply(below, column ^ other_column);
        }
    }
    multiply(above, inverse(below))
}

/// Which instructions do the work on this processor: `avx512-gfni`, `avx2`, `ssse3`, `neon`, or `plain`.
#[must_use]
pub fn kernel_name() -> &'static str {
    Kernel::best().name()
}
