//! 64 bytes at a time: GFNI multiplies bytes by a bit matrix, which any linear map of GF(2^8) is. Its own
//! multiplication is that of AES's polynomial, which is another field.

use std::arch::x86_64::{
    __m512i, _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512, _mm512_set1_epi64, _mm512_storeu_si512,
    _mm512_xor_si512,
};

use super::super::gf::MATRICES;
use super::{Part, Registers};

const BYTES: usize = 64;

/// The proof that this processor can.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let can = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("gfni");
        can.then_some(Self(()))
    }

    pub(super) fn add<const S: usize, const N: usize>(self, sources: [&[u8]; S], parts: [Part<'_, S>; N]) {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: `self` exists only where `detect` found every feature that the function is compiled for.
        unsafe {
            add(sources, parts);
        }
    }
}

#[target_feature(enable = "avx512f,gfni")]
fn add<const S: usize, const N: usize>(sources: [&[u8]; S], parts: [Part<'_, S>; N]) {
    let mut matrices = [[_mm512_set1_epi64(0); S]; N];
    for (matrices, part) in matrices.iter_mut().zip(&parts) {
        for (matrix, factor) in matrices.iter_mut().zip(part.factors) {
            *matrix = _mm512_set1_epi64(MATRICES[usize::from(factor)].cast_signed());
        }
    }
    let Registers { sources, mut accumulators, len } = Registers::<S, N, BYTES>::of(sources, parts);
    for at in 0..len {
        // All are loaded before one is stored: a load waits for a store to an address that ends in the same 12 bits.
        let mut sums = [_mm512_set1_epi64(0); N];
        for (sum, accumulator) in sums.iter_mut().zip(&accumulators) {
            *sum = load(&accumulator[at]);
        }
        for (number, source) in sources.iter().enumerate() {
            let bytes = load(&source[at]);
            for (sum, matrices) in sums.iter_mut().zip(&matrices) {
                let product = _mm512_gf2p8affine_epi64_epi8::<0>(bytes, matrices[number]);
                *sum = _mm512_xor_si512(*sum, product);
            }
        }
        for (sum, accumulator) in sums.iter().zip(&mut accumulators) {
            store(&mut accumulator[at], *sum);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; BYTES]) -> __m512i {
    #[expect(unsafe_code, reason = "loads take pointers")]
    // SAFETY: the array has 64 bytes, and the load needs no alignment.
    unsafe {
        _mm512_loadu_si512(bytes.as_ptr().cast())
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(place: &mut [u8; BYTES], bytes: __m512i) {
    #[expect(unsafe_code, reason = "stores take pointers")]
    // SAFETY: the array has 64 bytes, and the store needs no alignment.
    unsafe {
        _mm512_storeu_si512(place.as_mut_ptr().cast(), bytes);
    }
}
