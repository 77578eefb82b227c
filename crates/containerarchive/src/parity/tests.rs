//! The code and every kernel beside the reference, and beside another code.

use std::ops::Range;

use super::code::{add_products, inverse_entry};
use super::kernel::{Kernel, Part};
use super::*;
use crate::base::Randomness;
use crate::base::testing::SeededRandomness;

/// Random numbers and bytes of a seed.
struct Random(SeededRandomness);

impl Random {
    fn new(seed: u64) -> Self {
        Self(SeededRandomness::new(seed))
    }

    fn bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill(&mut bytes).unwrap();
        bytes
    }

    fn within(&self, range: Range<usize>) -> usize {
        let mut word = [0; 8];
        self.0.fill(&mut word).unwrap();
        range.start + u64::from_le_bytes(word) as usize % range.len()
    }

    /// So many numbers below the limit, each once, in any order.
    fn distinct(&self, count: usize, limit: usize) -> Vec<u8> {
        let mut numbers: Vec<u8> = (0..limit).map(|number| number as u8).collect();
        for at in 0..count {
            numbers.swap(at, self.within(at..limit));
        }
        numbers.truncate(count);
        numbers
    }
}

/// A group whose blocks are known.
struct Group {
    shards: Vec<u8>,
    /// Columns and blocks, of different lengths.
    blocks: Vec<(u8, Vec<u8>)>,
    stored: Vec<Vec<u8>>,
    row_bytes: usize,
}

impl Group {
    fn random(random: &Random, k: usize, m: usize, row_bytes: usize) -> Self {
        let shards: Vec<u8> = (0..m as u8).collect();
        let mut blocks: Vec<(u8, Vec<u8>)> = random
            .distinct(k, MAX_COLUMNS)
            .into_iter()
            .map(|column| (column, random.bytes(random.within(0..row_bytes + 1))))
            .collect();
        blocks[0].1 = random.bytes(row_bytes);
        let mut stored = vec![vec![0; row_bytes]; m];
        for (column, block) in &blocks {
            add_block(*column, block, &shards, &mut slices(&mut stored));
        }
        let expected: Vec<Vec<u8>> = shards.iter().map(|shard| reference::encode(*shard, &blocks)).collect();
        assert_eq!(stored, expected);
        Self { shards, blocks, stored, row_bytes }
    }

    fn padded(&self, block: usize) -> Vec<u8> {
        let mut bytes = self.blocks[block].1.clone();
        bytes.resize(self.row_bytes, 0);
        bytes
    }

    /// `lost` counts blocks first and shards behind them. What comes back is compared with what was there and with
    /// what the reference finds.
    fn lose(&self, lost: &[usize]) {
        let k = self.blocks.len();
        let erased: Vec<usize> = (0..k).filter(|block| lost.contains(block)).collect();
        let left: Vec<usize> = (0..self.shards.len()).filter(|shard| !lost.contains(&(k + shard))).collect();
        let used: Vec<u8> = left.iter().take(erased.len()).map(|at| self.shards[*at]).collect();
        let mut syndromes: Vec<Vec<u8>> =
            left.iter().take(erased.len()).map(|at| self.stored[*at].clone()).collect();
        for block in (0..k).filter(|block| !erased.contains(block)) {
            let (column, bytes) = &self.blocks[block];
            add_block(*column, bytes, &used, &mut slices(&mut syndromes));
        }
        let columns: Vec<u8> = erased.iter().map(|block| self.blocks[*block].0).collect();
        let decoder = Decoder::new(&columns, &used).unwrap();
        let syndromes: Vec<&[u8]> = syndromes.iter().map(Vec::as_slice).collect();

        let all: Vec<u8> = self.blocks.iter().map(|(column, _)| *column).collect();
        let there = (0..k)
            .filter(|block| !erased.contains(block))
            .map(|block| reference::Equation::of_block(block, &all, &self.padded(block)));
        let shards =
            left.iter().map(|at| reference::Equation::of_shard(self.shards[*at], &all, &self.stored[*at]));
        let expected = reference::decode(there.chain(shards).collect()).unwrap();
        for (which, block) in erased.iter().enumerate() {
            let mut found = vec![0xA5; self.row_bytes];
            decoder.recover(which, &syndromes, &mut found);
            assert_eq!(found, self.padded(*block), "block {block} of {lost:?}, columns {all:?}");
            assert_eq!(found, expected[*block], "block {block} of {lost:?}, columns {all:?}");
        }
    }
}

