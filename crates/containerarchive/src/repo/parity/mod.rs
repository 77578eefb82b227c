//! Parity of packs: building groups while packs are written, reading them, and rebuilding what is damaged. Nothing here
//! needs a key: shards say in clear which packs they protect, and a rebuilt pack counts only if its bytes have its name.

mod accounts;
mod encode;
mod groups;
mod keeper;
mod mender;
mod merge;
mod overview;
mod pack_index;
mod rebuild;
mod shards;
mod thin;

pub use encode::{protect_packs, restore_shards};
pub use groups::{Groups, StoredGroup};
pub use keeper::ParityKeeper;
pub use mender::{MendedPack, Mender};
pub use merge::{merge_all_small_groups, merge_small_groups};
pub use overview::{GroupStatus, ParityOverview};
pub use pack_index::rewrite_pack_index;
pub use rebuild::{Rebuilt, can_rebuild, rebuild_pack};
pub use thin::{Thinned, delete_shards, loses_protection, thin_group};

use super::{RepoError, Repository};
use crate::base::RepositoryId;
use crate::crypto::Suite;
use crate::store::{Store, StoreErrorKind};

/// What parity needs to know of a repository: no key.
#[derive(Clone, Copy)]
pub struct ParityStore<'a> {
    /// Where the objects are.
    pub store: &'a dyn Store,
    /// Stands in the prefix of shards.
    pub suite: Suite,
    /// Stands in the prefix of shards.
    pub repository: RepositoryId,
}

impl Repository {
    /// The part of the repository that parity works on.
    #[must_use]
    pub fn parity_store(&self) -> ParityStore<'_> {
        ParityStore { store: &*self.store, suite: self.config.suite, repository: self.config.repository }
    }
}

/// An object that is missing, shorter than expected or in a sector that cannot be read is `None`; trouble of the store is
/// an error.
fn if_readable<T>(read: Result<T, crate::store::StoreError>) -> Result<Option<T>, RepoError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
        Err(error) => {
            let error = RepoError::from(error);
            if error.is_damage() { Ok(None) } else { Err(error) }
        }
    }
}

#[cfg(test)]
mod tests;
