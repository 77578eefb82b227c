//! 16 bytes at a time: the product of a byte is the sum of those of its halves, each looked up among sixteen.

use std::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_loadu_si128, _mm_set1_epi8, _mm_setzero_si128, _mm_shuffle_epi8,
    _mm_srli_epi64, _mm_storeu_si128, _mm_xor_si128,
};

use super::super::gf::NIBBLES;
use super::{Part, Registers};

const BYTES: usize = 16;

/// The proof that this processor can.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Ssse3(());

impl Ssse3 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("ssse3").then_some(Self(()))
    }

    pub(super) fn add<const N: usize>(self, source: &[u8], parts: [Part<'_, 1>; N]) {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: `self` exists only where `detect` found the feature that the function is compiled for.
        unsafe {
            add(source, parts);
        }
    }
}

#[target_feature(enable = "ssse3")]
fn add<const N: usize>(source: &[u8], parts: [Part<'_, 1>; N]) {
    let mut tables = [[_mm_setzero_si128(); 2]; N];
    for ([low, high], part) in tables.iter_mut().zip(&parts) {
        let (halves, _) = NIBBLES[usize::from(part.factors[0])].as_chunks::<BYTES>();
        (*low, *high) = (load(&halves[0]), load(&halves[1]));
    }
    let nibble = _mm_set1_epi8(15);
    let Registers { sources: [source], mut accumulators, .. } = Registers::<1, N, BYTES>::of([source], parts);
    for (at, bytes) in source.iter().enumerate() {
        let bytes = load(bytes);
        let low = _mm_and_si128(bytes, nibble);
        let high = _mm_and_si128(_mm_srli_epi64::<4>(bytes), nibble);
        // All are loaded before one is stored: a load waits for a store to an address that ends in the same 12 bits.
        let mut sums = [bytes; N];
        for ((sum, accumulator), table) in sums.iter_mut().zip(&accumulators).zip(&tables) {
            let product = _mm_xor_si128(_mm_shuffle_epi8(table[0], low), _mm_shuffle_epi8(table[1], high));
            *sum = _mm_xor_si128(load(&accumulator[at]), product);
        }
        for (sum, accumulator) in sums.iter().zip(&mut accumulators) {
            store(&mut accumulator[at], *sum);
        }
    }
}

#[inline]
#[target_feature(enable = "ssse3")]
fn load(bytes: &[u8; BYTES]) -> __m128i {
    #[expect(unsafe_code, reason = "loads take pointers")]
    // SAFETY: the array has 16 bytes, and the load needs no alignment.
    unsafe {
        _mm_loadu_si128(bytes.as_ptr().cast())
    }
}

#[inline]
#[target_feature(enable = "ssse3")]
fn store(place: &mut [u8; BYTES], bytes: __m128i) {
    #[expect(unsafe_code, reason = "stores take pointers")]
    // SAFETY: the array has 16 bytes, and the store needs no alignment.
    unsafe {
        _mm_storeu_si128(place.as_mut_ptr().cast(), bytes);
    }
}
