//! What the tests of damage share: dice, repositories with one full parity group, and comparing them byte by byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::support::{Lab, noise};
use crate::base::{ObjectName, PackId, SilentMonitor};
use crate::chunk::ChunkParams;
use crate::engine::{RepairOptions, RepairReport, repair};
use crate::error::Error;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::format::prefix::Class;
use crate::repo::{Groups, StoredGroup};
use crate::store::{MemoryStore, Store};

pub(super) fn is_long() -> bool {
    std::env::var_os("CONTAINERARCHIVE_TEST_LONG").is_some()
}

/// Randomness that a seed repeats: BLAKE3's output stream.
pub(super) struct Dice(blake3::OutputReader);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(blake3::Hasher::new_keyed(&[3; 32]).update(&seed.to_le_bytes()).finalize_xof())
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % end as u64) as usize
    }

    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// In any order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// A repository with one snapshot of noise, in at least one full parity group of data packs.
pub(super) struct Scene {
    pub(super) lab: Lab,
    pub(super) store: Arc<MemoryStore>,
    pub(super) content: Vec<u8>,
    /// A full group of data packs.
    pub(super) stored: StoredGroup,
    /// Every object as it should be.
    pub(super) whole: BTreeMap<ObjectName, Vec<u8>>,
}

pub(super) const ITEM: &str = "noise";

impl Scene {
    /// Packs of `pack_kib` KiB in a group of `members` packs and `shards` shards.
    pub(super) fn new(encrypted: bool, (members, shards): (u8, u8), pack_kib: u64, seed: u64) -> Self {
        let store = Arc::new(MemoryStore::new());
        let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, seed);
        lab.parity = Parity::Groups { members, shards };
        lab.pack_size_bytes = pack_kib << 10;
        lab.chunking = ChunkParams::new(2048, 8192, 16384).unwrap();
        lab.create().unwrap();
        // Each pack ends up to a chunk behind its size.
        let content = noise(seed, usize::from(members) * (lab.pack_size_bytes as usize + (16 << 10)));
        lab.ingest(&[(ITEM, &content)]).unwrap();
        let groups = Groups::load(lab.open().unwrap().parity_store()).unwrap();
        let is_full = |stored: &&StoredGroup| {
            stored.group.class == Class::Data && stored.group.members.len() == usize::from(members)
        };
        let stored = groups.all().iter().find(is_full).unwrap().clone();
        assert_eq!(stored.present().count(), usize::from(shards));
        let whole = bytes_of(&store);
        Self { lab, store, content, stored, whole }
    }

    pub(super) fn fork(&self) -> (Lab, Arc<MemoryStore>) {
        let copy = Arc::new(self.store.fork());
        (self.lab.on(Arc::<MemoryStore>::clone(&copy)), copy)
    }

    /// The packs of the group, then its shards.
    pub(super) fn files(&self) -> Vec<ObjectName> {
        let packs = self.packs().into_iter().map(names::pack);
        packs.chain(self.stored.present().map(|(_, id)| names::shard(id))).collect()
    }

    pub(super) fn packs(&self) -> Vec<PackId> {
        self.stored.group.members.iter().map(|member| member.pack).collect()
    }
}

pub(super) fn bytes_of(store: &MemoryStore) -> BTreeMap<ObjectName, Vec<u8>> {
    store.names().into_iter().map(|name| (name.clone(), store.get(&name, u64::MAX).unwrap())).collect()
}

/// The first object that differs, for people; comparing whole maps would print megabytes.
pub(super) fn difference(
    expected: &BTreeMap<ObjectName, Vec<u8>>,
    found: &BTreeMap<ObjectName, Vec<u8>>,
) -> Option<String> {
    let changed = expected.iter().find(|(name, bytes)| found.get(*name) != Some(*bytes));
    let new = || found.keys().find(|name| !expected.contains_key(*name));
    changed
        .map(|(name, _)| {
            let what = if found.contains_key(name) { "has other bytes" } else { "is missing" };
            format!("{name} {what}")
        })
        .or_else(|| new().map(|name| format!("{name} is new")))
}

/// Repairs with the admin's key.
pub(super) fn run_repair(lab: &Lab) -> Result<RepairReport, Error> {
    repair(&lab.open()?, &RepairOptions { dry_run: false, threads: 1 }, &SilentMonitor)
}
