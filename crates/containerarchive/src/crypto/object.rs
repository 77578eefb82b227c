//! Keys and commitments of single objects (`docs/FORMAT.md` section 3.1).

use zeroize::Zeroizing;

use super::kdf::{kdf, kdf32};
use super::{Commitment, CryptoError, DomainSecret, ObjectSecrets, PurposeKey, RootKey, SealKey, Suite};
use crate::base::{DomainId, RepositoryId, SlotId};

/// What a domain's symmetric keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Chunk tables and pack indexes.
    Table,
    /// Index segments.
    Index,
    /// Sessions.
    Session,
}

impl DomainSecret {
    /// The secret of a domain of an encrypted repository.
    ///
    /// # Errors
    /// The derivation failed.
    pub fn derive(root: &RootKey, repository: &RepositoryId, domain: DomainId) -> Result<Self, CryptoError> {
        kdf32(root.expose(), repository, "domain", domain.as_bytes()).map(Self::new)
    }

    /// The key for one purpose.
    ///
    /// # Errors
    /// The derivation failed.
    pub fn purpose_key(
        &self,
        repository: &RepositoryId,
        purpose: Purpose,
    ) -> Result<PurposeKey, CryptoError> {
        let label = match purpose {
            Purpose::Table => "table",
            Purpose::Index => "index",
            Purpose::Session => "session",
        };
        kdf32(self.expose(), repository, label, b"").map(PurposeKey::new)
    }

    /// The 2,048 bytes of the domain's gear table.
    ///
    /// # Errors
    /// The derivation failed.
    pub fn gear_bytes(&self, repository: &RepositoryId) -> Result<Zeroizing<[u8; 2048]>, CryptoError> {
        let mut bytes = Zeroizing::new([0; 2048]);
        kdf(self.expose(), repository, "gear", b"", bytes.as_mut_slice())?;
        Ok(bytes)
    }

    /// Secrets of a pack or manifest of a plain repository: checksums, not encryption.
    ///
    /// # Errors
    /// The derivation failed.
    pub fn plain_secrets(
        &self,
        repository: &RepositoryId,
        label: &str,
        prefix: &[u8],
    ) -> Result<ObjectSecrets, CryptoError> {
        expand(Suite::Plain, self.expose(), repository, label, prefix)
    }
}

impl PurposeKey {
    /// Secrets of one object; `context` holds its fresh salt.
    ///
    /// # Errors
    /// The derivation failed.
    pub fn object_secrets(
        &self,
        suite: Suite,
        repository: &RepositoryId,
        context: &[u8],
    ) -> Result<ObjectSecrets, CryptoError> {
        expand(suite, self.expose(), repository, "object", context)
    }
}

impl RootKey {
    /// The key of a slot's text (label and domain name).
    ///
    /// # Errors
    /// The derivation failed.
    pub fn slot_text_key(&self, repository: &RepositoryId, slot: SlotId) -> Result<SealKey, CryptoError> {
        let key = Zeroizing::new(kdf32(self.expose(), repository, "slot-text", slot.as_bytes())?);
        SealKey::new(Suite::X25519, key)
    }
}

fn expand(
    suite: Suite,
    key: &[u8; 32],
    repository: &RepositoryId,
    label: &str,
    context: &[u8],
) -> Result<ObjectSecrets, CryptoError> {
    let mut output = Zeroizing::new([0; 64]);
    kdf(key, repository, label, context, output.as_mut_slice())?;
    let mut key = Zeroizing::new([0; 32]);
    let mut commitment = [0; 32];
    key.copy_from_slice(&output[..32]);
    commitment.copy_from_slice(&output[32..]);
    Ok(ObjectSecrets { key: SealKey::new(suite, key)?, commitment: Commitment(commitment) })
}
