//! Running the gear hash over bytes until a mask fits.
//!
//! One gear hash is a chain of dependent instructions, two cycles for each byte, while most of the processor
//! idles. The hash depends on its last 64 bytes only, as older ones are shifted out of its 64 bits. So places
//! further on can be judged at the same time: four lanes, each warmed up with the 64 bytes before it, run
//! through a block side by side, which is twice as fast as the 2020 paper's loop. When a lane finds something,
//! the block is judged once more in order.

/// Bytes of a lane: long against its warm-up, short against the usual distance of two cuts.
const LANE: usize = 2048;
/// Bytes of a block: four lanes.
const BLOCK: usize = 4 * LANE;
/// Bytes that a gear hash depends on: one for each of its bits.
const REACH: usize = 64;
/// Masks with fewer bits fit so often that most blocks would be judged twice.
const RARE_BITS: u32 = 14;

/// Runs the hash on from `hash` to the first byte where `hash & mask == 0`. Returns the hash there, or at the
/// end, and the place.
pub(super) fn scan(gear: &[u64; 256], mut hash: u64, bytes: &[u8], mask: u64) -> (u64, Option<usize>) {
    if mask.count_ones() < RARE_BITS {
        return in_order(gear, hash, bytes, mask);
    }
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (number, block) in blocks.iter().enumerate() {
        hash = match side_by_side(gear, hash, block, mask) {
            Some(hash) => hash,
            None => match in_order(gear, hash, block, mask) {
                (hash, Some(place)) => return (hash, Some(number * BLOCK + place)),
                (hash, None) => hash,
            },
        };
    }
    let (hash, place) = in_order(gear, hash, rest, mask);
    (hash, place.map(|place| blocks.len() * BLOCK + place))
}

fn step(gear: &[u64; 256], hash: u64, byte: u8) -> u64 {
    (hash << 1).wrapping_add(gear[usize::from(byte)])
}

fn in_order(gear: &[u64; 256], mut hash: u64, bytes: &[u8], mask: u64) -> (u64, Option<usize>) {
    // Blocks of fixed size let the compiler unroll.
    let (blocks, rest) = bytes.as_chunks::<8>();
    for (number, block) in blocks.iter().enumerate() {
        for (place, byte) in block.iter().enumerate() {
            hash = step(gear, hash, *byte);
            if hash & mask == 0 {
                return (hash, Some(number * 8 + place));
            }
        }
    }
    for (place, byte) in rest.iter().enumerate() {
        hash = step(gear, hash, *byte);
        if hash & mask == 0 {
            return (hash, Some(blocks.len() * 8 + place));
        }
    }
    (hash, None)
}

/// The hash at the end of the block, or `None` when the mask fits anywhere in it.
fn side_by_side(gear: &[u64; 256], hash: u64, block: &[u8; BLOCK], mask: u64) -> Option<u64> {
    let warm = |end: usize| block[end - REACH..end].iter().fold(0, |hash, byte| step(gear, hash, *byte));
    let mut hashes = [hash, warm(LANE), warm(2 * LANE), warm(3 * LANE)];
    let lane = |number: usize| block[number * LANE..(number + 1) * LANE].as_chunks::<4>().0;
    for (((a, b), c), d) in lane(0).iter().zip(lane(1)).zip(lane(2)).zip(lane(3)) {
        for place in 0..4 {
            hashes[0] = step(gear, hashes[0], a[place]);
            hashes[1] = step(gear, hashes[1], b[place]);
            hashes[2] = step(gear, hashes[2], c[place]);
            hashes[3] = step(gear, hashes[3], d[place]);
            if hashes.iter().any(|hash| hash & mask == 0) {
                return None;
            }
        }
    }
    Some(hashes[3])
}

#[cfg(test)]
mod tests {
    use super::super::testing::Random;
    use super::*;

    #[test]
    fn lanes_find_what_one_pass_in_order_finds() {
        for seed in 0..400 {
            let mut random = Random(seed);
            let gear = std::array::from_fn(|_| random.next());
            let mask = (0..RARE_BITS as usize).fold(0, |mask, bit| mask | 1 << (3 * bit + random.below(3)));
            let bytes: Vec<u8> = (0..random.below(6 * BLOCK)).map(|_| random.next() as u8).collect();
            let start = random.next();
            let mut hash = start;
            let expected = bytes.iter().position(|byte| {
                hash = step(&gear, hash, *byte);
                hash & mask == 0
            });
            assert_eq!(scan(&gear, start, &bytes, mask), (hash, expected), "seed {seed}");
        }
    }
}
