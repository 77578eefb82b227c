//! Which segments there are, of all domains, and which packs they name.

use std::collections::HashSet;

use super::objects::delete_if_there;
use super::survey::packs_of_segment;
use super::{RepoError, Repository};
use crate::base::{Monitor, PackId, SegmentId};
use crate::format::names;

/// The index segments of a repository.
#[derive(Debug, Default)]
pub struct SegmentList {
    /// All that were listed, in order.
    ids: Vec<SegmentId>,
    named: HashSet<PackId>,
}

impl SegmentList {
    /// Lists the segments and reads which packs they name. Memory: 32 bytes for each pack.
    ///
    /// # Errors
    /// The store failed. A damaged segment names nothing, and is no error.
    pub fn load(repository: &Repository, monitor: &dyn Monitor) -> Result<Self, RepoError> {
        let mut list = Self::default();
        let ids = &mut list.ids;
        repository
            .store
            .list(names::INDEX, &mut |entry| ids.extend(names::id_of::<SegmentId>(&entry.name, "seg")))?;
        list.ids.sort_unstable();
        for id in list.ids.clone() {
            if monitor.is_cancelled() {
                break;
            }
            match packs_of_segment(repository, id) {
                Ok(packs) => list.named.extend(packs.into_iter().flatten().map(|pack| pack.id)),
                Err(error) if error.is_useless() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(list)
    }

    /// All segments, damaged ones included.
    #[must_use]
    pub fn ids(&self) -> &[SegmentId] {
        &self.ids
    }

    /// Whether an intact segment names the pack.
    #[must_use]
    pub fn names(&self, pack: &PackId) -> bool {
        self.named.contains(pack)
    }
}

impl Repository {
    /// Deletes a segment that others replace; one that is gone is fine.
    ///
    /// # Errors
    /// The store failed.
    pub fn delete_segment(&self, id: SegmentId) -> Result<(), RepoError> {
        Ok(delete_if_there(&*self.store, &names::segment(id))?)
    }
}
