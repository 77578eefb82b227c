//! Compressing chunks.

use std::io::Cursor;

use zstd::zstd_safe::compress_bound;

use super::gzip::GzipEncoder;
use super::{Codec, GzipLevel, ZstdLevel};

/// How one chunk shall be compressed: a setting without `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Stored as it is.
    None,
    /// zstd with this level.
    Zstd(ZstdLevel),
    /// gzip with this level.
    Gzip(GzipLevel),
}

/// Up to this level zstd itself hurries over noise (gigabytes per second), so that a test before costs more than
/// it saves. Higher levels and gzip search noise as hard as text.
const HURRYING_ZSTD_LEVEL: i32 = 4;
/// Three samples of this size are looked at before a slow method is tried.
const SAMPLE_BYTES: usize = 8 << 10;

/// Compresses chunks; each worker thread has its own. Its states (a few MiB, more for high levels) are made when
/// first needed and used again.
#[derive(Default)]
pub struct Compressor {
    zstd: Option<(ZstdLevel, zstd::bulk::Compressor<'static>)>,
    gzip: Option<GzipEncoder>,
    trial: Vec<u8>,
}

impl Compressor {
    /// A compressor without any state yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the compressed form of `input` to `out` and returns its codec; or appends nothing and returns
    /// [`Codec::None`] when compression does not make it shorter, or fails for want of memory: then `input` itself is
    /// what is stored.
    pub fn compress(&mut self, method: Method, input: &[u8], out: &mut Vec<u8>) -> Codec {
        let start = out.len();
        let shrunk = match method {
            Method::None => None,
            Method::Zstd(level) => {
                let is_slow = level.get() > HURRYING_ZSTD_LEVEL;
                (!is_slow || self.is_worth_trying(input))
                    .then(|| self.zstd(level, input, out))
                    .flatten()
                    .map(|()| Codec::Zstd)
            }
            Method::Gzip(level) => self
                .is_worth_trying(input)
                .then(|| self.gzip(level, input, out))
                .flatten()
                .map(|()| Codec::Gzip),
        };
        shrunk.unwrap_or_else(|| {
            out.truncate(start);
            Codec::None
        })
    }

    /// False for noise. If no sample shrinks, the whole is tried at a level that hurries over noise, so that
    /// nothing which shrinks is missed by much.
    fn is_worth_trying(&mut self, input: &[u8]) -> bool {
        let mut trial = std::mem::take(&mut self.trial);
        let mut shrinks = |part: &[u8]| {
            trial.clear();
            self.zstd(ZstdLevel::FAST, part, &mut trial).is_some()
        };
        let is_worth = if input.len() <= 4 * SAMPLE_BYTES {
            // So short that nothing is won by looking first.
            true
        } else {
            let last = input.len() - SAMPLE_BYTES;
            [0, last / 2, last].into_iter().any(|start| shrinks(&input[start..start + SAMPLE_BYTES]))
                || shrinks(input)
        };
        self.trial = trial;
        is_worth
    }

    /// `None`, with `out` in any state behind its old length, when the frame would not be shorter.
    fn zstd(&mut self, level: ZstdLevel, input: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        if self.zstd.as_ref().is_none_or(|(current, _)| *current != level) {
            let mut context = match self.zstd.take() {
                Some((_, context)) => context,
                None => zstd::bulk::Compressor::new(level.get()).ok()?,
            };
            context.set_compression_level(level.get()).ok()?;
            self.zstd = Some((level, context));
        }
        let (_, context) = self.zstd.as_mut()?;
        // Room for the worst case: zstd is slower when it has to watch the end of its buffer.
        out.reserve(compress_bound(input.len()));
        let mut target = Cursor::new(out);
        target.set_position(start as u64);
        let length = context.compress_to_buffer(input, &mut target).ok()?;
        (length < input.len()).then_some(())
    }

