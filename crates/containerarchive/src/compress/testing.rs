//! Content for this room's tests.

use super::{GzipLevel, Method, ZstdLevel};

/// Bytes that do not shrink: xorshift64* (Vigna 2016).
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Lines with a little noise in them, as in a dump.
pub(super) fn lines(seed: u64, length: usize) -> Vec<u8> {
    let noise = noise(seed, length / 8 + 8);
    let line = |(number, bytes): (usize, &[u8])| {
        format!("INSERT INTO measurement VALUES ({number}, {}, 'name-{}', NULL);\n", bytes[0], bytes[1])
    };
    let mut text: Vec<u8> =
        noise.chunks_exact(2).enumerate().flat_map(|row| line(row).into_bytes()).collect();
    text.truncate(length);
    text
}

pub(super) fn methods() -> Vec<Method> {
    let mut methods = vec![Method::None];
    methods.extend([-7, -1, 1, 3, 4, 5, 12].map(|level| Method::Zstd(ZstdLevel::new(level).unwrap())));
    methods.extend([1, 6, 9].map(|level| Method::Gzip(GzipLevel::new(level).unwrap())));
    methods
}
