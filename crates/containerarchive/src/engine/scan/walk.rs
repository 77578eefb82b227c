//! Recipes of all snapshots of a domain, walked to their last chunk: which bytes of which items cannot be had.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::files::BadPacks;
use crate::base::{ChunkHash, ChunkId, Kind, Monitor, PackId, SessionId};
use crate::error::Error;
use crate::format::FormatError;
use crate::format::manifest::Item;
use crate::format::node::{Entries, InnerEntry, LeafEntry, Node, Sums};
use crate::repo::{
    ChunkPlace, DomainKeys, Index, LoadedManifest, PackReader, RepoError, Repository, Retired,
};

/// Bytes of an item that no intact chunk has. Of an empty item whose recipe is lost, both ends are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    /// The snapshot.
    pub(crate) snapshot: SessionId,
    /// The item's name.
    pub(crate) item: String,
    /// First byte that is lost.
    pub(crate) from: u64,
    /// First byte behind those.
    pub(crate) to: u64,
    /// The first chunk that is lost.
    pub(crate) chunk: ChunkId,
    /// Packs that should have it, and are missing or damaged; none if nobody knows of any.
    pub(crate) packs: BTreeSet<PackId>,
    /// Why, for people.
    pub(crate) text: String,
}

/// Why a chunk cannot be had.
struct Lost {
    chunk: ChunkId,
    packs: BTreeSet<PackId>,
    text: String,
}

/// An item that is being walked.
struct Track<'a> {
    snapshot: SessionId,
    item: &'a Item,
    holes: Vec<Hole>,
}

/// Walks the recipes of one domain.
pub(crate) struct Walk<'a> {
    repository: &'a Repository,
    bad: &'a BadPacks,
    monitor: &'a dyn Monitor,
    index: Index,
    reader: PackReader,
    /// Nodes below which everything can be had: they are read once, however many snapshots have them. 56 bytes each.
    sound: HashMap<ChunkHash, (u8, Sums)>,
    /// Packs that anything was found in.
    used: HashSet<PackId>,
}

