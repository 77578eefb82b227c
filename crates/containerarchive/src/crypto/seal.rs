//! `seal` of `docs/FORMAT.md` section 3.2: AES-256-GCM (SP 800-38D), or a keyed checksum in plain repositories.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as LibraryNonce, UnboundKey};
use zeroize::Zeroizing;

use super::{CryptoError, Suite};

/// Bytes that sealing adds.
pub const TAG_LEN: usize = 16;

/// The 12 bytes that must differ for every text that one key seals.
pub type Nonce = [u8; 12];

/// A tag did not match: the bytes are not those that were sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its tag does not match")]
pub struct OpenError;

/// Seals and opens with one key.
pub struct SealKey(Method);

enum Method {
    Encrypt(Box<LessSafeKey>),
    Checksum(Zeroizing<[u8; 32]>),
}

impl SealKey {
    /// A key for this suite; wipes the bytes given.
    ///
    /// # Errors
    /// The library could not take the key.
    pub fn new(suite: Suite, bytes: Zeroizing<[u8; 32]>) -> Result<Self, CryptoError> {
        Ok(Self(match suite {
            Suite::Plain => Method::Checksum(bytes),
            Suite::X25519 => {
                let key = UnboundKey::new(&AES_256_GCM, bytes.as_slice())
                    .map_err(|_| CryptoError("AES-256-GCM"))?;
                Method::Encrypt(Box::new(LessSafeKey::new(key)))
            }
        }))
    }

    /// Seals `text` in place and returns the tag that belongs behind it.
    ///
    /// # Errors
    /// The text is longer than the library takes (64 GiB).
    pub fn seal(&self, nonce: Nonce, aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_LEN], CryptoError> {
        match &self.0 {
            Method::Checksum(key) => Ok(checksum(key, nonce, aad, text)),
            Method::Encrypt(key) => {
                let mut tag = [0; TAG_LEN];
                let made = key
                    .seal_in_place_separate_tag(
                        LibraryNonce::assume_unique_for_key(nonce),
                        Aad::from(aad),
                        text,
                    )
                    .map_err(|_| CryptoError("AES-256-GCM"))?;
                tag.copy_from_slice(made.as_ref());
                Ok(tag)
            }
        }
    }

    /// Checks the tag at the end of `sealed` and opens the bytes before it in place. The result is those bytes;
    /// after an error nothing in the buffer may be used.
    ///
    /// # Errors
    /// The tag does not match, or there is none.
    pub fn open<'a>(
        &self,
        nonce: Nonce,
        aad: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        if sealed.len() < TAG_LEN {
            return Err(OpenError);
        }
        match &self.0 {
            Method::Checksum(key) => {
                let (text, tag) = sealed.split_at_mut(sealed.len() - TAG_LEN);
                if checksum(key, nonce, aad, text) == *tag { Ok(text) } else { Err(OpenError) }
            }
            Method::Encrypt(key) => key
                .open_in_place(LibraryNonce::assume_unique_for_key(nonce), Aad::from(aad), sealed)
                .map_err(|_| OpenError),
        }
    }
}

fn checksum(key: &[u8; 32], nonce: Nonce, aad: &[u8], text: &[u8]) -> [u8; TAG_LEN] {
    let aad_len = u32::try_from(aad.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&nonce).update(&aad_len).update(aad).update(text);
    let mut tag = [0; TAG_LEN];
    tag.copy_from_slice(&hasher.finalize().as_bytes()[..TAG_LEN]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_text_tag_nonce_or_aad_is_noticed() {
        for suite in [Suite::Plain, Suite::X25519] {
            let key = SealKey::new(suite, Zeroizing::new([7; 32])).unwrap();
            let mut sealed = b"some text".to_vec();
            let tag = key.seal([1; 12], b"aad", &mut sealed).unwrap();
            sealed.extend(tag);
            for bit in 0..sealed.len() * 8 {
                let mut damaged = sealed.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(key.open([1; 12], b"aad", &mut damaged).is_err());
            }
            assert!(key.open([2; 12], b"aad", &mut sealed.clone()).is_err());
            assert!(key.open([1; 12], b"aae", &mut sealed.clone()).is_err());
            assert_eq!(key.open([1; 12], b"aad", &mut sealed).unwrap(), b"some text");
        }
    }

    #[test]
    fn encryption_agrees_with_an_independent_implementation() {
        use hpke::aead::{Aead as _, AesGcm256};
        let _ = AesGcm256::AEAD_ID;
        // SP 800-38D test case 14 of the GCM specification: zero key, zero nonce, one zero block.
        let key = SealKey::new(Suite::X25519, Zeroizing::new([0; 32])).unwrap();
        let mut text = [0; 16];
        let tag = key.seal([0; 12], b"", &mut text).unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&text), "cea7403d4d606b6e074ec5d3baf39d18");
        assert_eq!(data_encoding::HEXLOWER.encode(&tag), "d0d1c8a799996bf0265b98b5d48ab919");
    }
}
