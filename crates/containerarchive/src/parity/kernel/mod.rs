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

/// One of those that `S` sources are added to.
pub(super) struct Part<'a, const S: usize> {
    /// By what each source is multiplied before.
    pub(super) factors: [u8; S],
    /// As long as each source.
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

    /// Each accumulator becomes itself xor the sum of its factors · `sources`. All are equally long.
    pub(super) fn add<const S: usize, const N: usize>(self, sources: [&[u8]; S], parts: [Part<'_, S>; N]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(kernel) => kernel.add(sources, parts),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(kernel) => one_by_one(sources, parts, |source, parts| kernel.add(source, parts)),
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3(kernel) => one_by_one(sources, parts, |source, parts| kernel.add(source, parts)),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(kernel) => one_by_one(sources, parts, |source, parts| kernel.add(source, parts)),
            Self::Plain => one_by_one(sources, parts, plain::add),
        }
    }
}

/// For kernels without the registers for the tables of several sources.
fn one_by_one<const S: usize, const N: usize>(
    sources: [&[u8]; S],
    mut parts: [Part<'_, S>; N],
    add: impl Fn(&[u8], [Part<'_, 1>; N]),
) {
    for (at, source) in sources.into_iter().enumerate() {
        add(
            source,
            parts
                .each_mut()
                .map(|part| Part { factors: [part.factors[at]], accumulator: &mut *part.accumulator }),
        );
    }
}

/// Sources and accumulators cut into whole registers and the rest.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
struct Registers<'s, 'a, const S: usize, const N: usize, const BYTES: usize> {
    sources: [&'s [[u8; BYTES]]; S],
    accumulators: [&'a mut [[u8; BYTES]]; N],
    /// Registers of each of them.
    len: usize,
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl<'s, 'a, const S: usize, const N: usize, const BYTES: usize> Registers<'s, 'a, S, N, BYTES> {
    /// Adds the rest, and returns what is whole.
    fn of(sources: [&'s [u8]; S], parts: [Part<'a, S>; N]) -> Self {
        let sources = sources.map(|source| source.as_chunks::<BYTES>());
        let len = sources.iter().map(|(whole, _)| whole.len()).min().unwrap_or(0);
        let accumulators = parts.map(|Part { factors, accumulator }| {
            let (whole, rest) = accumulator.as_chunks_mut::<BYTES>();
            for ((_, source_rest), factor) in sources.iter().zip(factors) {
                plain::add_bytes(source_rest, factor, rest);
            }
            &mut whole[..len]
        });
        Self { sources: sources.map(|(whole, _)| &whole[..len]), accumulators, len }
    }
}
