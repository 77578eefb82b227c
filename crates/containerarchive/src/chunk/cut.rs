//! Finding the end of a chunk, fast.

use super::scan::scan;
use super::{ChunkParams, GearTable, Masks};

/// Cuts streams at places that their content decides. Can be shared between threads.
pub struct Chunker {
    params: ChunkParams,
    masks: Masks,
    gear: GearTable,
}

impl Chunker {
    /// A chunker for these sizes and this table.
    #[must_use]
    pub fn new(params: ChunkParams, gear: GearTable) -> Self {
        Self { params, masks: Masks::of(&params), gear }
    }

    /// The sizes.
    #[must_use]
    pub fn params(&self) -> ChunkParams {
        self.params
    }

    /// Length of the chunk at the start of `data`, which begins at the last cut (or at the stream's start) and
    /// goes as far as the stream is known; `at_end` says that the stream ends with it. `None` asks for more
    /// bytes and is given only when fewer than the largest chunk are there and more may come, or when there is
    /// nothing at all.
    ///
    /// The rule, for bytes `b[0..]` from the last cut on, `n` = the smaller of what is left of the stream and
    /// max, and all arithmetic modulo 2^64:
    ///
    /// - `h = 0`; for `i` from min up to but not including `n` rounded down to even:
    ///   `h = 2·h + gear[b[i]]`; if `h & mask == 0`, the chunk is `b[0..i]`, so byte `i` begins the next one.
    ///   `mask` is [`Masks::small`] while `i` < average, and [`Masks::large`] from there on.
    /// - Otherwise the chunk is `b[0..n]`.
    ///
    /// The hash starts anew after each cut, and the first min bytes never enter it. Rounding `n` down matters
    /// only for the last byte of a stream, which is not judged when `n` is odd: the 2020 paper's loop steps by
    /// two bytes. With the published table the cuts are those of the crate `fastcdc` (5.0.0, `v2020`,
    /// `Normalization::Level2`) for all parameters that both accept; there is no known difference.
    #[must_use]
    pub fn cut(&self, data: &[u8], at_end: bool) -> Option<usize> {
        let (min, average, max) = (self.params.min(), self.params.average(), self.params.max());
        let window = data.len().min(max);
        // The odd byte waits even in the middle of a stream, since it may prove to be the last.
        let judged = window & !1;
        if judged > min {
            let middle = judged.min(average);
            let (hash, found) = scan(self.gear.entries(), 0, &data[min..middle], self.masks.small);
            if let Some(at) = found {
                return Some(min + at);
            }
            let (_, found) = scan(self.gear.entries(), hash, &data[middle..judged], self.masks.large);
            if let Some(at) = found {
                return Some(middle + at);
            }
        }
        let is_whole = window == max || (at_end && window > 0);
        is_whole.then_some(window)
    }
}

#[cfg(test)]
mod tests {
    use fastcdc::v2020::{FastCDC, Normalization, cut_gear, get_gear_with_seed};

    use super::super::reference::chunk_lengths;
    use super::super::testing::Random;
    use super::*;

    fn lengths(chunker: &Chunker, mut rest: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(length) = chunker.cut(rest, true) {
            lengths.push(length);
            rest = &rest[length..];
        }
        lengths
    }

    fn crate_lengths(params: &ChunkParams, mut rest: &[u8]) -> Vec<usize> {
        let (gear, shifted) = get_gear_with_seed(0);
        let Masks { small, large } = Masks::of(params);
        let (min, average, max) = (params.min(), params.average(), params.max());
        let mut lengths = Vec::new();
        while !rest.is_empty() {
            let (_, length) =
                cut_gear(rest, min, average, max, small, large, small << 1, large << 1, &gear, &shifted);
            lengths.push(length);
            rest = &rest[length..];
        }
        lengths
    }

    #[test]
    fn cuts_are_those_of_the_reference_and_keep_the_sizes() {
        for seed in 0..10_000 {
            let mut random = Random(seed);
            let params = random.params();
            let table = Box::new(random.bytes());
            let stream = random.stream(&params);
            let chunker = Chunker::new(params, GearTable::from_bytes(&table));
            let found = lengths(&chunker, &stream);
            let expected = chunk_lengths(&params, &GearTable::from_bytes(&table), &stream);
            assert_eq!(found, expected, "seed {seed}, {params}");
            assert_eq!(found.iter().sum::<usize>(), stream.len(), "seed {seed}");
            assert!(found.iter().all(|length| *length <= params.max()), "seed {seed}");
            let whole = found.len().saturating_sub(1);
            assert!(found[..whole].iter().all(|length| *length >= params.min()), "seed {seed}");
        }
    }

