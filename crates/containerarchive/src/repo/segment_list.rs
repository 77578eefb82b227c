//! Which segments there are, of all domains, and which packs they name.

use std::collections::HashSet;

use super::objects::delete_if_there;
use super::segment_reader::SegmentReader;
use super::{RepoError, Repository};
use crate::base::limits::MAX_PACK_BYTES;
use crate::base::{Monitor, PackId, SegmentId};
use crate::crypto::hash_blocks;
use crate::format::names;
use crate::format::prefix::{ObjectKind, PREFIX_LEN, Prefix};
use crate::store::{Durability, StoreErrorKind};

/// The index segments of a repository.
#[derive(Debug, Default)]
pub struct SegmentList {
    /// All that were listed, in order.
    ids: Vec<SegmentId>,
    /// Those that cannot be opened, and why.
    pub damaged: Vec<(SegmentId, String)>,
    named: HashSet<PackId>,
}

impl SegmentList {
    /// Lists the segments and reads which packs they name. Memory: 32 bytes for each pack.
    ///
    /// # Errors
    /// The store failed. A damaged segment is no error.
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
            match list.read(repository, id) {
                Err(error) if error.is_useless() => list.damaged.push((id, error.to_string())),
                // A merge replaced it since it was listed.
                Err(RepoError::Store(error)) if error.kind == StoreErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(list)
    }

    fn read(&mut self, repository: &Repository, id: SegmentId) -> Result<(), RepoError> {
        let name = names::segment(id);
        let mut prefix = [0; PREFIX_LEN];
        repository.store.get_range(&name, 0, &mut prefix)?;
        let config = &repository.config;
        let prefix = Prefix::parse(&prefix, ObjectKind::Segment, config.suite, config.repository)
            .map_err(|source| RepoError::format(&name, source))?;
        let Some(keys) = repository.keys.domain(prefix.domain)? else { return Ok(()) };
        let Some(segment) = SegmentReader::open(repository, id, &keys)? else { return Ok(()) };
        let mut packs = Vec::new();
        segment.each_pack(repository, |pack| packs.push(pack.id))?;
        self.named.extend(packs);
        Ok(())
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

    /// Makes a pack durable whose writer may have died before its own fsync, if it is whole. Reads it.
    ///
    /// # Errors
    /// The store failed.
    pub fn settle_pack(&self, id: PackId) -> Result<bool, RepoError> {
        let name = names::pack(id);
        let bytes = match self.store.get(&name, MAX_PACK_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => {
                let error = RepoError::from(error);
                return if error.is_damage() { Ok(false) } else { Err(error) };
            }
        };
        if hash_blocks(&bytes).0 != id.0 {
            return Ok(false);
        }
        match self.store.put(&name, &bytes, Durability::Durable) {
            Err(error) if error.kind != StoreErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(true),
        }
    }
}
