//! The setting `auto`: which zstd level suits an item.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Codec, Compression, Compressor, Method, ZstdLevel};

/// Chunks that a decision rests on: 2 MiB of content at the default sizes, compressed twice. More would cost
/// short items noticeably; fewer would be at the mercy of one odd chunk, such as a header or padding.
const PROBE_CHUNKS: u32 = 8;

/// Level 3 is taken when it makes less than 97 bytes of level 1's 100. It takes about twice the time; measured on
/// dumps and logs it is no smaller at all, on source code and binaries 4 to 7 %. The bar lies between.
const WORTH_PERCENT: u64 = 97;

/// Finds the zstd level of one item, 1 or 3, by compressing its first chunks with both. For any number of threads.
///
/// Chunks that do not shrink say nothing about levels and are not counted; but an item with eight of them before
/// the decision is mostly noise, and gets level 1. When several threads work at one item, timing decides which
/// chunks are probed, and so perhaps the level, but never what is decompressed.
#[derive(Debug, Default)]
pub struct AutoLevel {
    decided: OnceLock<ZstdLevel>,
    probe: Mutex<Probe>,
}

#[derive(Debug, Default)]
struct Probe {
    shrinking_chunks: u32,
    noise_chunks: u32,
    fast_bytes: u64,
    thorough_bytes: u64,
}

impl Probe {
    fn decision(&self) -> Option<ZstdLevel> {
        if self.shrinking_chunks >= PROBE_CHUNKS {
            let is_worth = self.thorough_bytes * 100 < self.fast_bytes * WORTH_PERCENT;
            return Some(if is_worth { ZstdLevel::DEFAULT } else { ZstdLevel::FAST });
        }
        (self.noise_chunks >= PROBE_CHUNKS).then_some(ZstdLevel::FAST)
    }
}

impl AutoLevel {
    /// An undecided item.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The level, once it is decided. Costs one atomic load.
    #[must_use]
    pub fn decided(&self) -> Option<ZstdLevel> {
        self.decided.get().copied()
    }

    /// Compresses a chunk of the item as [`Compressor::compress`] does, with the level that was decided or, as
    /// long as none is, with both, of which the shorter result is kept.
    pub fn compress(&self, compressor: &mut Compressor, input: &[u8], out: &mut Vec<u8>) -> Codec {
        if let Some(level) = self.decided() {
            return compressor.compress(Method::Zstd(level), input, out);
        }
        let start = out.len();
        if compressor.compress(Method::Zstd(ZstdLevel::FAST), input, out) == Codec::None {
            self.note(|probe| probe.noise_chunks += 1);
            return Codec::None;
        }
        let fast_end = out.len();
        let thorough_codec = compressor.compress(Method::Zstd(ZstdLevel::DEFAULT), input, out);
        let (fast_bytes, thorough_bytes) = (fast_end - start, out.len() - fast_end);
        self.note(|probe| {
            probe.shrinking_chunks += 1;
            probe.fast_bytes += fast_bytes as u64;
            probe.thorough_bytes += thorough_bytes as u64;
        });
        if thorough_codec == Codec::Zstd && thorough_bytes < fast_bytes {
            out.drain(start..fast_end);
        } else {
            out.truncate(fast_end);
        }
        Codec::Zstd
    }

    fn note(&self, change: impl FnOnce(&mut Probe)) {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut probe);
        if let Some(level) = probe.decision() {
            // Another thread may have been first; its word stands.
            let _ = self.decided.set(level);
        }
    }
}

/// The compression of one item: a fixed method, or the level that its own chunks show to be right.
#[derive(Debug)]
pub enum ItemCompression {
    /// From a setting that names a method.
    Fixed(Method),
    /// From the setting `auto`.
    Auto(AutoLevel),
}

impl ItemCompression {
    /// A fresh start for one item.
    #[must_use]
    pub fn new(setting: Compression) -> Self {
        match setting {
            Compression::Auto => Self::Auto(AutoLevel::new()),
            Compression::Zstd(level) => Self::Fixed(Method::Zstd(level)),
            Compression::Gzip(level) => Self::Fixed(Method::Gzip(level)),
            Compression::None => Self::Fixed(Method::None),
        }
    }

    /// Appends the compressed form of a chunk if there is a shorter one; see [`Compressor::compress`].
    pub fn compress(&self, compressor: &mut Compressor, input: &[u8], out: &mut Vec<u8>) -> Codec {
        match self {
            Self::Fixed(method) => compressor.compress(*method, input, out),
            Self::Auto(auto) => auto.compress(compressor, input, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decompressor;
    use super::super::testing::{lines, noise};
    use super::*;

    fn probe(fast_bytes: u64, thorough_bytes: u64) -> Option<ZstdLevel> {
        Probe { shrinking_chunks: PROBE_CHUNKS, noise_chunks: 0, fast_bytes, thorough_bytes }.decision()
    }

    #[test]
    fn level_three_must_save_more_than_three_percent() {
        assert_eq!(probe(1000, 969), Some(ZstdLevel::DEFAULT));
        assert_eq!(probe(1000, 970), Some(ZstdLevel::FAST));
        assert_eq!(probe(1000, 1100), Some(ZstdLevel::FAST));
    }

    #[test]
    fn an_item_is_decided_after_eight_shrinking_chunks() {
        let (auto, mut compressor, mut decompressor) =
            (AutoLevel::new(), Compressor::new(), Decompressor::new());
        let mut plain = Vec::new();
        for number in 0..10 {
            assert_eq!(auto.decided().is_some(), number >= 8, "{number}");
            let input = lines(number, 40_000);
            let mut out = b"before".to_vec();
            assert_eq!(auto.compress(&mut compressor, &input, &mut out), Codec::Zstd);
            let stored = out.strip_prefix(b"before").unwrap();
            plain.clear();
            decompressor.decompress(Codec::Zstd, stored, input.len(), &mut plain).unwrap();
            assert!(plain == input);
        }
    }

    #[test]
    fn noise_does_not_count_but_ends_the_probe_at_level_one() {
        let (auto, mut compressor) = (AutoLevel::new(), Compressor::new());
        for number in 0..8 {
            assert_eq!(auto.decided(), None);
            let input = noise(number, 10_000);
            let mut out = Vec::new();
            assert_eq!(auto.compress(&mut compressor, &input, &mut out), Codec::None);
            assert!(out.is_empty());
        }
        assert_eq!(auto.decided(), Some(ZstdLevel::FAST));
    }

    #[test]
    fn the_shorter_of_both_levels_is_kept_while_probing() {
        for seed in 0..6 {
            let input = lines(seed, 60_000);
            let shortest = [ZstdLevel::FAST, ZstdLevel::DEFAULT].map(|level| {
                let mut out = Vec::new();
                Compressor::new().compress(Method::Zstd(level), &input, &mut out);
                out
            });
            let mut out = Vec::new();
            AutoLevel::new().compress(&mut Compressor::new(), &input, &mut out);
            assert_eq!(Some(out.len()), shortest.iter().map(Vec::len).min());
        }
    }

    #[test]
    fn threads_share_one_decision() {
        let auto = ItemCompression::new(Compression::Auto);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let auto = &auto;
                scope.spawn(move || {
                    let mut compressor = Compressor::new();
                    for number in 0..8 {
                        auto.compress(&mut compressor, &lines(thread * 8 + number, 20_000), &mut Vec::new());
                    }
                });
            }
        });
        assert!(matches!(auto, ItemCompression::Auto(level) if level.decided().is_some()));
    }
}
