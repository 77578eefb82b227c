//! Parity of 40 blocks in 2 shards on one core, beside that of an independent crate.

use std::convert::Infallible;
use std::hint::black_box;

use containerarchive::parity::add_blocks;
use reed_solomon_simd::ReedSolomonEncoder;

use crate::best::{Clock, best_seconds};
use crate::primitives::Results;

const BLOCKS: usize = 40;
const SHARDS: [u8; 2] = [0, 1];

/// A row, which fits the caches, and a pack, which does not: length of a block, name, name for the other crate.
const SIZES: [(usize, &str, &str); 2] =
    [(32 << 10, "parity_32k", "reed_solomon_simd_32k"), (16 << 20, "parity_16m", "reed_solomon_simd_16m")];

/// Measures all sizes, in bytes of the blocks per second. Blocks of `content` overlap where it is too short for a
/// group of them. Needs up to 1 GiB of memory: the other crate has all blocks of a group in its own buffers.
pub(crate) fn measure(
    content: &[u8],
    rounds: usize,
    results: &mut Results,
) -> Result<(), reed_solomon_simd::Error> {
    for (size, own, other) in SIZES {
        // The other crate wants even lengths.
        let size = size.min(content.len() & !1);
        let groups = (content.len() / (BLOCKS * size)).max(1);
        let bytes = (groups * BLOCKS * size) as f64;
        let block = |group: usize, column: u8| {
            let start = (group * BLOCKS + usize::from(column)) * size % (content.len() - size + 1);
            black_box(&content[start..][..size])
        };
        let (mut first, mut second) = (vec![0; size], vec![0; size]);
        let work = |(): &mut ()| {
            for group in 0..groups {
                first.fill(0);
                second.fill(0);
                let blocks: [(u8, &[u8]); BLOCKS] =
                    std::array::from_fn(|column| (column as u8, block(group, column as u8)));
                add_blocks(&blocks, &SHARDS, &mut [&mut first, &mut second]);
                black_box((&first, &second));
            }
            Ok(())
        };
        let Ok(seconds) = best_seconds(Clock::Thread, rounds, || Ok::<_, Infallible>(()), work);
        results.add(own, bytes / seconds);
        let mut encoder = ReedSolomonEncoder::new(BLOCKS, SHARDS.len(), size)?;
        let seconds = best_seconds(
            Clock::Thread,
            rounds,
            || Ok(()),
            |()| {
                for group in 0..groups {
                    for column in 0..BLOCKS as u8 {
                        encoder.add_original_shard(block(group, column))?;
                    }
                    black_box(encoder.encode()?.recovery_iter().count());
                }
                Ok(())
            },
        )?;
        results.add(other, bytes / seconds);
    }
    Ok(())
}