    #[test]
    fn cuts_of_the_published_table_are_those_of_the_fastcdc_crate() {
        for seed in 0..4_000 {
            let mut random = Random(seed);
            let params = random.params();
            let stream = random.stream(&params);
            let chunker = Chunker::new(params, GearTable::published());
            assert_eq!(lengths(&chunker, &stream), crate_lengths(&params, &stream), "seed {seed}, {params}");
        }
    }

    #[test]
    fn large_sizes_cut_as_the_fastcdc_crate() {
        for seed in 0..60 {
            let mut random = Random(seed);
            let average = 16384 << random.below(4);
            let min = 64 + 2 * random.below(average / 2 - 32);
            let params = ChunkParams::new(min, average, average + 2 + 2 * random.below(2 * average)).unwrap();
            let stream: Vec<u8> = (0..random.below(8 * average)).map(|_| random.next() as u8).collect();
            let chunker = Chunker::new(params, GearTable::published());
            assert_eq!(lengths(&chunker, &stream), crate_lengths(&params, &stream), "seed {seed}, {params}");
        }
    }

    #[test]
    fn default_sizes_cut_as_the_iterator_of_the_fastcdc_crate() {
        let mut random = Random(7);
        let stream: Vec<u8> = (0..(24 << 20) + 1).map(|_| random.next() as u8).collect();
        let chunker = Chunker::new(ChunkParams::default(), GearTable::published());
        let theirs = FastCDC::with_level(&stream, 64 << 10, 256 << 10, 1 << 20, Normalization::Level2);
        assert_eq!(lengths(&chunker, &stream), theirs.map(|chunk| chunk.length).collect::<Vec<_>>());
    }

    #[test]
    fn every_length_around_the_sizes_cuts_as_the_fastcdc_crate() {
        let params = ChunkParams::new(64, 256, 1024).unwrap();
        let chunker = Chunker::new(params, GearTable::published());
        let mut random = Random(3);
        let noise: Vec<u8> = (0..2200).map(|_| random.next() as u8).collect();
        let zeros = vec![0; 2200];
        for length in 0..=2200 {
            for stream in [&noise[..length], &zeros[..length]] {
                assert_eq!(lengths(&chunker, stream), crate_lengths(&params, stream), "length {length}");
            }
        }
    }

    #[test]
    fn asking_early_never_moves_a_cut() {
        for seed in 0..300 {
            let mut random = Random(seed);
            let params = ChunkParams::new(64, 256, 256 + 2 + 2 * random.below(300)).unwrap();
            let stream = random.stream(&params);
            let chunker = Chunker::new(params, GearTable::published());
            let cut = chunker.cut(&stream, true);
            for known in 0..stream.len() {
                let early = chunker.cut(&stream[..known], false);
                assert!(early.is_none() || early == cut, "seed {seed}, {known} bytes known");
                assert!(early.is_some() || known < params.max(), "seed {seed}, {known} bytes known");
            }
        }
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib chunk -- --ignored --nocapture"]
    fn speed_of_cut() {
        let mut random = Random(1);
        let stream: Vec<u8> = (0..64 << 20).map(|_| random.next() as u8).collect();
        let chunker = Chunker::new(ChunkParams::default(), GearTable::published());
        for _ in 0..5 {
            let start = std::time::Instant::now();
            let ours = lengths(&chunker, &stream).len();
            let ours_time = start.elapsed().as_secs_f64();
            let start = std::time::Instant::now();
            let theirs = crate_lengths(&ChunkParams::default(), &stream).len();
            let theirs_time = start.elapsed().as_secs_f64();
            let speed = |time: f64| stream.len() as f64 / time / 1e9;
            println!(
                "{ours} chunks {:.2} GB/s, fastcdc crate {theirs} chunks {:.2} GB/s",
                speed(ours_time),
                speed(theirs_time)
            );
        }
    }
}