fn slices(buffers: &mut [Vec<u8>]) -> Vec<&mut [u8]> {
    buffers.iter_mut().map(Vec::as_mut_slice).collect()
}

#[test]
fn coefficients_are_those_of_the_definition() {
    for shard in 0..MAX_SHARDS as u8 {
        for column in 0..MAX_COLUMNS as u8 {
            assert_eq!(coefficient(shard, column), reference::coefficient(shard, column));
            assert_eq!(reference::multiply(coefficient(shard, column), (240 + shard) ^ column), 1);
        }
    }
}

/// Computed apart from this program.
#[test]
fn what_is_on_disks_stays_readable() {
    assert_eq!([coefficient(0, 0), coefficient(1, 0), coefficient(15, 239)], [0xE3, 0xE7, 0xD8]);
    let (mut first, mut last) = ([0; 4], [0; 4]);
    add_block(7, &[1, 2, 0x80, 0xFF], &[0, 15], &mut [&mut first, &mut last]);
    assert_eq!([first, last], [[0xC9, 0x8F, 0x60, 0x07], [0x42, 0x84, 0x9A, 0xD2]]);
}

/// Checks one kernel with the reference: `S` sources and `N` accumulators at once, all lengths, and starts at any
/// address.
fn check_kernel<const S: usize, const N: usize>(kernel: Kernel, random: &Random) {
    const MOST: usize = 300;
    const GUARD: usize = 70;
    for length in 0..=MOST {
        let sources: [(usize, Vec<u8>); S] = std::array::from_fn(|_| {
            let start = random.within(0..64);
            (start, random.bytes(start + length))
        });
        let sources: [&[u8]; S] = sources.each_ref().map(|(start, source)| &source[*start..]);
        let factors: [[u8; S]; N] =
            std::array::from_fn(|_| std::array::from_fn(|_| random.within(0..256) as u8));
        let starts: [usize; N] = std::array::from_fn(|_| random.within(0..64));
        let before: Vec<Vec<u8>> = starts.iter().map(|start| random.bytes(start + length + GUARD)).collect();
        let mut after = before.clone();
        let mut buffers = after.iter_mut().zip(starts).zip(factors);
        let parts: [Part<'_, S>; N] = std::array::from_fn(|_| {
            let ((buffer, start), factors) = buffers.next().unwrap();
            Part { factors, accumulator: &mut buffer[start..start + length] }
        });
        kernel.add(sources, parts);
        for number in 0..N {
            let mut expected = before[number].clone();
            for (source, factor) in sources.iter().zip(factors[number]) {
                for (place, byte) in expected[starts[number]..].iter_mut().zip(*source) {
                    *place ^= reference::multiply(factor, *byte);
                }
            }
            assert_eq!(after[number], expected, "{} {S} {N} {length} {factors:?} {starts:?}", kernel.name());
        }
    }
}

#[test]
fn every_kernel_does_the_same_for_all_lengths_numbers_of_sources_and_accumulators_and_addresses() {
    for kernel in Kernel::all() {
        let random = Random::new(1);
        for _ in 0..4 {
            check_kernel::<1, 1>(kernel, &random);
            check_kernel::<1, 2>(kernel, &random);
            check_kernel::<1, 3>(kernel, &random);
            check_kernel::<1, 4>(kernel, &random);
            check_kernel::<4, 1>(kernel, &random);
            check_kernel::<4, 2>(kernel, &random);
            check_kernel::<4, 3>(kernel, &random);
            check_kernel::<4, 4>(kernel, &random);
        }
    }
}

