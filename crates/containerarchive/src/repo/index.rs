//! Where a domain's chunks are. An entry is a hint: a place counts only once the pack's own table was read.

#[cfg(test)]
mod stale;
mod unnamed;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use lru::LruCache;

use super::keyring::DomainKeys;
use super::pack_reader::PackView;
use super::retired::Retired;
use super::segment_reader::{Pages, SegmentReader};
use super::{Mender, Rebuilt, RepoError, Repository};
use crate::base::{ChunkId, Monitor, PackId, Problem, SegmentId};
use crate::format::names;
use crate::format::pack::Record;
use crate::format::segment::{Key, SegmentPack, key_of};

/// 8 MiB of index pages.
const CACHED_PAGES: usize = 2048;
/// Records of cached chunk tables: about 15 MiB.
const CACHED_RECORDS: usize = 1 << 18;

/// A chunk in a pack that exists and is whole.
#[derive(Clone)]
pub struct ChunkPlace {
    /// The pack.
    pub view: Arc<PackView>,
    /// Which of its chunks.
    pub slot: u32,
    /// The chunk's record.
    pub record: Record,
    /// Where it starts in the pack.
    pub offset: u64,
}

/// The index of one domain, as one session sees it.
pub struct Index {
    domain: Arc<DomainKeys>,
    retired: Retired,
    segments: Vec<SegmentReader>,
    listed: BTreeSet<SegmentId>,
    /// Chunks of packs that no segment names, once they were looked for.
    unnamed: Option<HashMap<Key, Vec<(PackId, u32)>>>,
    pages: PageCache,
    views: ViewCache,
    /// Packs that are missing or damaged.
    bad: HashMap<PackId, String>,
    /// Of a reader: rebuilds packs whose tables are lost. A writer stores again what is damaged.
    mender: Option<Mender>,
    last: Option<(Arc<PackView>, u32)>,
}

struct PageCache(LruCache<(SegmentId, u32), Arc<Vec<u8>>>);

impl Pages for PageCache {
    fn page(
        &mut self,
        segment: SegmentId,
        page: u32,
        read: &dyn Fn() -> Result<Vec<u8>, RepoError>,
    ) -> Result<Arc<Vec<u8>>, RepoError> {
        if let Some(content) = self.0.get(&(segment, page)) {
            return Ok(Arc::clone(content));
        }
        let content = Arc::new(read()?);
        self.0.put((segment, page), Arc::clone(&content));
        if self.0.len() > CACHED_PAGES {
            self.0.pop_lru();
        }
        Ok(content)
    }
}

struct ViewCache {
    views: LruCache<PackId, Arc<PackView>>,
    records: usize,
}

impl ViewCache {
    fn put(&mut self, view: &Arc<PackView>) {
        self.records += view.table.records().len();
        if let Some(before) = self.views.put(view.id, Arc::clone(view)) {
            self.records -= before.table.records().len();
        }
        while self.records > CACHED_RECORDS && self.views.len() > 1 {
            let Some((_, evicted)) = self.views.pop_lru() else { break };
            self.records -= evicted.table.records().len();
        }
    }
}

impl Index {
    /// Lists and opens a domain's segments. To be called after the session was registered and the retire records were
    /// read (W1). A damaged segment is reported and left out: it is a cache.
    ///
    /// # Errors
    /// The store failed.
    pub fn load(
        repository: &Repository,
        domain: Arc<DomainKeys>,
        retired: Retired,
        monitor: &dyn Monitor,
    ) -> Result<Self, RepoError> {
        let mut index = Self {
            domain,
            retired,
            segments: Vec::new(),
            listed: BTreeSet::new(),
            unnamed: None,
            pages: PageCache(LruCache::unbounded()),
            views: ViewCache { views: LruCache::unbounded(), records: 0 },
            bad: HashMap::new(),
            mender: None,
            last: None,
        };
        index.reload(repository, monitor)?;
        Ok(index)
    }

    /// Lists the segments again, opens new ones and drops those that are gone.
    ///
    /// # Errors
    /// The store failed.
    pub fn reload(&mut self, repository: &Repository, monitor: &dyn Monitor) -> Result<(), RepoError> {
        let mut listed = BTreeSet::new();
        repository
            .store
            .list(names::INDEX, &mut |entry| listed.extend(names::id_of::<SegmentId>(&entry.name, "seg")))?;
        self.segments.retain(|segment| listed.contains(&segment.id));
        let before = std::mem::replace(&mut self.listed, listed.clone());
        for id in listed.difference(&before) {
            self.open_segment(repository, *id, monitor)?;
        }
        self.bad.clear();
        self.unnamed = None;
        Ok(())
    }

