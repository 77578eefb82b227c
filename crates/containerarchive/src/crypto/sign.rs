//! Ed25519 (RFC 8032) over signed text objects.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};

use super::kdf::kdf32;
use super::{CryptoError, RootKey};
use crate::base::RepositoryId;

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;

/// Signs; admins only.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// The repository's signing key.
    ///
    /// # Errors
    /// The key could not be derived.
    pub fn new(root: &RootKey, repository: &RepositoryId) -> Result<Self, CryptoError> {
        let seed = zeroize::Zeroizing::new(kdf32(root.expose(), repository, "sign", b"")?);
        Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map(Self).map_err(|_| CryptoError("Ed25519"))
    }

    /// Signature over exactly these bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(self.0.sign(bytes).as_ref());
        signature
    }

    /// The half that everybody may know.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        Verifier(key)
    }
}

/// Verifies signatures of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier(pub [u8; 32]);

impl Verifier {
    /// Whether the signature is this repository's over these bytes.
    #[must_use]
    pub fn verify(&self, bytes: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        ParsedPublicKey::new(&ED25519, self.0).is_ok_and(|key| key.verify_sig(bytes, signature).is_ok())
    }
}