#[test]
fn every_kernel_does_the_same_for_all_factors_and_bytes_and_lengths() {
    let products: Vec<Vec<u8>> =
        (0..=255).map(|factor| (0..=255).map(|byte| reference::multiply(factor, byte)).collect()).collect();
    // All bytes, and so many that each stands at every place of a register.
    let source: Vec<u8> = (0..301u32).map(|at| (at * 7) as u8).collect();
    for kernel in Kernel::all() {
        for factor in 0..=255u8 {
            for length in 0..=300 {
                let start = length % 2;
                let source = &source[start..start + length];
                let mut sum = vec![0x5A; length + 1];
                kernel.add([source], [Part { factors: [factor], accumulator: &mut sum[..length] }]);
                let product = |byte: &u8| products[usize::from(factor)][usize::from(*byte)] ^ 0x5A;
                assert!(
                    sum.iter().copied().eq(source.iter().map(product).chain([0x5A])),
                    "{} {factor} {length}",
                    kernel.name()
                );
            }
        }
    }
}

#[test]
fn every_kernel_does_the_same_over_many_tiles_and_accumulators() {
    let random = Random::new(2);
    for length in [8 << 10, (8 << 10) + 1, (16 << 10) - 1, 40_003] {
        for count in 1..=MAX_SHARDS {
            let source = random.bytes(length);
            let factors: Vec<[u8; 1]> =
                random.distinct(count, 256).into_iter().map(|factor| [factor]).collect();
            let before: Vec<Vec<u8>> = (0..count).map(|_| random.bytes(length + 5)).collect();
            let mut expected = before.clone();
            add_products(Kernel::Plain, &factors, [&source], &mut slices(&mut expected));
            let [last] = factors[count - 1];
            for (at, byte) in source.iter().enumerate() {
                let product = reference::multiply(last, *byte);
                assert_eq!(expected[count - 1][at], before[count - 1][at] ^ product);
            }
            for kernel in Kernel::all() {
                let mut found = before.clone();
                add_products(kernel, &factors, [&source], &mut slices(&mut found));
                assert!(found == expected, "{} {length} {count}", kernel.name());
            }
        }
    }
}

/// Four of them at once, over the length that they share.
#[test]
fn blocks_of_any_number_and_lengths_are_added_as_one_after_the_other() {
    let random = Random::new(14);
    for count in 0..=13 {
        for m in [1, 2, 3, 5, MAX_SHARDS] {
            let columns = random.distinct(count, MAX_COLUMNS);
            let blocks: Vec<(u8, Vec<u8>)> = columns
                .into_iter()
                .map(|column| {
                    (column, random.bytes([0, 9_000, 20_000, random.within(0..20_000)][random.within(0..4)]))
                })
                .collect();
            let borrowed: Vec<(u8, &[u8])> =
                blocks.iter().map(|(column, block)| (*column, &block[..])).collect();
            let shards = random.distinct(m, MAX_SHARDS);
            let before: Vec<Vec<u8>> = (0..m).map(|_| random.bytes(20_003)).collect();
            let mut found = before.clone();
            add_blocks(&borrowed, &shards, &mut slices(&mut found));
            for (number, shard) in shards.iter().enumerate() {
                let mut expected = reference::encode(*shard, &blocks);
                expected.resize(20_003, 0);
                xor_block(&before[number], &mut expected);
                assert!(found[number] == expected, "{count} blocks, shard {number} of {shards:?}");
            }
        }
    }
}

#[test]
fn accumulators_that_are_too_short_take_what_fits() {
    let random = Random::new(3);
    let source = random.bytes(20_000);
    let factors = [[3], [250], [17]];
    for kernel in Kernel::all() {
        let mut found: Vec<Vec<u8>> = [20_000, 9_001, 0].map(|length| vec![0; length]).to_vec();
        add_products(kernel, &factors, [&source], &mut slices(&mut found));
        for (sum, [factor]) in found.iter().zip(factors) {
            let expected = source.iter().map(|byte| reference::multiply(factor, *byte));
            assert!(expected.take(sum.len()).eq(sum.iter().copied()));
        }
    }
}

