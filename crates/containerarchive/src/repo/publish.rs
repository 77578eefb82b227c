//! Writing sealed packs, and the index segments that name them (W3).

use super::keyring::DomainKeys;
use super::objects::delete_if_there;
use super::pack_writer::SealedPack;
use super::{RepoError, Repository};
use crate::base::{Kind, PackId, Planted, SegmentId, SessionId, is_planted};
use crate::crypto::blake3_256;
use crate::format::names;
use crate::format::pack::Record;
use crate::format::pages::seal_pages;
use crate::format::prefix::{Class, ObjectKind};
use crate::format::segment::{Entry, HEADER_LEN, Key, SegmentPack, encode, key_of};
use crate::store::{Durability, StoreErrorKind};

/// Entries after which a segment is published: a bound on memory.
/// Tests have few chunks, and shall have checkpoints, too.
pub(super) const ENTRIES_PER_SEGMENT: usize = if cfg!(test) { 300 } else { 1 << 20 };
/// Packs after which a segment is published: a checkpoint, from which an interrupted ingest goes on without reading
/// packs again. As many as a parity group has by default.
const PACKS_PER_SEGMENT: usize = 40;
/// A session that published much waits for this part of it, so that its segments grow and stay few: some fifty for a
/// terabyte.
const GROWTH: usize = 8;

/// Packs that are durable and that no published segment names yet.
#[derive(Default)]
pub struct StoredPacks {
    packs: Vec<StoredPack>,
    entries: usize,
    /// Packs that segments of this session name.
    published: usize,
}

struct StoredPack {
    pack: SegmentPack,
    entries: Vec<(Key, u32)>,
    /// Nobody but this session can know of the pack: it wrote it, and never tried to name it in a segment.
    is_private: bool,
}

impl Repository {
    /// Writes a pack durably, and its index file where the store keeps such. Returns its length in bytes; see
    /// [`StoredPacks::add`] for what comes next.
    ///
    /// # Errors
    /// The store failed.
    pub fn put_pack(&self, pack: &SealedPack) -> Result<u64, RepoError> {
        let is_hasty = is_planted(Planted::FsyncSkipped);
        let durability = if is_hasty { Durability::Cache } else { Durability::Durable };
        self.store.put(&names::pack(pack.id), &pack.bytes, durability)?;
        if self.store.capabilities().is_local {
            // A cache: its loss costs a look into the pack.
            let _ = self.store.put(&names::idx(pack.id), &pack.idx, Durability::Cache);
        }
        Ok(pack.bytes.len() as u64)
    }
}

impl Repository {
    /// Deletes a pack and its index file; what is gone already is fine.
    ///
    /// # Errors
    /// The store failed.
    pub fn remove_pack(&self, id: PackId) -> Result<(), RepoError> {
        delete_if_there(&*self.store, &names::idx(id))?;
        Ok(delete_if_there(&*self.store, &names::pack(id))?)
    }
}

impl StoredPacks {
    /// Remembers a pack that this session wrote and that is durable.
    pub fn add(&mut self, id: PackId, len: u64, class: Class, records: &[Record]) {
        self.remember(id, len, class, records, true);
    }

    /// Remembers a pack that another session wrote and that is durable.
    pub fn adopt(&mut self, id: PackId, len: u64, class: Class, records: &[Record]) {
        self.remember(id, len, class, records, false);
    }

    fn remember(&mut self, id: PackId, len: u64, class: Class, records: &[Record], is_private: bool) {
        let entries: Vec<_> = records
            .iter()
            .enumerate()
            .filter(|(_, record)| record.id.kind != Kind::Padding)
            .map(|(slot, record)| (key_of(&record.id.hash), slot as u32))
            .collect();
        self.entries += entries.len();
        let pack = SegmentPack { id, len, records: records.len() as u32, class };
        self.packs.push(StoredPack { pack, entries, is_private });
    }

    /// Ids of the packs that may be deleted again, since nobody else can have come to use them.
    pub fn private(&self) -> impl Iterator<Item = PackId> {
        self.packs.iter().filter(|stored| stored.is_private).map(|stored| stored.pack.id)
    }

    /// Whether a segment should be published now.
    #[must_use]
    pub fn wants_segment(&self) -> bool {
        self.is_full() || self.packs.len() >= PACKS_PER_SEGMENT.max(self.published / GROWTH)
    }

    /// Whether there are as many entries as a segment should have at most.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries >= ENTRIES_PER_SEGMENT
    }

    /// Publishes a segment that names all packs so far. `None` if there are none.
    ///
    /// # Errors
    /// The store failed; the packs are still remembered.
    pub fn publish(
        &mut self,
        repository: &Repository,
        domain: &DomainKeys,
        session: SessionId,
    ) -> Result<Option<SegmentId>, RepoError> {
        if self.packs.is_empty() {
            return Ok(None);
        }
        self.packs.sort_unstable_by_key(|stored| stored.pack.id);
        self.packs.dedup_by_key(|stored| stored.pack.id);
        // Also a put that fails may have made the segment visible.
        self.packs.iter_mut().for_each(|stored| stored.is_private = false);
        let packs: Vec<SegmentPack> = self.packs.iter().map(|stored| stored.pack).collect();
        let mut entries = Vec::with_capacity(self.entries);
        for (ordinal, stored) in self.packs.iter().enumerate() {
            entries.extend(stored.entries.iter().map(|(key, slot)| Entry {
                key: *key,
                pack: ordinal as u32,
                slot: *slot,
            }));
        }
        entries.sort_unstable();
        let id = put_segment(repository, domain, session, &packs, &entries)?;
        *self = Self { published: self.published + self.packs.len(), ..Self::default() };
        Ok(Some(id))
    }
}

/// Seals and writes one segment, whose packs and entries are in order.
pub(super) fn put_segment(
    repository: &Repository,
    domain: &DomainKeys,
    session: SessionId,
    packs: &[SegmentPack],
    entries: &[Entry],
) -> Result<SegmentId, RepoError> {
    let name = |id| names::segment(id);
    let unnamed = SegmentId([0; 32]);
    let content = encode(packs, entries).map_err(|source| RepoError::format(&name(unnamed), source))?;
    let prefix = repository.new_prefix(ObjectKind::Segment, Class::None, domain.id, session)?;
    let secrets = domain.segment_secrets(&prefix)?;
    let mut bytes = Vec::with_capacity(HEADER_LEN + content.len() + content.len() / 250);
    bytes.extend_from_slice(&prefix.encode());
    bytes.extend_from_slice(&secrets.commitment.0);
    seal_pages(&secrets.key, &[&content], &mut bytes)?;
    let id = SegmentId(blake3_256(&bytes));
    match repository.store.put(&name(id), &bytes, Durability::Durable) {
        Err(error) if error.kind != StoreErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(id),
    }
}
