//! Chunk hashes (`docs/FORMAT.md` R-CHUNK-1) and BLAKE3.

use aws_lc_rs::{digest, hmac};

use super::{CryptoError, DomainSecret, Suite};
use crate::base::{ChunkHash, Kind, RepositoryId};

/// BLAKE3 with 32 bytes of output.
#[must_use]
pub fn blake3_256(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// Computes the hash part of chunk ids for one domain.
pub struct ChunkHasher(Option<hmac::Key>);

impl ChunkHasher {
    /// The hasher of a domain.
    ///
    /// # Errors
    /// The key could not be derived.
    pub fn new(suite: Suite, domain: &DomainSecret, repository: &RepositoryId) -> Result<Self, CryptoError> {
        if suite == Suite::Plain {
            return Ok(Self(None));
        }
        let key = zeroize::Zeroizing::new(super::kdf::kdf32(domain.expose(), repository, "chunk-id", b"")?);
        Ok(Self(Some(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))))
    }

    /// Hash of a chunk's plaintext.
    #[must_use]
    pub fn hash(&self, kind: Kind, plaintext: &[u8]) -> ChunkHash {
        let mut hash = [0; 32];
        match &self.0 {
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
}
