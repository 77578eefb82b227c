//! From a passphrase or a key file to the key of a slot (`docs/FORMAT.md` section 7).

use argon2::{Algorithm, Argon2, Block, Params, Version};
use data_encoding::HEXLOWER;
use zeroize::{Zeroize, Zeroizing};

use super::{Commitment, CryptoError, Passphrase, SealKey, SlotSecrets, Suite};
use crate::base::RepositoryId;
use crate::base::limits::{
    MAX_ARGON2_COST_KIB, MAX_ARGON2_LANES, MAX_ARGON2_MEMORY_KIB, MAX_ARGON2_PASSES, MIN_ARGON2_MEMORY_KIB,
};

/// Cost of Argon2id, checked against the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Argon2id parameters outside of the limits; a hostile slot could otherwise take all memory or hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Argon2id with {memory_kib} KiB, {passes} passes, {lanes} lanes is outside of the limits: {MIN_ARGON2_MEMORY_KIB} to \
     {MAX_ARGON2_MEMORY_KIB} KiB, 1 to {MAX_ARGON2_PASSES} passes, 1 to {MAX_ARGON2_LANES} lanes, at most \
     {MAX_ARGON2_COST_KIB} KiB x passes"
)]
pub struct Argon2ParamsError {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Default for Argon2Params {
    /// The second profile that RFC 9106 section 4 recommends.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 4 }
    }
}

impl Argon2Params {
    /// Checks the limits.
    ///
    /// # Errors
    /// A value is outside of them.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, Argon2ParamsError> {
        let params = Self { memory_kib, passes, lanes };
        let good = (MIN_ARGON2_MEMORY_KIB..=MAX_ARGON2_MEMORY_KIB).contains(&memory_kib)
            && (1..=MAX_ARGON2_PASSES).contains(&passes)
            && (1..=MAX_ARGON2_LANES).contains(&lanes)
            && params.cost_kib() <= MAX_ARGON2_COST_KIB;
        if good { Ok(params) } else { Err(Argon2ParamsError { memory_kib, passes, lanes }) }
    }

    /// Memory in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// Lanes.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// Memory times passes, in KiB: what the time is proportional to.
    #[must_use]
    pub fn cost_kib(&self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }
}

fn split(output: &Zeroizing<[u8; 64]>) -> Result<SlotSecrets, CryptoError> {
    let mut key = Zeroizing::new([0; 32]);
    let mut commitment = [0; 32];
    key.copy_from_slice(&output[..32]);
    commitment.copy_from_slice(&output[32..]);
    Ok(SlotSecrets { key: SealKey::new(Suite::X25519, key)?, commitment: Commitment(commitment) })
}

/// Blocks of 1 KiB that room is reserved for at least; what is not used takes no memory. Once a buffer of up to 32 MiB
/// is freed, glibc's malloc takes buffers of its size from heaps (mallopt(3), M_MMAP_THRESHOLD), where the large ones of
/// an ingest leave holes of many megabytes.
const LEAST_BLOCKS: usize = 33 << 10;

/// Argon2id. Takes `params.memory_kib()` of memory, which is wiped; about 0.1 s with the default parameters on two cores.
///
/// # Errors
/// There is not enough memory.
pub fn slot_secrets_from_passphrase(
    passphrase: &Passphrase,
    salt: &[u8; 32],
    params: Argon2Params,
) -> Result<SlotSecrets, CryptoError> {
    const FAILED: CryptoError = CryptoError("Argon2id (not enough memory?)");
    let library_params =
        Params::new(params.memory_kib, params.passes, params.lanes, Some(64)).map_err(|_| FAILED)?;
    let mut blocks: Vec<Block> = Vec::new();
    let room = library_params.block_count().max(LEAST_BLOCKS);
    blocks.try_reserve_exact(room).map_err(|_| FAILED)?;
    blocks.resize(library_params.block_count(), Block::default());
    let mut output = Zeroizing::new([0; 64]);
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, library_params)
        .hash_password_into_with_memory(passphrase.expose(), salt, output.as_mut_slice(), &mut blocks);
    for block in &mut blocks {
        block.zeroize();
    }
    done.map_err(|_| FAILED)?;
    split(&output)
}