impl<'a> Walk<'a> {
    /// Opens the index of a domain.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) fn new(
        repository: &'a Repository,
        domain: Arc<DomainKeys>,
        bad: &'a BadPacks,
        monitor: &'a dyn Monitor,
    ) -> Result<Self, Error> {
        let retired = Retired::read_for_reader(repository, monitor)?;
        let index = Index::load(repository, Arc::clone(&domain), retired, monitor)?;
        let reader = PackReader::new(domain);
        let (sound, used) = (HashMap::new(), HashSet::new());
        Ok(Self { repository, bad, monitor, index, reader, sound, used })
    }

    /// Packs that any snapshot walked so far needs, as far as they were found.
    pub(crate) fn used(&self) -> &HashSet<PackId> {
        &self.used
    }

    /// What is lost of the items of a snapshot.
    ///
    /// # Errors
    /// The store failed, or the user wants to stop.
    pub(crate) fn snapshot(&mut self, loaded: &LoadedManifest) -> Result<Vec<Hole>, Error> {
        let mut holes = Vec::new();
        for item in &loaded.manifest.items {
            let mut track = Track { snapshot: loaded.manifest.id, item, holes: Vec::new() };
            self.item(&mut track)?;
            holes.append(&mut track.holes);
        }
        Ok(holes)
    }

    /// As [`Self::snapshot`], but only whether any pack is said to have the root of each item: reads no pack.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) fn roots(&mut self, loaded: &LoadedManifest) -> Result<Vec<Hole>, Error> {
        let mut holes = Vec::new();
        for item in &loaded.manifest.items {
            let chunk = ChunkId { kind: Kind::Recipe, hash: item.root };
            if self.index.hinted_packs(self.repository, &chunk, self.monitor)?.is_empty() {
                let mut track = Track { snapshot: loaded.manifest.id, item, holes: Vec::new() };
                let text = "no index segment names a pack that has it".to_owned();
                track.hole(0, item.size, Lost { chunk, packs: BTreeSet::new(), text });
                holes.append(&mut track.holes);
            }
        }
        Ok(holes)
    }

    fn item(&mut self, track: &mut Track<'_>) -> Result<(), Error> {
        let chunk = ChunkId { kind: Kind::Recipe, hash: track.item.root };
        let size = track.item.size;
        let (sums, node) = match self.sound.get(&chunk.hash) {
            Some((_, sums)) => (*sums, None),
            None => match self.fetch(chunk)? {
                Ok(node) => (sums_of(&node), Some(node)),
                Err(lost) => {
                    track.hole(0, size, lost);
                    return Ok(());
                }
            },
        };
        if sums.bytes != size {
            let text =
                format!("its recipe has {} bytes, and its snapshot says {size} (R-MANIFEST-3)", sums.bytes);
            track.hole(0, size, Lost { chunk, packs: BTreeSet::new(), text });
            return Ok(());
        }
        if let Some(node) = node {
            self.below(chunk.hash, &node, 0, track)?;
        }
        Ok(())
    }

    /// Walks a node that was read, whose content starts at byte `start`.
    fn below(
        &mut self,
        hash: ChunkHash,
        node: &Node,
        start: u64,
        track: &mut Track<'_>,
    ) -> Result<(), Error> {
        if self.monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let holes_before = track.lost_bytes();
        let mut at = start;
        match &node.entries {
            Entries::Leaf(entries) => {
                for entry in entries {
                    self.data(entry, at, track)?;
                    at = at.saturating_add(entry.len.into());
                }
            }
            Entries::Inner(entries) => {
                for entry in entries {
                    self.child(node.level, entry, at, track)?;
                    at = at.saturating_add(entry.bytes);
                }
            }
        }
        if track.lost_bytes() == holes_before {
            self.sound.insert(hash, (node.level, sums_of(node)));
        }
        Ok(())
    }

    fn data(&mut self, entry: &LeafEntry, at: u64, track: &mut Track<'_>) -> Result<(), Error> {
        let chunk = ChunkId { kind: Kind::Data, hash: entry.hash };
        match self.find(chunk, Some(entry.len))? {
            Ok(_) => {}
            Err(lost) => track.hole(at, at.saturating_add(entry.len.into()), lost),
        }
        Ok(())
    }

    fn child(
        &mut self,
        parent_level: u8,
        entry: &InnerEntry,
        at: u64,
        track: &mut Track<'_>,
    ) -> Result<(), Error> {
        let chunk = ChunkId { kind: Kind::Recipe, hash: entry.hash };
        let end = at.saturating_add(entry.bytes);
        let known = self.sound.get(&entry.hash).copied();
        let (node, (level, sums)) = match known {
            Some(known) => (None, known),
            None => match self.fetch(chunk)? {
                Ok(node) => {
                    let found = (node.level, sums_of(&node));
                    (Some(node), found)
                }
                Err(lost) => {
                    track.hole(at, end, lost);
                    return Ok(());
                }
            },
        };
        if level + 1 != parent_level || sums != (Sums { chunks: entry.chunks, bytes: entry.bytes }) {
            let text = "a node of its recipe is not what its parent says (R-NODE-3)".to_owned();
            track.hole(at, end, Lost { chunk, packs: BTreeSet::new(), text });
            return Ok(());
        }
        node.map_or(Ok(()), |node| self.below(entry.hash, &node, at, track))
    }

    /// A node, from any pack that has it.
    fn fetch(&mut self, chunk: ChunkId) -> Result<Result<Node, Lost>, Error> {
        let first = match self.find(chunk, None)? {
            Ok(place) => place,
            Err(lost) => return Ok(Err(lost)),
        };
        let error = match self.read_node(&first) {
            Ok(node) => return Ok(Ok(node)),
            Err(error) => error,
        };
        if !error.is_useless() {
            return Err(error.into());
        }
        let mut packs = BTreeSet::from([first.view.id]);
        for place in self.index.find_elsewhere(self.repository, &chunk, self.monitor)? {
            if !packs.insert(place.view.id) || self.bad.has(&place.view.id, place.slot) {
                continue;
            }
            match self.read_node(&place) {
                Ok(node) => return Ok(Ok(node)),
                Err(error) if error.is_useless() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Err(Lost { chunk, packs, text: error.to_string() }))
    }

    fn read_node(&mut self, place: &ChunkPlace) -> Result<Node, RepoError> {
        let mut stored = vec![0; place.record.stored_len as usize];
        self.repository.read_pack(place.view.id, place.offset, &mut stored)?;
        let mut plain = Vec::new();
        self.reader.open(&place.view, place.slot, &place.record, &mut stored, &mut plain)?;
        Ok(Node::parse(&plain)?)
    }

    /// A place of a chunk that is not known to be bad.
    fn find(&mut self, chunk: ChunkId, len: Option<u32>) -> Result<Result<ChunkPlace, Lost>, Error> {
        let bad = self.bad;
        let is_good = |place: &ChunkPlace| {
            !bad.has(&place.view.id, place.slot) && len.is_none_or(|len| place.record.plain_len == len)
        };
        let text = match self.index.find_for_reader(self.repository, &chunk, self.monitor) {
            Ok(place) if is_good(&place) => {
                self.used.insert(place.view.id);
                return Ok(Ok(place));
            }
            Ok(place) => {
                let others = self.index.find_elsewhere(self.repository, &chunk, self.monitor)?;
                if let Some(place) = others.into_iter().find(is_good) {
                    self.used.insert(place.view.id);
                    return Ok(Ok(place));
                }
                self.used.insert(place.view.id);
                if bad.has(&place.view.id, place.slot) {
                    format!("it is damaged in pack {}, and no other pack has it", place.view.id)
                } else {
                    FormatError::broken("R-NODE-4", "it has another length than its recipe says").to_string()
                }
            }
            Err(error) if error.is_useless() => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        let packs = self.index.hinted_packs(self.repository, &chunk, self.monitor)?;
        Ok(Err(Lost { chunk, packs, text }))
    }
}

impl Track<'_> {
    fn hole(&mut self, from: u64, to: u64, lost: Lost) {
        if let Some(last) = self.holes.last_mut()
            && last.to == from
            && last.packs == lost.packs
        {
            last.to = to;
            return;
        }
        let Lost { chunk, packs, text } = lost;
        let (snapshot, item) = (self.snapshot, self.item.name.clone());
        self.holes.push(Hole { snapshot, item, from, to, chunk, packs, text });
    }

    /// Grows with each hole: chunks have at least one byte.
    fn lost_bytes(&self) -> (usize, u64) {
        (self.holes.len(), self.holes.last().map_or(0, |hole| hole.to))
    }
}

/// A node that was parsed has sums.
fn sums_of(node: &Node) -> Sums {
    node.sums().unwrap_or_default()
}
