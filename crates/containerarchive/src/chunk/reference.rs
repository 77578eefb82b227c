//! The rule of a cut, written down without any thought of speed: the oracle for [`Chunker`](super::Chunker).

use super::{ChunkParams, GearTable, Masks};

/// Lengths of all chunks of a stream.
#[must_use]
pub fn chunk_lengths(params: &ChunkParams, gear: &GearTable, stream: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let length = first_chunk(params, gear, rest);
        lengths.push(length);
        rest = &rest[length..];
    }
    lengths
}

fn first_chunk(params: &ChunkParams, gear: &GearTable, rest: &[u8]) -> usize {
    let masks = Masks::of(params);
    let largest = rest.len().min(params.max());
    let mut hash: u64 = 0;
    for (place, byte) in rest.iter().enumerate().take(largest).skip(params.min()) {
        let is_odd_end = place + 1 == largest && largest % 2 == 1;
        if is_odd_end {
            break;
        }
        hash = hash.wrapping_mul(2).wrapping_add(gear.entries()[usize::from(*byte)]);
        let mask = if place < params.average() { masks.small } else { masks.large };
        if hash & mask == 0 {
            return place;
        }
    }
    largest
}
