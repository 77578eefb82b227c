//! `KDF` of `docs/FORMAT.md` section 3: HKDF-SHA-256 (RFC 5869) with the repository's id as salt.

use aws_lc_rs::hkdf;

use super::CryptoError;
use super::secret::RootKey;
use crate::base::{DomainId, RepositoryId};

struct OutputLen(usize);

impl hkdf::KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

/// Fills `output` (at most 8,160 bytes) from `key`, separated by repository, label and context.
///
/// # Errors
/// `output` is too long.
pub fn kdf(
    key: &[u8],
    repository: &RepositoryId,
    label: &str,
    context: &[u8],
    output: &mut [u8],
) -> Result<(), CryptoError> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, repository.as_bytes());
    let info = [b"containerarchive/1 ", label.as_bytes(), &[0], context];
    salt.extract(key)
        .expand(&info, OutputLen(output.len()))
        .and_then(|okm| okm.fill(output))
        .map_err(|_| CryptoError("HKDF"))
}

/// [`kdf`] with 32 bytes of output.
pub(super) fn kdf32(
    key: &[u8],
    repository: &RepositoryId,
    label: &str,
    context: &[u8],
) -> Result<[u8; 32], CryptoError> {
    let mut output = [0; 32];
    kdf(key, repository, label, context, &mut output)?;
    Ok(output)
}

/// The id of a domain with a name; `main` is the main domain.
///
/// # Errors
/// As [`kdf`].
pub fn derive_domain_id(
    root: &RootKey,
    repository: &RepositoryId,
    name: &str,
) -> Result<DomainId, CryptoError> {
    if name == "main" {
        return Ok(DomainId::MAIN);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&kdf32(root.expose(), repository, "domain-name", name.as_bytes())?[..16]);
    Ok(DomainId(id))
}
