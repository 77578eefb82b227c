//! The reserve: space in a repository on a local disk that only those spend who make room (DESIGN sections 4, 14). On a
//! disk without one free byte they could not even say that they run; deleting a file needs no space.

use super::objects::delete_if_there;
use super::{RepoError, Repository};
use crate::base::random::Randomness;
use crate::base::{Monitor, Problem, SystemRandomness};
use crate::format::names;
use crate::store::{Durability, Store, StoreErrorKind};

/// Lengths in bytes: the first that there is room for is made. What must be written before the first pack goes is small:
/// a session, and the forget and retire records, each twice, with some 70 bytes for each snapshot and pack. 4 MiB are
/// enough to retire 25,000 packs at once, which are 400 GB at the default pack size, and vanish beside a single pack.
/// New shards for groups that lose a part of their packs may need far more, and wait until other packs are gone.
const LENGTHS: [usize; 3] =
    if cfg!(test) { [64 << 10, 16 << 10, 4 << 10] } else { [4 << 20, 1 << 20, 256 << 10] };

impl Repository {
    /// Makes room on a full store. False if there is no reserve, or if it could not be deleted.
    pub fn spend_reserve(&self) -> bool {
        self.store.capabilities().is_local && self.store.delete(&names::reserve()).is_ok()
    }

    /// Makes the reserve, if it is missing or shorter than it should be, as long as there is room for; what fails is a
    /// warning. Writes and fsyncs at most 4 MiB.
    pub fn keep_reserve(&self, monitor: &dyn Monitor) {
        keep(&*self.store, monitor);
    }
}

/// As [`Repository::keep_reserve`], for a repository that was not opened yet.
pub(super) fn keep(store: &dyn Store, monitor: &dyn Monitor) {
    if !store.capabilities().is_local {
        return;
    }
    let text = match make(store) {
        Ok(true) => return,
        Ok(false) => "there is no room for it".to_owned(),
        Err(error) => error.to_string(),
    };
    let text = format!(
        "the space that lets prune work on a full disk is not set aside ({text}); a prune with some more room does that"
    );
    monitor.problem(&Problem::Warning { text });
}

/// False if there is no room for the shortest one.
fn make(store: &dyn Store) -> Result<bool, RepoError> {
    let name = names::reserve();
    match store.head(&name)? {
        Some(len) if len >= LENGTHS[0] as u64 => return Ok(true),
        // From a time with less room.
        Some(_) => delete_if_there(store, &name)?,
        None => {}
    }
    // Nothing that a file system could compress, or find elsewhere: deleting it must give the space back. Nobody reads it,
    // so that a simulator need not repeat it.
    let mut bytes = vec![0; LENGTHS[0]];
    SystemRandomness.fill(&mut bytes)?;
    for len in LENGTHS {
        match store.put(&name, &bytes[..len], Durability::Durable) {
            Err(error) if error.kind == StoreErrorKind::Full => {}
            Err(error) if error.kind != StoreErrorKind::AlreadyExists => return Err(error.into()),
            _ => return Ok(true),
        }
    }
    Ok(false)
}