    fn gzip(&mut self, level: GzipLevel, input: &[u8], out: &mut Vec<u8>) -> Option<()> {
        if self.gzip.as_ref().is_none_or(|encoder| encoder.level() != level) {
            self.gzip = Some(GzipEncoder::new(level));
        }
        self.gzip.as_mut()?.encode(input, out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decompressor;
    use super::super::testing::{lines, methods, noise};
    use super::*;

    #[test]
    fn every_method_round_trips_every_size() {
        let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
        let mut plain = Vec::new();
        for size in [0, 1, 2, 3, 17, 255, 256, 1000, 32_769, 65_536, 1 << 20] {
            for input in [noise(9, size), lines(9, size), vec![0; size]] {
                for method in methods() {
                    let mut out = b"before".to_vec();
                    let codec = compressor.compress(method, &input, &mut out);
                    let mut stored = out.strip_prefix(b"before").unwrap();
                    if codec == Codec::None {
                        assert!(stored.is_empty(), "{method:?} {size}");
                        stored = &input;
                    } else {
                        assert!(stored.len() < input.len(), "{method:?} {size}");
                    }
                    plain.clear();
                    decompressor.decompress(codec, stored, input.len(), &mut plain).unwrap();
                    assert!(plain == input, "{method:?} {size}");
                }
            }
        }
    }

    #[test]
    fn largest_chunk_round_trips() {
        let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
        let input = lines(4, crate::base::limits::MAX_CHUNK_BYTES);
        let mut plain = Vec::new();
        for level in [1, 3] {
            let mut out = Vec::new();
            let codec = compressor.compress(Method::Zstd(ZstdLevel::new(level).unwrap()), &input, &mut out);
            assert_eq!(codec, Codec::Zstd);
            plain.clear();
            decompressor.decompress(codec, &out, input.len(), &mut plain).unwrap();
            assert!(plain == input);
        }
    }

    #[test]
    fn same_input_gives_same_bytes_whatever_came_before() {
        let input = lines(2, 100_000);
        for method in methods() {
            let (mut fresh, mut used) = (Vec::new(), Vec::new());
            Compressor::new().compress(method, &input, &mut fresh);
            let mut compressor = Compressor::new();
            for other in methods() {
                compressor.compress(other, &lines(3, 50_000), &mut Vec::new());
            }
            compressor.compress(method, &input, &mut used);
            assert!(fresh == used, "{method:?}");
        }
    }

    #[test]
    fn a_little_text_among_noise_is_found_by_slow_methods() {
        let mut input = noise(1, 256 << 10);
        input[40_000..80_000].fill(b' ');
        for method in methods().into_iter().filter(|method| *method != Method::None) {
            assert_ne!(
                Compressor::new().compress(method, &input, &mut Vec::new()),
                Codec::None,
                "{method:?}"
            );
        }
    }

    #[test]
    fn gzip_output_is_read_by_a_stranger() {
        let input = lines(8, 70_000);
        let mut stored = Vec::new();
        assert_eq!(
            Compressor::new().compress(Method::Gzip(GzipLevel::DEFAULT), &input, &mut stored),
            Codec::Gzip
        );
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&stored[..]), &mut plain).unwrap();
        assert!(plain == input);
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib compress -- --ignored --nocapture"]
    fn speed_on_noise_and_lines() {
        let mut compressor = Compressor::new();
        let mut out = Vec::with_capacity(1 << 20);
        for method in methods() {
            for (name, input) in [("noise", noise(1, 256 << 10)), ("lines", lines(1, 256 << 10))] {
                let start = std::time::Instant::now();
                for _ in 0..20 {
                    out.clear();
                    compressor.compress(method, &input, &mut out);
                }
                let speed = 20.0 * input.len() as f64 / start.elapsed().as_secs_f64() / 1e6;
                println!("{method:?} {name}: {speed:.0} MB/s, {} bytes", out.len());
            }
        }
    }
}