#[test]
fn every_loss_that_small_groups_can_bear_is_mended() {
    let random = Random::new(4);
    for k in 1..=8 {
        for m in 1..=3 {
            let group = Group::random(&random, k, m, 5);
            for mask in 1u32..1 << (k + m) {
                if mask.count_ones() as usize <= m {
                    let lost: Vec<usize> = (0..k + m).filter(|member| mask >> member & 1 == 1).collect();
                    group.lose(&lost);
                }
            }
        }
    }
}

fn lose_at_random(seed: u64, k: usize, m: usize) {
    let random = Random::new(seed);
    for _ in 0..10 {
        let group = Group::random(&random, k, m, 9);
        for _ in 0..100 {
            let count = random.within(1..m + 1);
            let lost: Vec<usize> = random.distinct(count, k + m).into_iter().map(usize::from).collect();
            group.lose(&lost);
        }
    }
}

#[test]
fn random_losses_of_20_and_1_are_mended() {
    lose_at_random(5, 20, 1);
}

#[test]
fn random_losses_of_40_and_2_are_mended() {
    lose_at_random(6, 40, 2);
}

#[test]
fn random_losses_of_80_and_4_are_mended() {
    lose_at_random(7, 80, 4);
}

#[test]
fn random_losses_of_200_and_16_are_mended() {
    lose_at_random(8, 200, 16);
}

