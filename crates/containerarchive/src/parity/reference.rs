//! The code written down without any thought of speed, and without anything of the rest of this room: the oracle.

use std::sync::LazyLock;

/// x^8 + x^4 + x^3 + x^2 + 1.
const POLYNOMIAL: u16 = 0x11D;

/// All products, so that large codes can be tried often.
static PRODUCTS: LazyLock<Vec<[u8; 256]>> = LazyLock::new(|| {
    (0..=255).map(|left| std::array::from_fn(|right| multiply(left, right as u8))).collect()
});

/// Without carries, then reduced from the highest bit down.
#[must_use]
pub fn multiply(left: u8, right: u8) -> u8 {
    let mut product: u16 = 0;
    for bit in 0..8 {
        if right >> bit & 1 == 1 {
            product ^= u16::from(left) << bit;
        }
    }
    for bit in (8..16).rev() {
        if product >> bit & 1 == 1 {
            product ^= POLYNOMIAL << (bit - 8);
        }
    }
    product as u8
}

/// Looked for among all numbers; 0 for 0.
#[must_use]
pub fn inverse(number: u8) -> u8 {
    (1..=255).find(|other| multiply(number, *other) == 1).unwrap_or(0)
}

/// 1 / ((240 + shard) xor column).
#[must_use]
pub fn coefficient(shard: u8, column: u8) -> u8 {
    inverse((240 + shard) ^ column)
}

/// One shard of blocks, each with its column; as long as the longest.
#[must_use]
pub fn encode(shard: u8, blocks: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut sum = vec![0; blocks.iter().map(|(_, block)| block.len()).max().unwrap_or(0)];
    for (column, block) in blocks {
        let factor = coefficient(shard, *column);
        for (place, byte) in sum.iter_mut().zip(block) {
            *place ^= multiply(factor, *byte);
        }
    }
    sum
}

/// One equation of the generator matrix: factors of all columns, and the bytes that they sum up to.
pub struct Equation {
    /// In the order of the columns.
    pub factors: Vec<u8>,
    /// What is known.
    pub bytes: Vec<u8>,
}

impl Equation {
    /// A block that is there: an identity row.
    #[must_use]
    pub fn of_block(place: usize, columns: &[u8], bytes: &[u8]) -> Self {
        let factors = (0..columns.len()).map(|at| u8::from(at == place)).collect();
        Self { factors, bytes: bytes.to_vec() }
    }

    /// A shard that is there.
    #[must_use]
    pub fn of_shard(shard: u8, columns: &[u8], bytes: &[u8]) -> Self {
        let factors = columns.iter().map(|column| coefficient(shard, *column)).collect();
        Self { factors, bytes: bytes.to_vec() }
    }

    fn scale(&mut self, factor: u8) {
        for byte in self.factors.iter_mut().chain(&mut self.bytes) {
            *byte = PRODUCTS[usize::from(factor)][usize::from(*byte)];
        }
    }

    fn add(&mut self, factor: u8, other: &Self) {
        let own = self.factors.iter_mut().chain(&mut self.bytes);
        for (sum, byte) in own.zip(other.factors.iter().chain(&other.bytes)) {
            *sum ^= PRODUCTS[usize::from(factor)][usize::from(*byte)];
        }
    }
}

/// The blocks of all columns, by Gaussian elimination; `None` if the equations do not say them. All have equal
/// numbers of factors and of bytes.
#[must_use]
pub fn decode(mut equations: Vec<Equation>) -> Option<Vec<Vec<u8>>> {
    let columns = equations.first().map_or(0, |equation| equation.factors.len());
    for column in 0..columns {
        let pivot = (column..equations.len()).find(|row| equations[*row].factors[column] != 0)?;
        equations.swap(column, pivot);
        let (before, rest) = equations.split_at_mut(column);
        let (pivot, behind) = rest.split_first_mut()?;
        pivot.scale(inverse(pivot.factors[column]));
        for other in before.iter_mut().chain(behind) {
            let factor = other.factors[column];
            if factor != 0 {
                other.add(factor, pivot);
            }
        }
    }
    equations.truncate(columns);
    Some(equations.into_iter().map(|equation| equation.bytes).collect())
}
