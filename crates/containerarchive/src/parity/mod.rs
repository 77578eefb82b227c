//! L1: the Reed-Solomon code of parity groups.

/// Columns of a group: 0 to 239.
pub const MAX_COLUMNS: usize = 240;
/// Shards of a group: 0 to 15.
pub const MAX_SHARDS: usize = 16;

fn mul(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 != 0 { 0x1D } else { 0 };
        b >>= 1;
    }
    product
}

fn inverse(a: u8) -> u8 {
    (1..=255).find(|b| mul(a, *b) == 1).unwrap_or(0)
}

/// The coefficient of a column in a shard: 1 / ((240 + shard) xor column).
#[must_use]
pub fn coefficient(shard: u8, column: u8) -> u8 {
    inverse((240 + shard) ^ column)
}

/// Adds a block times its coefficient to each shard's accumulator.
pub fn add_block(column: u8, block: &[u8], shards: &[u8], accumulators: &mut [&mut [u8]]) {
    for (shard, accumulator) in shards.iter().zip(accumulators) {
        let g = coefficient(*shard, column);
        let table: Vec<u8> = (0..=255).map(|byte| mul(g, byte)).collect();
        for (sum, byte) in accumulator.iter_mut().zip(block) {
            *sum ^= table[usize::from(*byte)];
        }
    }
}

/// Adds a block to an accumulator.
pub fn xor_block(block: &[u8], accumulator: &mut [u8]) {
    for (sum, byte) in accumulator.iter_mut().zip(block) {
        *sum ^= byte;
    }
}

/// Solves for erased columns.
pub struct Decoder {
    rows: Vec<Vec<u8>>,
}

impl Decoder {
    /// Inverts the part of the matrix that belongs to these columns and shards.
    #[must_use]
    pub fn new(erased: &[u8], shards: &[u8]) -> Option<Self> {
        let n = erased.len();
        if n != shards.len() {
            return None;
        }
        let mut matrix: Vec<Vec<u8>> = (0..n)
            .map(|i| {
                let mut row: Vec<u8> = erased.iter().map(|column| coefficient(shards[i], *column)).collect();
                row.extend((0..n).map(|j| u8::from(i == j)));
                row
            })
            .collect();
        for i in 0..n {
            let pivot = (i..n).find(|row| matrix[*row][i] != 0)?;
            matrix.swap(i, pivot);
            let scale = inverse(matrix[i][i]);
            matrix[i].iter_mut().for_each(|value| *value = mul(*value, scale));
            for j in (0..n).filter(|j| *j != i) {
                let factor = matrix[j][i];
                let row = matrix[i].clone();
                matrix[j].iter_mut().zip(row).for_each(|(value, other)| *value ^= mul(factor, other));
            }
        }
        Some(Self { rows: matrix.into_iter().map(|row| row[n..].to_vec()).collect() })
    }

    /// Writes the block of one erased column.
    pub fn recover(&self, which: usize, syndromes: &[&[u8]], out: &mut [u8]) {
        out.fill(0);
        for (factor, syndrome) in self.rows[which].iter().zip(syndromes) {
            for (byte, value) in out.iter_mut().zip(*syndrome) {
                *byte ^= mul(*factor, *value);
            }
        }
    }
}
