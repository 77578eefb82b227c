//! L1: secrets and what is done with them. Every primitive comes from a library, but for the hash of many chunks at
//! once; here are the compositions that `docs/FORMAT.md` sections 3 and 7 describe.

mod blocks;
mod hash;
mod hpke;
mod kdf;
mod object;
mod passphrase;
mod seal;
mod secret;
#[cfg(target_arch = "x86_64")]
mod sha256_lanes;
mod sign;

pub use blocks::{BLOCK_LEN, BlockHasher, BlockSum, block_sum, hash_blocks};
pub use hash::{ChunkHasher, blake3_256};
pub use hpke::{DomainOpener, DomainPublicKey, encapsulate};
pub use kdf::{derive_domain_id, kdf};
pub use object::Purpose;
pub use passphrase::{
    Argon2Params, Argon2ParamsError, KeyFile, KeyFileError, slot_secrets_from_key_file,
    slot_secrets_from_passphrase,
};
pub use seal::{Nonce, OpenError, SealKey, TAG_LEN};
pub use secret::{Commitment, DomainSecret, ObjectSecrets, Passphrase, PurposeKey, RootKey, SlotSecrets};
pub use sign::{SIGNATURE_LEN, Signer, Verifier};

/// How a repository seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Suite {
    /// No encryption: checksums in the places of tags.
    Plain = 0,
    /// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
    X25519 = 1,
}

impl Suite {
    /// The suite with this number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        match number {
            0 => Some(Self::Plain),
            1 => Some(Self::X25519),
            _ => None,
        }
    }

    /// The number in headers and in the config.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }
}

/// A primitive failed in a way that no input can cause, for example for want of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} failed")]
pub struct CryptoError(pub &'static str);
