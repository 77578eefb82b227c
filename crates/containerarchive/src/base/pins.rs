//! What a client remembers of a repository, so that a storage that goes back in time is noticed.

use std::collections::BTreeMap;

use super::{DomainId, RepositoryId, SessionId, SlotId, Timestamp};

/// A client's notes about one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The repository seen there.
    pub repository: RepositoryId,
    /// Whether it was encrypted.
    pub is_encrypted: bool,
    /// Serial of the newest config seen.
    pub config_serial: u64,
    /// BLAKE3 of that config's bytes.
    pub config_blake3: [u8; 32],
    /// The newest manifest seen of each domain, and when it was committed.
    pub newest: BTreeMap<DomainId, (SessionId, Timestamp)>,
    /// The slot that opened last: tried first, since each passphrase slot costs an Argon2id run.
    pub slot: Option<SlotId>,
}

/// The notes cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the client's notes in {path}: {text}")]
pub struct PinsError {
    /// Where they are.
    pub path: String,
    /// What went wrong.
    pub text: String,
}

/// Keeps a client's notes, by location.
pub trait Pins: Send + Sync {
    /// The notes about a location, if there are any.
    ///
    /// # Errors
    /// There are some that cannot be read.
    fn load(&self, location: &str) -> Result<Option<Pin>, PinsError>;

    /// Replaces the notes about a location.
    ///
    /// # Errors
    /// They cannot be written.
    fn save(&self, location: &str, pin: &Pin) -> Result<(), PinsError>;
}

/// Remembers nothing: an old copy of a repository is then not told apart from the newest.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPins;

impl Pins for NoPins {
    fn load(&self, _location: &str) -> Result<Option<Pin>, PinsError> {
        Ok(None)
    }

    fn save(&self, _location: &str, _pin: &Pin) -> Result<(), PinsError> {
        Ok(())
    }
}
