//! Walks the recipes of snapshots and marks every chunk that they need, each in one place.

use std::cmp::Reverse;
use std::sync::Arc;

use super::census::Census;
use crate::base::{ChunkHash, ChunkId, Kind, Monitor};
use crate::error::Error;
use crate::format::FormatError;
use crate::format::node::{Entries, Node};
use crate::repo::{
    ChunkPlace, DomainKeys, Index, IndexSurvey, LoadedManifest, PackReader, RepoError, Repository, Retired,
};

/// Marks the chunks of one domain.
pub(super) struct Marker<'a> {
    repository: &'a Repository,
    index: Index,
    reader: PackReader,
    /// Which chunks stand in several packs; of those the same place must be found each time.
    survey: &'a IndexSurvey,
    census: &'a mut Census,
    monitor: &'a dyn Monitor,
}

impl<'a> Marker<'a> {
    /// Opens the index of a domain. Reads the retire records anew.
    ///
    /// # Errors
    /// The store failed, or a retire record is damaged.
    pub(super) fn new(
        repository: &'a Repository,
        domain: Arc<DomainKeys>,
        survey: &'a IndexSurvey,
        census: &'a mut Census,
        monitor: &'a dyn Monitor,
    ) -> Result<Self, Error> {
        let retired = Retired::read(repository, monitor)?;
        let index = Index::load(repository, Arc::clone(&domain), retired, monitor)?;
        Ok(Self { repository, index, reader: PackReader::new(domain), survey, census, monitor })
    }

    /// Marks all chunks of a snapshot. What is below a node that was marked before is marked as well.
    ///
    /// # Errors
    /// A chunk is lost or a node is damaged, each of which is for repair; the store failed, or the user wants to stop.
    pub(super) fn snapshot(&mut self, loaded: &LoadedManifest) -> Result<(), Error> {
        for item in &loaded.manifest.items {
            self.node(item.root, None).map_err(|error| match error {
                Error::Repo(source) if source.is_useless() => Error::RepairFirst {
                    why: format!("item '{}' of snapshot {}: {source}", item.name, loaded.manifest.id),
                },
                error => error,
            })?;
        }
        Ok(())
    }

    /// Depth is bounded by the levels of nodes, which count down.
    fn node(&mut self, hash: ChunkHash, parent_level: Option<u8>) -> Result<(), Error> {
        if self.monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let id = ChunkId { kind: Kind::Recipe, hash };
        let place = self.find(&id)?;
        if !self.census.mark(&place) {
            return Ok(());
        }
        let node = self.read(&place)?;
        if parent_level.is_some_and(|parent| node.level.checked_add(1) != Some(parent)) {
            let text = "a node's level is not one below its parent's";
            return Err(RepoError::from(FormatError::broken("R-NODE-3", text)).into());
        }
        match &node.entries {
            Entries::Leaf(entries) => {
                for entry in entries {
                    let place = self.find(&ChunkId { kind: Kind::Data, hash: entry.hash })?;
                    self.census.mark(&place);
                }
            }
            Entries::Inner(entries) => {
                for entry in entries {
                    self.node(entry.hash, Some(node.level))?;
                }
            }
        }
        Ok(())
    }

    fn find(&mut self, id: &ChunkId) -> Result<ChunkPlace, Error> {
        if self.survey.may_repeat(&id.hash) {
            let places = self.index.places(self.repository, id, self.monitor)?;
            let is_masked = |place: &ChunkPlace| self.index.is_retired(&place.view.id);
            let is_marked = |place: &ChunkPlace| self.census.is_marked(&place.view.id, place.slot);
            // Large packs first: the copies that an interrupted prune made of small ones are the better ones.
            let chosen = places.into_iter().min_by_key(|place| {
                let view = &place.view;
                let is_new = !self.census.has(&view.id);
                (is_masked(place), !is_marked(place), is_new, Reverse(view.len), view.id)
            });
            if let Some(place) = chosen {
                return Ok(place);
            }
        }
        Ok(self.index.find_for_reader(self.repository, id, self.monitor)?)
    }

    fn read(&mut self, place: &ChunkPlace) -> Result<Node, RepoError> {
        let mut stored = vec![0; place.record.stored_len as usize];
        self.repository.read_pack(place.view.id, place.offset, &mut stored)?;
        let mut plain = Vec::new();
        self.reader.open(&place.view, place.slot, &place.record, &mut stored, &mut plain)?;
        Ok(Node::parse(&plain)?)
    }
}
