//! Secrets are distinct types without `Clone` or `Debug`, wiped on drop.

use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! secret_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the bytes over.
            #[must_use]
            pub fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes; do not copy them.
            #[must_use]
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }
    };
}

secret_type!(
    /// The root of all secrets of a repository; in admin slots only.
    RootKey
);
secret_type!(
    /// The secret `D` that the writers of one domain share.
    DomainSecret
);
secret_type!(
    /// The table, index or session key of a domain.
    PurposeKey
);

impl DomainSecret {
    /// The secret of a plain repository's only domain: a constant that everybody knows.
    #[must_use]
    pub fn plain() -> Self {
        Self([0; 32])
    }
}

/// Stored beside what a key sealed, and compared before the key is used, so that a ciphertext can belong to one key only.
#[derive(Debug, Clone, Copy)]
pub struct Commitment(pub [u8; 32]);

impl Commitment {
    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, stored: &[u8; 32]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, stored).is_ok()
    }
}

/// The key of one object and its commitment.
pub struct ObjectSecrets {
    /// Opens and seals.
    pub key: super::SealKey,
    /// To be stored or compared.
    pub commitment: Commitment,
}

/// What a passphrase or key file gives for one slot.
pub struct SlotSecrets {
    /// Opens the slot's payload.
    pub key: super::SealKey,
    /// Tells a wrong passphrase from a damaged slot.
    pub commitment: Commitment,
}

/// A passphrase as the user gave it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(Vec<u8>);

impl Passphrase {
    /// Takes the bytes over. `None` if there are none, or more than [`crate::base::limits::MAX_PASSPHRASE_BYTES`].
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > crate::base::limits::MAX_PASSPHRASE_BYTES {
            bytes.zeroize();
            return None;
        }
        Some(Self(bytes))
    }

    /// The bytes; do not copy them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}
