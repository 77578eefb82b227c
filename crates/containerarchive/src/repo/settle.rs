//! Packs that their writer may not have made durable.

use super::{RepoError, Repository};
use crate::base::PackId;
use crate::base::limits::MAX_PACK_BYTES;
use crate::crypto::blake3_256;
use crate::format::names;
use crate::store::{Durability, StoreErrorKind};

impl Repository {
    /// Makes a pack durable whose writer may have died before its own fsync, if it is whole. `None`: it is gone, is not what
    /// its name says, or cannot be read; then nobody may refer to it, and whoever wants its chunks stores them again.
    /// Returns its bytes.
    ///
    /// # Errors
    /// The store failed otherwise, or could not make it durable.
    pub fn settle_pack(&self, id: PackId) -> Result<Option<Vec<u8>>, RepoError> {
        let name = names::pack(id);
        let bytes = match self.store.get(&name, MAX_PACK_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind, StoreErrorKind::NotFound | StoreErrorKind::TooLarge) => {
                return Ok(None);
            }
            Err(error) => {
                let error = RepoError::from(error);
                return if error.is_damage() { Ok(None) } else { Err(error) };
            }
        };
        if blake3_256(&bytes) != id.0 {
            return Ok(None);
        }
        // Putting what exists makes it durable.
        match self.store.put(&name, &bytes, Durability::Durable) {
            Err(error) if error.kind != StoreErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(Some(bytes)),
        }
    }
}
