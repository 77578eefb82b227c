//! Snapshots that must stay: each by a record of its own (`docs/FORMAT.md` R-RECORD-FILE-4).

use std::collections::BTreeSet;

use super::objects::{delete_replicated, list_replicated, put_replica};
use super::retired::read_forgotten;
use super::{RepoError, Repository};
use crate::base::{Monitor, RecordId, SessionId};
use crate::format::names;
use crate::format::signed::{Fact, Pin};
use crate::store::{Durability, StoreErrorKind};

impl Repository {
    /// The snapshots that are pinned. A record counts whatever its state: damage must not unpin. Costs two listings.
    ///
    /// # Errors
    /// The store failed.
    pub fn pinned(&self) -> Result<BTreeSet<SessionId>, RepoError> {
        let records = list_replicated::<RecordId>(&*self.store, &Pin::KIND.folder(), "json")?;
        Ok(records.into_iter().map(|record| SessionId(record.0)).collect())
    }

    /// Pins a snapshot: no rule and no `forget` removes it. Returns whether it was not pinned before.
    ///
    /// # Errors
    /// The holder is no admin; the snapshot is gone, or is being forgotten; the store failed.
    pub fn pin(&self, snapshot: SessionId, monitor: &dyn Monitor) -> Result<bool, RepoError> {
        self.keys.require_admin("pinning a snapshot")?;
        let id = names::pin_of(snapshot);
        let fact = Pin { created: self.environment.clock.now(), snapshot };
        let (name, bytes) = fact
            .seal_record(self.config.repository, id, self.keys.signer())
            .map_err(|source| RepoError::format(&names::record(Pin::KIND, id), source))?;
        let is_new = match self.store.put(&name, &bytes, Durability::Durable) {
            // Another one's, maybe without its replica yet, and in any case of the same effect.
            Err(error) if error.kind == StoreErrorKind::AlreadyExists => false,
            result => result.map(|()| true)?,
        };
        if is_new {
            put_replica(&*self.store, &name, &bytes)?;
        }
        // Looked at after the record is durable, as `forget_snapshots` looks for pins after its own is: of the two, one
        // sees the other.
        let why = if read_forgotten(self, monitor)?.contains(&snapshot) {
            "it is being forgotten; if that was interrupted, forget it once more"
        } else if list_replicated::<SessionId>(&*self.store, names::SNAPSHOTS, "json")?.contains(&snapshot) {
            return Ok(is_new);
        } else {
            "it is gone"
        };
        if is_new {
            delete_replicated(&*self.store, &name)?;
        }
        Err(RepoError::NotPinned { snapshot, why })
    }

    /// Lets a snapshot go its way again. Returns whether it was pinned.
    ///
    /// # Errors
    /// The holder is no admin, or the store failed.
    pub fn unpin(&self, snapshot: SessionId) -> Result<bool, RepoError> {
        self.keys.require_admin("unpinning a snapshot")?;
        let was_pinned = self.pinned()?.contains(&snapshot);
        delete_replicated(&*self.store, &names::record(Pin::KIND, names::pin_of(snapshot)))?;
        Ok(was_pinned)
    }
}
