//! BLAKE3 of a file and checksums of its blocks, both by one pass: the checksum of a block is the chaining value of the
//! subtree of BLAKE3's tree that covers it (BLAKE3 paper, section 2.1), so that nothing is hashed twice.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::blake3_256;

/// Bytes of a block: a row of a parity group. A power of two of BLAKE3's chunks, so that blocks are whole subtrees.
pub const BLOCK_LEN: usize = 32 << 10;
const _: () = assert!(BLOCK_LEN.is_power_of_two() && BLOCK_LEN >= blake3::CHUNK_LEN);

/// The first 16 bytes of a block's chaining value. It depends on the block's place as well as on its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BlockSum(pub [u8; BlockSum::LEN]);

impl BlockSum {
    /// Length in bytes.
    pub const LEN: usize = 16;

    fn of(value: &ChainingValue) -> Self {
        let mut sum = [0; Self::LEN];
        sum.copy_from_slice(&value[..Self::LEN]);
        Self(sum)
    }
}

/// The checksum of block `number`. A block is [`BLOCK_LEN`] bytes long, the last one of a file at least 1 byte.
#[must_use]
pub fn block_sum(number: u32, block: &[u8]) -> BlockSum {
    BlockSum::of(&chaining_value(number, block))
}

fn chaining_value(number: u32, block: &[u8]) -> ChainingValue {
    debug_assert!((1..=BLOCK_LEN).contains(&block.len()));
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(u64::from(number) * BLOCK_LEN as u64);
    hasher.update(&block[..block.len().min(BLOCK_LEN)]);
    hasher.finalize_non_root()
}

/// Hashes a file block by block.
#[derive(Default)]
pub struct BlockHasher {
    values: Vec<ChainingValue>,
    /// Of a file that is one block: then the block is the root of the tree, which is hashed another way.
    single: Option<[u8; 32]>,
}

impl BlockHasher {
    /// Appends whole blocks. Only the last block of a file may be shorter than [`BLOCK_LEN`].
    pub fn update(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK_LEN) {
            self.single = self.values.is_empty().then(|| blake3_256(block));
            self.values.push(chaining_value(self.values.len() as u32, block));
        }
    }

    /// BLAKE3 of the file, and the checksums of its blocks.
    #[must_use]
    pub fn finish(self) -> ([u8; 32], Vec<BlockSum>) {
        let hash = match (self.single, self.values.as_slice()) {
            (_, []) => blake3_256(b""),
            (Some(hash), _) => hash,
            (None, values) => {
                let (left, right) = values.split_at(left_len(values.len()));
                *merge_subtrees_root(&merge(left), &merge(right), Mode::Hash).as_bytes()
            }
        };
        (hash, self.values.iter().map(BlockSum::of).collect())
    }
}

/// Blocks below the left child of a node: the largest power of two that is smaller than all of them.
fn left_len(blocks: usize) -> usize {
    blocks.div_ceil(2).next_power_of_two()
}

fn merge(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [one] => *one,
        _ => {
            let (left, right) = values.split_at(left_len(values.len()));
            merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
        }
    }
}

/// BLAKE3 of a file, and the checksums of its blocks.
#[must_use]
pub fn hash_blocks(file: &[u8]) -> ([u8; 32], Vec<BlockSum>) {
    let mut hasher = BlockHasher::default();
    hasher.update(file);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_file_by_blocks_is_its_blake3_whatever_its_length() {
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(9 * BLOCK_LEN + 1)
        .collect();
        let edges = (0..=9).flat_map(|blocks| [0, 1, 1023, 1024, 1025].map(|more| blocks * BLOCK_LEN + more));
        for len in edges.filter(|len| *len <= noise.len()) {
            let file = &noise[..len];
            let (hash, sums) = hash_blocks(file);
            assert_eq!(hash, blake3_256(file), "{len} bytes");
            assert_eq!(sums.len(), len.div_ceil(BLOCK_LEN));
            for (number, (block, sum)) in file.chunks(BLOCK_LEN).zip(&sums).enumerate() {
                assert_eq!(block_sum(number as u32, block), *sum);
            }
        }
    }

    #[test]
    fn a_block_at_another_place_has_another_checksum() {
        let block = [7; BLOCK_LEN];
        assert_ne!(block_sum(0, &block), block_sum(1, &block));
        assert_ne!(block_sum(0, &block), block_sum(0, &block[1..]));
    }
}