#[test]
fn every_square_part_of_the_matrix_that_is_tried_can_be_inverted() {
    let random = Random::new(9);
    for attempt in 0..2_000 {
        let size = if attempt % 2 == 0 { MAX_SHARDS } else { random.within(1..MAX_SHARDS + 1) };
        let (columns, shards) = (random.distinct(size, MAX_COLUMNS), random.distinct(size, MAX_SHARDS));
        let equations =
            shards.iter().map(|shard| reference::Equation::of_shard(*shard, &columns, &[])).collect();
        assert!(reference::decode(equations).is_some(), "{columns:?} {shards:?}");
        // The inverse times the matrix is the identity.
        for row in 0..size {
            for (place, column) in columns.iter().enumerate() {
                let sum = (0..size).fold(0, |sum, at| {
                    let entry = inverse_entry(&columns, &shards, row, at);
                    sum ^ reference::multiply(entry, reference::coefficient(shards[at], *column))
                });
                assert_eq!(sum, u8::from(row == place), "{columns:?} {shards:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_decoded_is_refused() {
    let all: Vec<u8> = (0..MAX_SHARDS as u8).collect();
    assert!(Decoder::new(&all, &all).is_some());
    assert!(Decoder::new(&[], &[]).is_some());
    assert!(Decoder::new(&[239], &[15]).is_some());
    let too_many: Vec<u8> = (0..=MAX_SHARDS as u8).collect();
    for (erased, shards) in [
        (&[0, 1][..], &[0][..]),
        (&[0], &[0, 1]),
        (&[240], &[0]),
        (&[0], &[16]),
        (&[5, 6, 5], &[0, 1, 2]),
        (&[5, 6, 7], &[0, 1, 0]),
        (&too_many, &too_many),
    ] {
        assert!(Decoder::new(erased, shards).is_none(), "{erased:?} {shards:?}");
    }
}

#[test]
fn syndromes_that_are_too_short_count_as_if_they_went_on_with_zeros() {
    let random = Random::new(10);
    let decoder = Decoder::new(&[3, 200], &[1, 0]).unwrap();
    let (whole, short) = (random.bytes(20_001), random.bytes(9_000));
    let mut padded = short.clone();
    padded.resize(20_001, 0);
    for which in 0..2 {
        let (mut found, mut expected) = (vec![1; 20_001], vec![2; 20_001]);
        decoder.recover(which, &[&whole, &short], &mut found);
        decoder.recover(which, &[&whole, &padded], &mut expected);
        assert!(found == expected);
    }
}

#[test]
fn a_block_that_is_added_twice_is_gone() {
    let random = Random::new(11);
    let (block, before) = (random.bytes(12_345), vec![random.bytes(12_400); 5]);
    let mut after = before.clone();
    add_block(17, &block, &[0, 3, 4, 9, 15], &mut slices(&mut after));
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
    add_block(17, &block, &[0, 3, 4, 9, 15], &mut slices(&mut after));
    assert_eq!(before, after);
}

#[test]
fn groups_of_disjoint_columns_merge_by_xor() {
    let random = Random::new(12);
    let blocks: Vec<Vec<u8>> = (0..9).map(|at| random.bytes(1_000 + at * 17)).collect();
    let shard_of = |range: Range<usize>, length| {
        let mut shards = vec![vec![0; length]; 2];
        for at in range {
            add_block(at as u8 * 20, &blocks[at], &[0, 1], &mut slices(&mut shards));
        }
        shards
    };
    let (mut merged, short, whole) = (shard_of(4..9, 1_136), shard_of(0..4, 1_051), shard_of(0..9, 1_136));
    for (sum, other) in merged.iter_mut().zip(&short) {
        xor_block(other, sum);
    }
    assert_eq!(merged, whole);
}

/// An independent crate with another code (GF(2^16), by FFT): its shards are others, what comes back is the same.
#[test]
fn an_independent_code_recovers_the_same_bytes() {
    const ROW_BYTES: usize = 1 << 10;
    let random = Random::new(13);
    for (k, m) in [(20, 1), (40, 2), (80, 4), (200, 16)] {
        let blocks: Vec<Vec<u8>> = (0..k).map(|_| random.bytes(ROW_BYTES)).collect();
        let other_shards = reed_solomon_simd::encode(k, m, &blocks).unwrap();
        let shards: Vec<u8> = (0..m as u8).collect();
        let mut own_shards = vec![vec![0; ROW_BYTES]; m];
        for (column, block) in (0..).zip(&blocks) {
            add_block(column, block, &shards, &mut slices(&mut own_shards));
        }
        for _ in 0..20 {
            let lost = random.distinct(random.within(1..m + 1), k + m);
            let is_lost = |member: usize| lost.contains(&(member as u8));
            let erased: Vec<u8> = (0..k as u8).filter(|column| is_lost((*column).into())).collect();
            let there = || (0..k).filter(|at| !is_lost(*at)).map(|at| (at, &blocks[at]));
            let left = (0..m).filter(|at| !is_lost(k + at));

            let other = left.clone().map(|at| (at, &other_shards[at]));
            let other = reed_solomon_simd::decode(k, m, there(), other).unwrap();

            let used: Vec<u8> = left.take(erased.len()).map(|at| at as u8).collect();
            let mut syndromes: Vec<Vec<u8>> =
                used.iter().map(|at| own_shards[usize::from(*at)].clone()).collect();
            for (column, block) in there() {
                add_block(column as u8, block, &used, &mut slices(&mut syndromes));
            }
            let decoder = Decoder::new(&erased, &used).unwrap();
            let syndromes: Vec<&[u8]> = syndromes.iter().map(Vec::as_slice).collect();
            assert_eq!(other.len(), erased.len());
            for (which, column) in erased.iter().enumerate() {
                let mut own = vec![0; ROW_BYTES];
                decoder.recover(which, &syndromes, &mut own);
                assert_eq!(own, blocks[usize::from(*column)]);
                assert_eq!(own, other[&usize::from(*column)]);
            }
        }
    }
}

#[test]
fn the_fastest_kernel_of_the_processor_is_the_one_in_use() {
    let names: Vec<&str> = Kernel::all().map(Kernel::name).collect();
    assert_eq!(names.first(), Some(&kernel_name()));
    assert_eq!(names.last(), Some(&"plain"));
}
