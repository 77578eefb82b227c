//! Which chunks snapshots need, and which packs have them: by the packs' own tables and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::{ChunkId, Kind, PackId};
use crate::format::manifest::Manifest;
use crate::format::names;
use crate::repo::{DomainKeys, PackReader, PackView, RecipeReader, RepoError, Repository};
use crate::store::StoreErrorKind;

fn keys_of(repository: &Repository, view: &PackView) -> Result<Arc<DomainKeys>, RepoError> {
    let keys = repository.keys.domain(view.header.prefix.domain)?;
    keys.ok_or(RepoError::NeedsAdmin { what: "reading packs" })
}

/// Chunks of a pack, without padding.
pub(super) fn chunks_of(view: &PackView) -> Vec<ChunkId> {
    let records = view.table.records().iter();
    records.filter(|record| record.id.kind != Kind::Padding).map(|record| record.id).collect()
}

/// Packs, and where their chunks are.
#[derive(Default)]
pub(super) struct Packs {
    pub(super) views: BTreeMap<PackId, Arc<PackView>>,
    pub(super) homes: BTreeMap<ChunkId, Vec<PackId>>,
}

impl Packs {
    pub(super) fn add(&mut self, view: Arc<PackView>) {
        if self.views.contains_key(&view.id) {
            return;
        }
        for id in chunks_of(&view) {
            self.homes.entry(id).or_default().push(view.id);
        }
        self.views.insert(view.id, view);
    }

    pub(super) fn remove(&mut self, id: PackId) {
        let Some(view) = self.views.remove(&id) else { return };
        for chunk in chunks_of(&view) {
            if let Some(homes) = self.homes.get_mut(&chunk) {
                homes.retain(|home| *home != id);
            }
        }
    }

    pub(super) fn homes(&self, id: &ChunkId) -> &[PackId] {
        self.homes.get(id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn read(&self, repository: &Repository, id: ChunkId) -> Result<Vec<u8>, RepoError> {
        let mut why = "no pack has it".to_owned();
        for home in self.homes(&id) {
            let view = &self.views[home];
            let slot = view.table.records().iter().position(|record| record.id == id).unwrap_or(0) as u32;
            let Some((record, offset)) = view.table.get(slot) else { continue };
            let mut stored = vec![0; record.stored_len as usize];
            match repository.store.get_range(&names::pack(*home), offset, &mut stored) {
                Ok(()) => {}
                Err(error) if error.kind == StoreErrorKind::NotFound => {
                    why = error.to_string();
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let mut plain = Vec::new();
            PackReader::new(keys_of(repository, view)?).open(view, slot, &record, &mut stored, &mut plain)?;
            return Ok(plain);
        }
        Err(RepoError::LostChunk { chunk: id, why })
    }

    /// All chunks that a snapshot needs.
    pub(super) fn needed(
        &self,
        repository: &Repository,
        manifest: &Manifest,
    ) -> Result<BTreeSet<ChunkId>, RepoError> {
        let mut needed = BTreeSet::new();
        for item in &manifest.items {
            let mut fetch = |hash| {
                let id = ChunkId { kind: Kind::Recipe, hash };
                needed.insert(id);
                self.read(repository, id)
            };
            let mut recipe = RecipeReader::open(item.root, &mut fetch)?;
            let mut data = Vec::new();
            while let Some(entry) = recipe.next(&mut fetch)? {
                data.push(ChunkId { kind: Kind::Data, hash: entry.hash });
            }
            needed.extend(data);
        }
        Ok(needed)
    }
}
