//! Primitives of the processor, through the library's own functions, each on one core.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::hint::black_box;

use containerarchive::base::{Kind, RepositoryId};
use containerarchive::chunk::Chunker;
use containerarchive::compress::{Codec, Compressor, Decompressor, ItemCompression};
use containerarchive::crypto::{
    ChunkHasher, DomainSecret, Nonce, SealKey, Suite, TAG_LEN, blake3_256, slot_secrets_from_passphrase,
};
use containerarchive::format::pack::RECORD_LEN;
use containerarchive::{Argon2Params, Compression, Passphrase};
use zeroize::Zeroizing;

use crate::best::{Clock, Rounds, best_seconds};
use crate::sample::{Sample, cut};

/// The average chunk, and what reads and writes are made of.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// The default pack, which is hashed as a whole.
const PACK_BYTES: usize = 16 << 20;
/// Associated data as long as a chunk's, which is its record.
const AAD: [u8; RECORD_LEN] = [7; RECORD_LEN];

/// Numbers by name. `sample_bytes` and `stored_bytes` are sizes before and after compression, `key_seconds` is the time
/// that a passphrase takes on all cores; all others are bytes per second, of plain bytes where bytes are compressed.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<(&'static str, f64)>);

impl Results {
    pub(crate) fn add(&mut self, name: &'static str, value: f64) {
        self.0.push((name, value));
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.0.iter().copied()
    }

    #[cfg(test)]
    pub(crate) fn get(&self, wanted: &str) -> Option<f64> {
        self.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name} {value:.6}"))
    }
}

/// Measures all of them and returns the sealed bytes: what a disk gets to see.
pub(crate) fn measure(
    sample: &Sample,
    rounds: Rounds,
    results: &mut Results,
) -> Result<Vec<u8>, Box<dyn Error>> {
    let rounds = rounds.processor;
    results.add("sample_bytes", sample.bytes.len() as f64);
    let texts = compressed(sample);
    let stored_bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
    results.add("stored_bytes", stored_bytes as f64);
    copy_and_hash(sample, rounds, results)?;
    compress(sample, &texts, rounds, results)?;
    let sealed = seal(&texts, rounds, results)?;
    let seconds = repeat(rounds, || {
        sealed.chunks(PACK_BYTES).for_each(|pack| {
            black_box(blake3_256(pack));
        });
    });
    results.add("blake3", sealed.len() as f64 / seconds);
    key(rounds, results)?;
    Ok(sealed)
}

/// The best time of work that cannot fail and needs no preparation, in seconds.
fn repeat(rounds: usize, mut work: impl FnMut()) -> f64 {
    let done = best_seconds(
        Clock::Thread,
        rounds,
        || Ok::<_, Infallible>(()),
        |()| {
            work();
            Ok(())
        },
    );
    match done {
        Ok(seconds) => seconds,
    }
}

fn copy_and_hash(sample: &Sample, rounds: usize, results: &mut Results) -> Result<(), Box<dyn Error>> {
    let bytes = sample.bytes.len() as f64;
    let mut piece = vec![0; PIECE_BYTES];
    let seconds = repeat(rounds, || {
        for source in sample.bytes.chunks(PIECE_BYTES) {
            black_box(&mut piece)[..source.len()].copy_from_slice(black_box(source));
        }
    });
    results.add("memcpy", bytes / seconds);
    let chunker: Chunker = Sample::chunker();
    let seconds = repeat(rounds, || {
        black_box(cut(&chunker, &sample.bytes));
    });
    results.add("cut", bytes / seconds);
    for (name, suite) in [("sha256", Suite::Plain), ("hmac_sha256", Suite::X25519)] {
        let hasher = ChunkHasher::new(suite, &DomainSecret::plain(), &RepositoryId([1; 16]))?;
        let seconds = repeat(rounds, || {
            black_box(hasher.hash_each(Kind::Data, sample.chunks()));
        });
        results.add(name, bytes / seconds);
    }
    Ok(())
}

/// A start for one item, which finds its level with the first chunks that it sees.
fn automatic() -> ItemCompression {
    ItemCompression::new(Compression::Auto)
}

