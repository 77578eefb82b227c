//! Multiply and add, the one thing that takes time: one file for each set of instructions.
//!
//! All of them do the same, so that a processor without any of them gives the same bytes with [`plain`]. What is
//! shorter than a register at the end is always done by that.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;
#[cfg(target_arch = "x86_64")]
mod ssse3;

use std::sync::OnceLock;

/// One of those that a source is added to.
pub(super) struct Part<'a> {
    /// By what the source is multiplied before.
    pub(super) factor: u8,
    /// As long as the source.
    pub(super) accumulator: &'a mut [u8],
}

/// Instructions that this processor has: a value of a variant is the proof.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Ssse3(ssse3::Ssse3),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon),
    Plain,
}

impl Kernel {
    /// The fastest, asked for once.
    pub(super) fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| Self::all().next().unwrap_or(Self::Plain))
    }

    /// All that can run here, the fastest first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let found: Vec<Option<Self>> = vec![
            #[cfg(target_arch = "x86_64")]
            avx512::Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            ssse3::Ssse3::detect().map(Self::Ssse3),
            #[cfg(target_arch = "aarch64")]
            neon::Neon::detect().map(Self::Neon),
            Some(Self::Plain),
        ];
        found.into_iter().flatten()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512-gfni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3(_) => "ssse3",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
            Self::Plain => "plain",
        }
    }

    /// Each accumulator becomes itself xor its factor · `source`. All are equally long.
    pub(super) fn add<const N: usize>(self, source: &[u8], parts: [Part<'_>; N]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(kernel) => kernel.add(source, parts),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kernel) => kernel.add(source, parts),
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3(kernel) => kernel.add(source, parts),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(kernel) => kernel.add(source, parts),
            Self::Plain => plain::add(source, parts),
        }
    }
}

/// Source and accumulators cut into whole registers and the rest.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
struct Registers<'s, 'a, const N: usize, const BYTES: usize> {
    source: &'s [[u8; BYTES]],
    accumulators: [&'a mut [[u8; BYTES]]; N],
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl<'s, 'a, const N: usize, const BYTES: usize> Registers<'s, 'a, N, BYTES> {
    /// Adds the rest, and returns what is whole: accumulators as long as the source.
    fn of(source: &'s [u8], parts: [Part<'a>; N]) -> Self {
        let (source, source_rest) = source.as_chunks::<BYTES>();
        let accumulators = parts.map(|Part { factor, accumulator }| {
            let (whole, rest) = accumulator.as_chunks_mut::<BYTES>();
            plain::add_bytes(source_rest, factor, rest);
            &mut whole[..source.len()]
        });
        Self { source, accumulators }
    }
}
