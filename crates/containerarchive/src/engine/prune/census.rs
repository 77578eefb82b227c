//! Which chunks of which packs are needed, as bits: 16 bytes for each pack and one bit for each chunk of those that have
//! a needed one, beside the packs' ids.

use crate::base::{Kind, PackId};
use crate::repo::{ChunkPlace, PackView};

/// Of a pack that has no needed chunk so far.
const NO_BASE: u32 = u32::MAX;

/// What is known of one pack.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Its length in bytes.
    len: u32,
    /// Bytes of its chunks, padding apart. Known once one of them is needed.
    content: u32,
    /// Those of needed chunks.
    live: u32,
    /// The ordinal of its first chunk among all bits.
    base: u32,
}

/// All packs that were listed, in order, and their needed chunks.
pub(super) struct Census {
    ids: Vec<PackId>,
    entries: Vec<Entry>,
    bits: Vec<u64>,
    ordinals: u32,
}

/// How much of a pack is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Its length in bytes.
    pub(super) len: u64,
    /// Bytes of chunks that snapshots need.
    pub(super) live: u64,
    /// Bytes of chunks that they do not need; of a pack without needed chunks its length.
    pub(super) unused: u64,
    /// In which order packs were found to be needed: that of the streams. Without meaning for others.
    pub(super) order: u32,
}

impl Census {
    /// Packs with their lengths, sorted by id; nothing is needed yet.
    pub(super) fn new(packs: Vec<(PackId, u64)>) -> Self {
        debug_assert!(packs.is_sorted());
        let clamp = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        let entry = |(_, len): &(PackId, u64)| Entry { len: clamp(*len), content: 0, live: 0, base: NO_BASE };
        let entries = packs.iter().map(entry).collect();
        let ids = packs.into_iter().map(|(id, _)| id).collect();
        Self { ids, entries, bits: Vec::new(), ordinals: 0 }
    }

    /// The packs, in order.
    pub(super) fn ids(&self) -> &[PackId] {
        &self.ids
    }

    /// Forgets what is needed.
    pub(super) fn clear(&mut self) {
        for entry in &mut self.entries {
            *entry = Entry { content: 0, live: 0, base: NO_BASE, ..*entry };
        }
        self.bits.clear();
        self.ordinals = 0;
    }

    fn find(&self, pack: &PackId) -> Option<usize> {
        self.ids.binary_search(pack).ok()
    }

    /// Whether the pack was listed.
    pub(super) fn has(&self, pack: &PackId) -> bool {
        self.find(pack).is_some()
    }

    /// Notes that a chunk is needed. False if that was known. A pack that was not listed is no candidate for anything, and
    /// nothing is noted of it: then always true.
    pub(super) fn mark(&mut self, place: &ChunkPlace) -> bool {
        let Some(number) = self.find(&place.view.id) else { return true };
        if self.entries[number].base == NO_BASE {
            self.begin(number, &place.view);
        }
        let entry = &mut self.entries[number];
        let bit = u64::from(entry.base) + u64::from(place.slot);
        let Some(word) = self.bits.get_mut((bit / 64) as usize) else { return true };
        let mask = 1 << (bit % 64);
        if *word & mask != 0 {
            return false;
        }
        *word |= mask;
        entry.live = entry.live.saturating_add(place.record.stored_len);
        true
    }

    fn begin(&mut self, number: usize, view: &PackView) {
        let records = view.table.records();
        let chunks = records.iter().filter(|record| record.id.kind != Kind::Padding);
        let content: u64 = chunks.map(|record| u64::from(record.stored_len)).sum();
        let entry = &mut self.entries[number];
        entry.content = u32::try_from(content).unwrap_or(u32::MAX);
        entry.base = self.ordinals;
        self.ordinals = self.ordinals.saturating_add(records.len() as u32);
        let words = (u64::from(self.ordinals).div_ceil(64)) as usize;
        if words > self.bits.capacity() {
            // Not doubled: what a vector keeps for later would count as much as the bits.
            self.bits.reserve_exact(words - self.bits.len() + words / 8);
        }
        self.bits.resize(words, 0);
    }

    /// Whether a chunk of a pack is needed.
    pub(super) fn is_marked(&self, pack: &PackId, slot: u32) -> bool {
        let Some(number) = self.find(pack).filter(|number| self.entries[*number].base != NO_BASE) else {
            return false;
        };
        let bit = u64::from(self.entries[number].base) + u64::from(slot);
        self.bits.get((bit / 64) as usize).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    /// How much of each pack is needed, in order of their ids.
    pub(super) fn usage(&self) -> impl Iterator<Item = (PackId, Usage)> {
        self.ids.iter().zip(&self.entries).map(|(id, entry)| (*id, usage(entry)))
    }

    /// How much of a pack is needed.
    pub(super) fn usage_of(&self, pack: &PackId) -> Option<Usage> {
        self.find(pack).map(|number| usage(&self.entries[number]))
    }
}

fn usage(entry: &Entry) -> Usage {
    let unused = if entry.base == NO_BASE { entry.len } else { entry.content.saturating_sub(entry.live) };
    Usage { len: entry.len.into(), live: entry.live.into(), unused: unused.into(), order: entry.base }
}