/// The chunks as a pack holds them before they are sealed.
fn compressed(sample: &Sample) -> Vec<(Codec, Vec<u8>)> {
    let (setting, mut compressor) = (automatic(), Compressor::new());
    let compress = |chunk| {
        let mut text = Vec::new();
        let codec = setting.compress(&mut compressor, chunk, &mut text);
        (codec, if codec == Codec::None { chunk.to_vec() } else { text })
    };
    sample.chunks().map(compress).collect()
}

fn compress(
    sample: &Sample,
    texts: &[(Codec, Vec<u8>)],
    rounds: usize,
    results: &mut Results,
) -> Result<(), Box<dyn Error>> {
    let bytes = sample.bytes.len() as f64;
    let (setting, mut compressor, mut text) = (automatic(), Compressor::new(), Vec::new());
    let mut all = || {
        for chunk in sample.chunks() {
            text.clear();
            black_box(setting.compress(&mut compressor, chunk, &mut text));
        }
    };
    // The level is found before the time counts.
    all();
    results.add("compress", bytes / repeat(rounds, all));
    let (mut decompressor, mut plain) = (Decompressor::new(), Vec::new());
    let seconds = best_seconds(
        Clock::Thread,
        rounds,
        || Ok(()),
        |()| {
            let mut pairs = texts.iter().zip(&sample.chunks);
            pairs.try_for_each(|((codec, text), range)| {
                plain.clear();
                decompressor.decompress(*codec, text, range.len(), &mut plain)
            })
        },
    )?;
    results.add("decompress", bytes / seconds);
    Ok(())
}

/// Seals and opens all texts, which lie one behind the other in one buffer as in a pack, and returns them sealed.
fn seal(texts: &[(Codec, Vec<u8>)], rounds: usize, results: &mut Results) -> Result<Vec<u8>, Box<dyn Error>> {
    let key = SealKey::new(Suite::X25519, Zeroizing::new([7; 32]))?;
    let mut plain = Vec::new();
    for (_, text) in texts {
        plain.extend_from_slice(text);
        plain.extend_from_slice(&[0; TAG_LEN]);
    }
    let bytes = plain.len() as f64;
    let mut sealed = Vec::new();
    let seconds = best_seconds(
        Clock::Thread,
        rounds,
        || Ok::<_, Box<dyn Error>>(plain.clone()),
        |buffer| {
            let mut rest = buffer.as_mut_slice();
            for (slot, (_, text)) in texts.iter().enumerate() {
                let (piece, behind) = rest.split_at_mut(text.len() + TAG_LEN);
                let (text, tag) = piece.split_at_mut(text.len());
                tag.copy_from_slice(&key.seal(nonce(slot), &AAD, text)?);
                rest = behind;
            }
            std::mem::swap(&mut sealed, buffer);
            Ok(())
        },
    )?;
    results.add("seal", bytes / seconds);
    let seconds = best_seconds(
        Clock::Thread,
        rounds,
        || Ok::<_, Box<dyn Error>>(sealed.clone()),
        |buffer| {
            let mut rest = buffer.as_mut_slice();
            for (slot, (_, text)) in texts.iter().enumerate() {
                let (piece, behind) = rest.split_at_mut(text.len() + TAG_LEN);
                key.open(nonce(slot), &AAD, piece)?;
                rest = behind;
            }
            Ok(())
        },
    )?;
    results.add("open", bytes / seconds);
    Ok(sealed)
}

/// Differs from slot to slot.
fn nonce(slot: usize) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[..8].copy_from_slice(&(slot as u64).to_le_bytes());
    nonce
}

/// What every command pays for a passphrase, on as many cores as there are lanes.
fn key(rounds: usize, results: &mut Results) -> Result<(), Box<dyn Error>> {
    let passphrase = Passphrase::new(b"correct horse".to_vec()).ok_or("no passphrase")?;
    let seconds = best_seconds(
        Clock::Wall,
        rounds,
        || Ok::<_, Box<dyn Error>>(()),
        |()| {
            slot_secrets_from_passphrase(&passphrase, &[1; 32], Argon2Params::default())?;
            Ok(())
        },
    )?;
    results.add("key_seconds", seconds);
    Ok(())
}
