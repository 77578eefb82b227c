//! Damage that a reader meets is mended in memory: the whole pack is rebuilt, and read from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use lru::LruCache;

use super::groups::Groups;
use super::rebuild::{Rebuilt, rebuild_pack};
use crate::base::{DomainId, PackId};
use crate::format::names;
use crate::repo::replace::replace;
use crate::repo::{RepoError, Repository};

/// Rebuilt packs that are kept: neighbours in a stream are neighbours in a pack, so that few are needed at once.
const KEPT_PACKS: usize = 2;

/// Rebuilds packs for one reader.
pub struct Mender {
    /// Read when the first damage is met.
    groups: Option<Groups>,
    kept: LruCache<PackId, Option<Arc<Rebuilt>>>,
    mended: BTreeMap<PackId, MendedPack>,
}

/// A pack whose content came from parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MendedPack {
    /// The pack.
    pub pack: PackId,
    /// Blocks of 32 KiB that were computed from other packs and shards.
    pub mended_blocks: u32,
    /// Blocks that could not be computed.
    pub lost_blocks: u32,
}

impl Default for Mender {
    fn default() -> Self {
        Self { groups: None, kept: LruCache::unbounded(), mended: BTreeMap::new() }
    }
}

impl Mender {
    /// The bytes of a damaged or missing pack, as far as they can be computed. What is read from them must be authenticated
    /// like what is read from a store. `None`: parity does not help. Reads the pack, and of its group what is needed.
    ///
    /// # Errors
    /// The store failed.
    pub fn pack(&mut self, repository: &Repository, pack: PackId) -> Result<Option<Arc<Rebuilt>>, RepoError> {
        if let Some(kept) = self.kept.get(&pack) {
            return Ok(kept.clone());
        }
        let rebuilt = self.rebuild(repository, pack)?.map(Arc::new);
        if let Some(rebuilt) = &rebuilt {
            let (mended_blocks, lost_blocks) = (rebuilt.mended_blocks, rebuilt.lost_blocks.len() as u32);
            self.mended.insert(pack, MendedPack { pack, mended_blocks, lost_blocks });
        }
        self.kept.put(pack, rebuilt.clone());
        if self.kept.len() > KEPT_PACKS {
            self.kept.pop_lru();
        }
        Ok(rebuilt)
    }

    /// The packs of a domain that are in parity groups, whether they exist or not.
    ///
    /// # Errors
    /// The store failed.
    pub fn protected(&mut self, repository: &Repository, domain: DomainId) -> Result<Vec<PackId>, RepoError> {
        let own = self.groups(repository)?.all().iter().filter(|stored| stored.group.domain == domain);
        Ok(own.flat_map(|stored| stored.group.members.iter().map(|member| member.pack)).collect())
    }

    fn groups(&mut self, repository: &Repository) -> Result<&Groups, RepoError> {
        match &mut self.groups {
            Some(groups) => Ok(groups),
            none => Ok(none.insert(Groups::load(repository.parity_store())?)),
        }
    }

    fn rebuild(&mut self, repository: &Repository, pack: PackId) -> Result<Option<Rebuilt>, RepoError> {
        let rebuilt = self.rebuild_from_known(repository, pack)?;
        let is_whole = rebuilt.as_ref().is_some_and(|rebuilt| rebuilt.is_whole);
        if is_whole || !self.is_outdated(repository, pack)? {
            return Ok(rebuilt);
        }
        self.groups = None;
        self.rebuild_from_known(repository, pack)
    }

    /// Whether a shard is gone since the groups were read: whoever merges groups deletes the old shards when those in
    /// their place are there.
    fn is_outdated(&mut self, repository: &Repository, pack: PackId) -> Result<bool, RepoError> {
        let groups = self.groups(repository)?;
        if groups.is_incomplete {
            return Ok(true);
        }
        for (_, id) in groups.of_pack(&pack).flat_map(|stored| stored.present()) {
            if repository.store.head(&names::shard(id))?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn rebuild_from_known(
        &mut self,
        repository: &Repository,
        pack: PackId,
    ) -> Result<Option<Rebuilt>, RepoError> {
        let site = repository.parity_store();
        let groups = self.groups(repository)?;
        let mut best: Option<Rebuilt> = None;
        for stored in groups.of_pack(&pack) {
            let Some(rebuilt) = rebuild_pack(site, stored, pack)? else { continue };
            if rebuilt.is_whole {
                // Bytes behind its end damage no block, and hide its table.
                let is_extended = site.store.head(&names::pack(pack))? != Some(rebuilt.bytes.len() as u64);
                // Else nothing was wrong: the damage was in what was read, or is gone.
                return Ok((rebuilt.mended_blocks > 0 || is_extended).then_some(rebuilt));
            }
            let is_better = best.as_ref().is_none_or(|best| rebuilt.mended_blocks > best.mended_blocks);
            if rebuilt.mended_blocks > 0 && is_better {
                best = Some(rebuilt);
            }
        }
        Ok(best)
    }

    /// What was mended so far.
    #[must_use]
    pub fn mended(&self) -> Vec<MendedPack> {
        self.mended.values().copied().collect()
    }

    /// Writes mended packs back that could be rebuilt completely; the damaged ones go to quarantine until what is in
    /// their place was read again. Returns the packs.
    ///
    /// # Errors
    /// The store failed.
    pub fn write_back(&mut self, repository: &Repository) -> Result<Vec<PackId>, RepoError> {
        let whole = self.mended.values().filter(|mended| mended.lost_blocks == 0);
        let packs: Vec<PackId> = whole.map(|mended| mended.pack).collect();
        let mut written = Vec::new();
        for pack in packs {
            if let Some(rebuilt) = self.pack(repository, pack)?
                && rebuilt.is_whole
            {
                replace(&*repository.store, &names::pack(pack), &rebuilt.bytes)?;
                written.push(pack);
            }
        }
        Ok(written)
    }
}