/// A key file's key is random already, so one derivation separates its slots.
///
/// # Errors
/// The derivation failed.
pub fn slot_secrets_from_key_file(
    key_file: &KeyFile,
    salt: &[u8; 32],
    repository: &RepositoryId,
) -> Result<SlotSecrets, CryptoError> {
    let mut output = Zeroizing::new([0; 64]);
    super::kdf(key_file.0.as_slice(), repository, "key-file", salt, output.as_mut_slice())?;
    split(&output)
}

/// 32 random bytes in a file, used instead of a passphrase.
pub struct KeyFile(Zeroizing<[u8; 32]>);

/// A file is not a key file, or was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The form is wrong.
    #[error(
        "this is no key file: it should be one line 'containerarchive-key-1', 64 and 16 hexadecimal digits"
    )]
    Form,
    /// The checksum is wrong.
    #[error("this key file is damaged: its checksum does not match")]
    Checksum,
}

impl KeyFile {
    const MAGIC: &'static str = "containerarchive-key-1";
    /// Longest file that is looked at, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// A key file of these bytes.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// The file's content.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(HEXLOWER.encode(self.0.as_slice()));
        let head = Zeroizing::new(format!("{} {}", Self::MAGIC, *key));
        let checksum = HEXLOWER.encode(&super::blake3_256(head.as_bytes())[..8]);
        Zeroizing::new(format!("{} {checksum}\n", *head))
    }

    /// Reads a file's content.
    ///
    /// # Errors
    /// The form or the checksum is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let text = std::str::from_utf8(text).map_err(|_| KeyFileError::Form)?;
        let (head, checksum) = text.rsplit_once(' ').ok_or(KeyFileError::Form)?;
        let digits = head
            .strip_prefix(Self::MAGIC)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or(KeyFileError::Form)?;
        let mut key = Zeroizing::new([0; 32]);
        let mut stated = [0; 8];
        if digits.len() != 64 || checksum.len() != 16 {
            return Err(KeyFileError::Form);
        }
        HEXLOWER.decode_mut(digits.as_bytes(), key.as_mut_slice()).map_err(|_| KeyFileError::Form)?;
        HEXLOWER.decode_mut(checksum.as_bytes(), &mut stated).map_err(|_| KeyFileError::Form)?;
        if super::blake3_256(head.as_bytes())[..8] != stated {
            return Err(KeyFileError::Checksum);
        }
        Ok(Self(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_round_trip_and_notice_damage() {
        let text = KeyFile::new([0xa5; 32]).to_text();
        assert_eq!(KeyFile::parse(text.as_bytes()).unwrap().0.as_slice(), &[0xa5; 32]);
        let damaged = text.replacen("a5", "a4", 1);
        assert_eq!(KeyFile::parse(damaged.as_bytes()).err(), Some(KeyFileError::Checksum));
        assert_eq!(KeyFile::parse(b"hello").err(), Some(KeyFileError::Form));
    }

    #[test]
    fn hostile_argon2_parameters_are_refused() {
        for (memory, passes, lanes) in [
            (u32::MAX, 1, 1),
            (2 << 20, 16, 1),
            (64 << 10, 0, 4),
            (64 << 10, 3, 0),
            (1, 1, 1),
            (64 << 10, 3, 1 << 24),
        ] {
            assert!(Argon2Params::new(memory, passes, lanes).is_err());
        }
        assert!(Argon2Params::new(2 << 20, 1, 4).is_ok());
    }

    #[test]
    fn argon2id_gives_the_vector_of_another_implementation() {
        // argon2-cffi: hash_secret_raw(b"password", b"\x01"*32, 3, 65536, 4, 64, Type.ID)
        let passphrase = Passphrase::new(b"password".to_vec()).unwrap();
        let secrets = slot_secrets_from_passphrase(&passphrase, &[1; 32], Argon2Params::default()).unwrap();
        assert_eq!(
            HEXLOWER.encode(&secrets.commitment.0),
            "cc3a5782d8772bdf08aa52535b25427df39d17abf1cf1aa793fe6adcb4442f5b"
        );
    }
}
