//! Parity of packs: what an ingest leaves is protected, and whatever is lost within its limits comes back bit for bit.

use std::sync::Arc;

use super::support::{Lab, noise};
use crate::base::PackId;
use crate::crypto::BLOCK_LEN;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::repo::{Groups, Repository, rebuild_pack};
use crate::store::{MemoryStore, Store};

fn lab(encrypted: bool, members: u8, shards: u8, seed: u64) -> (Lab, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, seed);
    lab.parity = Parity::Groups { members, shards };
    lab.create().unwrap();
    (lab, store)
}

fn packs(repository: &Repository) -> Vec<PackId> {
    let mut packs = Vec::new();
    repository
        .store
        .list(names::PACKS, &mut |entry| packs.extend(names::pack_id_of(&entry.name, "pack")))
        .unwrap();
    packs.sort();
    packs
}

#[test]
fn each_pack_of_an_ingest_is_protected_and_any_lost_ones_come_back() {
    for encrypted in [false, true] {
        let (lab, store) = lab(encrypted, 4, 2, 1);
        lab.ingest(&[("noise", &noise(1, 700_000))]).unwrap();
        let repository = lab.open().unwrap();
        let groups = Groups::load(repository.parity_store()).unwrap();
        let packs = packs(&repository);
        assert!(packs.len() > 10);
        for pack in &packs {
            let stored: Vec<_> = groups.of_pack(pack).collect();
            assert_eq!(stored.len(), 1);
            let name = names::pack(*pack);
            let before = store.get(&name, u64::MAX).unwrap();
            let others = stored[0].group.members.iter().filter(|member| member.pack != *pack);
            let copy = Arc::new(store.fork());
            assert!(copy.remove(&name));
            if let Some(other) = others.clone().next() {
                assert!(
                    copy.corrupt(&names::pack(other.pack), |bytes| bytes.iter_mut().for_each(|b| *b ^= 1))
                );
            }
            let damaged = lab.on(Arc::<MemoryStore>::clone(&copy)).open().unwrap();
            let rebuilt = rebuild_pack(damaged.parity_store(), stored[0], *pack).unwrap().unwrap();
            assert!(rebuilt.is_whole && rebuilt.bytes == before);
            assert_eq!(rebuilt.mended_blocks as usize, before.len().div_ceil(BLOCK_LEN));
            if let Some(third) = others.clone().nth(1) {
                assert!(copy.remove(&names::pack(third.pack)));
                let rebuilt = rebuild_pack(damaged.parity_store(), stored[0], *pack).unwrap().unwrap();
                assert!(!rebuilt.is_whole && !rebuilt.lost_blocks.is_empty());
            }
        }
    }
}
