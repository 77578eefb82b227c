//! Chunk hashes (`docs/FORMAT.md` R-CHUNK-1) and BLAKE3.

use aws_lc_rs::{digest, hmac};

#[cfg(target_arch = "x86_64")]
use super::sha256_lanes;
use super::{CryptoError, DomainSecret, Suite};
use crate::base::{ChunkHash, Kind, RepositoryId};

/// BLAKE3 with 32 bytes of output.
#[must_use]
pub fn blake3_256(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// Computes the hash part of chunk ids for one domain: SHA-256 in a plain repository, else HMAC-SHA-256 (RFC 2104).
pub struct ChunkHasher {
    /// `None` in a plain repository.
    key: Option<hmac::Key>,
    #[cfg(target_arch = "x86_64")]
    lanes: Option<InLanes>,
}

/// For many chunks at once.
#[cfg(target_arch = "x86_64")]
struct InLanes {
    lanes: sha256_lanes::Lanes,
    /// Chaining values after the key's inner and outer block. As secret as the key.
    keyed: Option<zeroize::Zeroizing<[sha256_lanes::State; 2]>>,
}

impl ChunkHasher {
    /// The hasher of a domain.
    ///
    /// # Errors
    /// The key could not be derived.
    pub fn new(suite: Suite, domain: &DomainSecret, repository: &RepositoryId) -> Result<Self, CryptoError> {
        if suite == Suite::Plain {
            return Ok(Self {
                key: None,
                #[cfg(target_arch = "x86_64")]
                lanes: InLanes::new(None),
            });
        }
        let key = zeroize::Zeroizing::new(super::kdf::kdf32(domain.expose(), repository, "chunk-id", b"")?);
        Ok(Self {
            key: Some(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice())),
            #[cfg(target_arch = "x86_64")]
            lanes: InLanes::new(Some(&key)),
        })
    }

    /// Hash of a chunk's plaintext.
    #[must_use]
    pub fn hash(&self, kind: Kind, plaintext: &[u8]) -> ChunkHash {
        let mut hash = [0; 32];
        match &self.key {
            None => hash.copy_from_slice(digest::digest(&digest::SHA256, plaintext).as_ref()),
            Some(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(&[kind as u8]);
                context.update(plaintext);
                hash.copy_from_slice(context.sign().as_ref());
            }
        }
        ChunkHash(hash)
    }

    /// Hashes of several chunks of one kind, in their order. Faster than one after the other where the processor has
    /// instructions for SHA-256.
    #[must_use]
    pub fn hash_each<'a>(
        &self,
        kind: Kind,
        plaintexts: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Vec<ChunkHash> {
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = &self.lanes {
            return lanes.hash_each(kind, plaintexts);
        }
        plaintexts.map(|plaintext| self.hash(kind, plaintext)).collect()
    }
}

#[cfg(target_arch = "x86_64")]
impl InLanes {
    fn new(key: Option<&[u8; 32]>) -> Option<Self> {
        let lanes = sha256_lanes::Lanes::detect()?;
        let keyed = key.map(|key| {
            let block = |pad: u8| {
                let mut block = zeroize::Zeroizing::new([pad; 64]);
                block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
                block
            };
            zeroize::Zeroizing::new(lanes.begin([&block(0x36), &block(0x5c)]))
        });
        Some(Self { lanes, keyed })
    }

    fn hash_each<'a>(
        &self,
        kind: Kind,
        plaintexts: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Vec<ChunkHash> {
        let hashes = match self.keyed.as_deref() {
            None => self.lanes.hash_each((sha256_lanes::INITIAL, 0), &[], plaintexts),
            Some([inner, outer]) => {
                let inner = self.lanes.hash_each((*inner, 64), &[kind as u8], plaintexts);
                self.lanes.hash_each((*outer, 64), &[], inner.iter().map(<[u8; 32]>::as_slice))
            }
        };
        hashes.into_iter().map(ChunkHash).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_hashes_at_once_are_those_of_one_after_the_other() {
        let repository = RepositoryId([1; 16]);
        for suite in [Suite::Plain, Suite::X25519] {
            let hasher = ChunkHasher::new(suite, &DomainSecret::new([7; 32]), &repository).unwrap();
            let texts: Vec<Vec<u8>> = (0..200).map(|len| vec![len as u8; len * 37]).collect();
            for kind in [Kind::Data, Kind::Recipe, Kind::Tree] {
                let hashes = hasher.hash_each(kind, texts.iter().map(Vec::as_slice));
                let single: Vec<ChunkHash> = texts.iter().map(|text| hasher.hash(kind, text)).collect();
                assert_eq!(hashes, single);
            }
        }
    }
}
