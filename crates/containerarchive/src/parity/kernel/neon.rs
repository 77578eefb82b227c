//! 16 bytes at a time: the product of a byte is the sum of those of its halves, each looked up among sixteen.

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vdupq_n_u8, veorq_u8, vld1q_u8, vqtbl1q_u8, vshrq_n_u8, vst1q_u8,
};
use std::arch::is_aarch64_feature_detected;

use super::super::gf::NIBBLES;
use super::{Part, Registers};

const BYTES: usize = 16;

/// The proof that this processor can.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Neon(());

impl Neon {
    pub(super) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    pub(super) fn add<const N: usize>(self, source: &[u8], parts: [Part<'_, 1>; N]) {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: `self` exists only where `detect` found the feature that the function is compiled for.
        unsafe {
            add(source, parts);
        }
    }
}

#[target_feature(enable = "neon")]
fn add<const N: usize>(source: &[u8], parts: [Part<'_, 1>; N]) {
    let mut tables = [[vdupq_n_u8(0); 2]; N];
    for ([low, high], part) in tables.iter_mut().zip(&parts) {
        let (halves, _) = NIBBLES[usize::from(part.factors[0])].as_chunks::<BYTES>();
        (*low, *high) = (load(&halves[0]), load(&halves[1]));
    }
    let nibble = vdupq_n_u8(15);
    let Registers { sources: [source], mut accumulators, .. } = Registers::<1, N, BYTES>::of([source], parts);
    for (at, bytes) in source.iter().enumerate() {
        let bytes = load(bytes);
        let (low, high) = (vandq_u8(bytes, nibble), vshrq_n_u8::<4>(bytes));
        let mut sums = [bytes; N];
        for ((sum, accumulator), table) in sums.iter_mut().zip(&accumulators).zip(&tables) {
            let product = veorq_u8(vqtbl1q_u8(table[0], low), vqtbl1q_u8(table[1], high));
            *sum = veorq_u8(load(&accumulator[at]), product);
        }
        for (sum, accumulator) in sums.iter().zip(&mut accumulators) {
            store(&mut accumulator[at], *sum);
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; BYTES]) -> uint8x16_t {
    #[expect(unsafe_code, reason = "loads take pointers")]
    // SAFETY: the array has 16 bytes, and the load needs no alignment.
    unsafe {
        vld1q_u8(bytes.as_ptr())
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(place: &mut [u8; BYTES], bytes: uint8x16_t) {
    #[expect(unsafe_code, reason = "stores take pointers")]
    // SAFETY: the array has 16 bytes, and the store needs no alignment.
    unsafe {
        vst1q_u8(place.as_mut_ptr(), bytes);
    }
}
