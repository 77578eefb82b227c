//! L1: the Reed-Solomon code of parity, systematic, over GF(2^8) with a Cauchy matrix.
//!
//! I. Reed, G. Solomon, "Polynomial Codes over Certain Finite Fields", J. SIAM 8 (1960); the matrix after J. Blömer
//! et al., "An XOR-Based Erasure-Resilient Coding Scheme", ICSI TR-95-048: every square submatrix of a Cauchy matrix
//! can be inverted, so any n shards mend any n columns. That does not hold for a Vandermonde matrix below an identity.
//!
//! The code is linear and shards know nothing of each other: a shard is the sum of one product for each column, in
//! any order, so it grows as blocks come ([`add_block`]) and groups of disjoint columns merge by XOR ([`xor_block`]).
//!
//! ```
//! use containerarchive::parity::{Decoder, add_block};
//!
//! let blocks: [&[u8]; 3] = [b"seven", b"oak", b"trees"];
//! let (mut first, mut second) = ([0; 5], [0; 5]);
//! for (column, block) in (0..).zip(blocks) {
//!     add_block(column, block, &[0, 1], &mut [&mut first[..], &mut second[..]]);
//! }
//! // Columns 0 and 1 are lost. What is left is taken out of the shards again.
//! add_block(2, blocks[2], &[0, 1], &mut [&mut first[..], &mut second[..]]);
//! let decoder = Decoder::new(&[0, 1], &[0, 1]).unwrap();
//! let mut found = [0; 5];
//! decoder.recover(1, &[&first, &second], &mut found);
//! assert_eq!(&found, b"oak\0\0");
//! ```

mod code;
mod gf;
mod kernel;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

pub use code::{
    Decoder, MAX_COLUMNS, MAX_SHARDS, add_block, add_blocks, coefficient, kernel_name, xor_block,
};