    fn open_segment(
        &mut self,
        repository: &Repository,
        id: SegmentId,
        monitor: &dyn Monitor,
    ) -> Result<(), RepoError> {
        match SegmentReader::open(repository, id, &self.domain) {
            Ok(segment) => self.segments.extend(segment),
            // Gone since it was listed: a merge replaced it.
            Err(error) if error.is_gone() => {}
            Err(error) if error.is_useless() => report(monitor, id, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Adds a segment that this session published.
    ///
    /// # Errors
    /// The store failed.
    pub fn add_segment(
        &mut self,
        repository: &Repository,
        id: SegmentId,
        monitor: &dyn Monitor,
    ) -> Result<(), RepoError> {
        self.listed.insert(id);
        self.open_segment(repository, id, monitor)
    }

    /// A place of a chunk that a writer may refer to: unmasked, existing, whole (W2).
    ///
    /// # Errors
    /// The store failed.
    pub fn find_for_writer(
        &mut self,
        repository: &Repository,
        id: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<Option<ChunkPlace>, RepoError> {
        if let Some(place) = self.neighbour(id) {
            return Ok(Some(place));
        }
        #[cfg(test)]
        if let Some(place) = stale::find(id).filter(|place| !self.retired.masks(&place.view.id)) {
            return Ok(Some(place));
        }
        for (pack, slot) in self.hints(repository, id, monitor)? {
            if self.retired.masks(&pack) {
                continue;
            }
            if let Some(place) = self.place(repository, pack, slot, id)? {
                self.last = Some((Arc::clone(&place.view), place.slot));
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// A place of a chunk, in a masked pack only if there is no other; after a miss, also where only the packs
    /// themselves know of it (R1).
    ///
    /// # Errors
    /// The store failed, or the chunk is nowhere.
    pub fn find_for_reader(
        &mut self,
        repository: &Repository,
        id: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<ChunkPlace, RepoError> {
        if let Some(place) = self.neighbour(id) {
            return Ok(place);
        }
        let mut place = self.places(repository, id, monitor)?.into_iter().next();
        if place.is_none() {
            place = self.find_elsewhere(repository, id, monitor)?.into_iter().next();
        }
        if let Some(place) = place {
            // What stands beside a chunk in a masked pack may stand in another pack as well.
            let is_last = !self.retired.masks(&place.view.id);
            self.last = is_last.then(|| (Arc::clone(&place.view), place.slot));
            return Ok(place);
        }
        let why = self.why_lost(repository, id, monitor)?;
        Err(RepoError::LostChunk { chunk: *id, why })
    }

    /// Names the packs that should have a chunk; if nobody knows of any, how many cannot be read.
    fn why_lost(
        &mut self,
        repository: &Repository,
        id: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<String, RepoError> {
        let hinted: BTreeSet<PackId> =
            self.hints(repository, id, monitor)?.into_iter().map(|(pack, _)| pack).collect();
        let known: Vec<&str> =
            hinted.iter().filter_map(|pack| self.bad.get(pack)).map(String::as_str).collect();
        Ok(match (known.is_empty(), self.bad.values().min()) {
            (false, _) => format!("no pack that can be read has it ({})", known.join("; ")),
            (true, None) => "no pack has it".to_owned(),
            (true, Some(first)) => {
                format!(
                    "no pack that can be read has it; {} cannot be read, the first: {first}",
                    self.bad.len()
                )
            }
        })
    }

    /// All places of a chunk, after the index was read again and the packs that it does not name were looked at.
    ///
    /// # Errors
    /// The store failed.
    pub fn find_elsewhere(
        &mut self,
        repository: &Repository,
        id: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<Vec<ChunkPlace>, RepoError> {
        if self.unnamed.is_none() {
            self.reload(repository, monitor)?;
            self.unnamed = Some(self.read_unnamed(repository, monitor)?);
        }
        self.places(repository, id, monitor)
    }

    /// The packs that are said to have a chunk, whether they exist or not.
    ///
    /// # Errors
    /// The store failed.
    pub fn hinted_packs(
        &mut self,
        repository: &Repository,
        id: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<BTreeSet<PackId>, RepoError> {
        Ok(self.hints(repository, id, monitor)?.into_iter().map(|(pack, _)| pack).collect())
    }

    /// The chunk behind the one that was found last: neighbours in a stream are neighbours in a pack, so most need
    /// no look into the index.
    fn neighbour(&mut self, id: &ChunkId) -> Option<ChunkPlace> {
        let (view, slot) = self.last.as_mut()?;
        let (record, offset) = view.record_at(*slot + 1, id)?;
        *slot += 1;
        Some(ChunkPlace { view: Arc::clone(view), slot: *slot, record, offset })
    }

    /// All places of a chunk that the index knows, those in masked packs last.
    ///
    /// # Errors
    /// The store failed.
    pub fn places(
        &mut self,
        repository: &Repository,
        id: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<Vec<ChunkPlace>, RepoError> {
        let mut hints = self.hints(repository, id, monitor)?;
        hints.sort_by_key(|(pack, _)| self.retired.masks(pack));
        let mut places = Vec::new();
        let mut seen = HashSet::new();
        for (pack, slot) in hints {
            if seen.insert(pack) {
                places.extend(self.place(repository, pack, slot, id)?);
            }
        }
        Ok(places)
    }

    /// What segments, and packs without segment, say about a chunk.
    fn hints(
        &mut self,
        repository: &Repository,
        id: &ChunkId,
        monitor: &dyn Monitor,
    ) -> Result<Vec<(PackId, u32)>, RepoError> {
        let key = key_of(&id.hash);
        let mut found: Vec<(SegmentPack, u32)> = Vec::new();
        let mut damaged = Vec::new();
        for segment in self.segments.iter().rev() {
            match segment.find(repository, &mut self.pages, &key, &mut found) {
                Ok(()) => {}
                // A merge replaced it; what it said stands elsewhere, or is found when it is missed.
                Err(error) if error.is_gone() => damaged.push(segment.id),
                Err(error) if error.is_useless() => {
                    report(monitor, segment.id, &error);
                    damaged.push(segment.id);
                }
                Err(error) => return Err(error),
            }
        }
        self.segments.retain(|segment| !damaged.contains(&segment.id));
        let mut hints: Vec<(PackId, u32)> = found.into_iter().map(|(pack, slot)| (pack.id, slot)).collect();
        if let Some(unnamed) = &self.unnamed {
            hints.extend(unnamed.get(&key).into_iter().flatten());
        }
        Ok(hints)
    }

    fn place(
        &mut self,
        repository: &Repository,
        pack: PackId,
        slot: u32,
        id: &ChunkId,
    ) -> Result<Option<ChunkPlace>, RepoError> {
        let Some(mut view) = self.view(repository, pack)? else { return Ok(None) };
        if view.record_at(slot, id).is_none() {
            // A hint that is wrong, or another pack's bytes under this name.
            let Some(mended) = self.mended_view(repository, pack)? else { return Ok(None) };
            view = mended;
        }
        Ok(view.record_at(slot, id).map(|(record, offset)| ChunkPlace {
            view: Arc::clone(&view),
            slot,
            record,
            offset,
        }))
    }

    /// A pack's table, read in this session from the pack itself. `None` if the pack is missing or damaged.
    ///
    /// # Errors
    /// The store failed.
    pub fn view(
        &mut self,
        repository: &Repository,
        pack: PackId,
    ) -> Result<Option<Arc<PackView>>, RepoError> {
        if let Some(view) = self.views.views.get(&pack) {
            return Ok(Some(Arc::clone(view)));
        }
        if self.bad.contains_key(&pack) {
            return Ok(None);
        }
        match repository.view_pack(pack, &self.domain) {
            Ok(view) => {
                let view = Arc::new(view);
                self.views.put(&view);
                #[cfg(test)]
                stale::remember(&view);
                Ok(Some(view))
            }
            Err(error) if error.is_useless() => {
                if let Some(view) = self.mended_view(repository, pack)? {
                    return Ok(Some(view));
                }
                self.bad.insert(pack, error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn mended_view(
        &mut self,
        repository: &Repository,
        pack: PackId,
    ) -> Result<Option<Arc<PackView>>, RepoError> {
        let Some(bytes) = self.mend_pack(repository, pack)? else { return Ok(None) };
        let view = repository.view_bytes(pack, &bytes.bytes, &self.domain).ok().map(Arc::new);
        view.iter().for_each(|view| self.views.put(view));
        Ok(view)
    }

    /// The bytes of a damaged or missing pack, from parity; see [`Mender::pack`]. Nothing for writers.
    ///
    /// # Errors
    /// The store failed.
    pub fn mend_pack(
        &mut self,
        repository: &Repository,
        pack: PackId,
    ) -> Result<Option<Arc<Rebuilt>>, RepoError> {
        self.mender.as_mut().map_or(Ok(None), |mender| mender.pack(repository, pack))
    }

    /// For readers: damaged packs are rebuilt in memory from now on.
    pub fn mend(&mut self) {
        self.mender = Some(Mender::default());
    }

    /// What rebuilds packs, of a reader.
    pub fn mender(&mut self) -> Option<&mut Mender> {
        self.mender.as_mut()
    }

    /// Whether retire records name the pack.
    #[must_use]
    pub fn is_retired(&self, pack: &PackId) -> bool {
        self.retired.masks(pack)
    }

    /// Ids of all packs that segments name.
    ///
    /// # Errors
    /// The store failed.
    pub fn named_packs(&self, repository: &Repository) -> Result<HashSet<PackId>, RepoError> {
        let mut named = HashSet::new();
        for segment in &self.segments {
            match segment.each_pack(repository, |pack| {
                named.insert(pack.id);
            }) {
                // What a segment says that others replaced meanwhile stands in these.
                Err(error) if !error.is_useless() && !error.is_gone() => return Err(error),
                _ => {}
            }
        }
        Ok(named)
    }
}

/// Ids of all packs in the store, in order.
///
/// # Errors
/// The store failed.
pub fn list_packs(repository: &Repository) -> Result<BTreeSet<PackId>, RepoError> {
    let mut ids = BTreeSet::new();
    repository.store.list(names::PACKS, &mut |entry| ids.extend(names::pack_id_of(&entry.name, "pack")))?;
    Ok(ids)
}

fn report(monitor: &dyn Monitor, id: SegmentId, error: &RepoError) {
    let text =
        format!("{error}; it is a cache, and nothing depends on it: readers use the packs' own tables");
    monitor.problem(&Problem::Mended { object: names::segment(id).to_string(), text });
}
