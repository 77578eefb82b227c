use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::*;
use crate::base::testing::SeededRandomness;
use crate::base::{DomainId, GroupId, NoPins, PackId, SessionId, ShardId, SilentMonitor, SystemClock};
use crate::chunk::ChunkParams;
use crate::crypto::hash_blocks;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::format::prefix::Class;
use crate::format::shard::Group;
use crate::repo::{CreateOptions, Environment, create};
use crate::store::{Durability, MemoryStore, ObservedStore, StoreError, StoreOperation};

const SESSION: SessionId = SessionId([0x5e; 16]);

fn repository(store: Arc<dyn Store>) -> Repository {
    repository_with(store, Parity::Groups { members: 3, shards: 2 })
}

fn repository_with(store: Arc<dyn Store>, parity: Parity) -> Repository {
    let environment = Environment {
        clock: Arc::new(SystemClock),
        random: Arc::new(SeededRandomness::new(4)),
        host: "host".to_owned(),
        user: "user".to_owned(),
    };
    let options = CreateOptions {
        credential: None,
        label: "",
        chunking: ChunkParams::default(),
        compression: "auto".parse().unwrap(),
        pack_size_bytes: 64 << 10,
        parity,
    };
    create(&store, &environment, &options, &NoPins, &SilentMonitor).unwrap();
    let options = crate::repo::OpenOptions { pins: &NoPins, accept_rollback: false };
    let locked = crate::repo::Locked::read(store, environment, &SilentMonitor).unwrap();
    locked.open(crate::repo::Credential::None, &options, &SilentMonitor).unwrap()
}

/// Stands in for a pack: parity knows bytes and names only.
fn put_pack(repository: &Repository, seed: u8) -> (PackId, Vec<u8>) {
    put_pack_of(repository, seed, 40_000 + usize::from(seed))
}

fn put_pack_of(repository: &Repository, seed: u8, len: usize) -> (PackId, Vec<u8>) {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    let id = PackId(hash_blocks(&bytes).0);
    repository.store.put(&names::pack(id), &bytes, Durability::Durable).unwrap();
    (id, bytes)
}

fn add(keeper: &ParityKeeper<'_>, (id, bytes): &(PackId, Vec<u8>)) -> Result<(), RepoError> {
    let (_, sums) = hash_blocks(bytes);
    keeper.add(*id, Class::Data, bytes.clone(), sums).map(drop)
}

fn is_rebuilt(repository: &Repository, (id, bytes): &(PackId, Vec<u8>)) -> bool {
    let site = repository.parity_store();
    let name = names::pack(*id);
    repository.store.delete(&name).unwrap();
    let groups = Groups::load(site).unwrap();
    let is_rebuilt = groups.of_pack(id).any(|stored| {
        let rebuilt = rebuild_pack(site, stored, *id).unwrap().unwrap();
        rebuilt.is_whole && rebuilt.bytes == *bytes
    });
    repository.store.put(&name, bytes, Durability::Durable).unwrap();
    is_rebuilt
}

#[test]
fn a_group_whose_shards_could_not_be_written_is_not_written_later_with_wrong_ones() {
    // Both shards in turn: with the second one the first is there and is removed again.
    for failing in 0..2 {
        let store = Arc::new(ObservedStore::new(Arc::new(MemoryStore::new())));
        let repository = repository(Arc::<ObservedStore>::clone(&store));
        let keeper = ParityKeeper::new(&repository, DomainId::MAIN, SESSION, false, 2);
        let packs: Vec<_> = (0..5).map(|seed| put_pack(&repository, seed)).collect();
        let left = AtomicI32::new(failing);
        store.set_before(move |call| {
            let is_shard = call.operation == StoreOperation::Put && call.name.starts_with(names::PARITY);
            if is_shard && left.fetch_sub(1, Ordering::Relaxed) == 0 {
                return Err(StoreError::new(StoreErrorKind::Failed, call.operation, &call.name, "once"));
            }
            Ok(())
        });
        add(&keeper, &packs[0]).unwrap();
        add(&keeper, &packs[1]).unwrap();
        // The third one closes the group.
        assert!(add(&keeper, &packs[2]).is_err());
        add(&keeper, &packs[3]).unwrap();
        add(&keeper, &packs[4]).unwrap();
        keeper.close().unwrap();
        let protected = keeper.take_protected();
        assert_eq!(protected, [packs[3].0, packs[4].0]);
        let groups = Groups::load(repository.parity_store()).unwrap();
        assert!(groups.unreadable.is_empty());
        assert_eq!(groups.all().len(), 1);
        for (number, pack) in packs.iter().enumerate() {
            assert_eq!(is_rebuilt(&repository, pack), number >= 3, "pack {number}");
        }
    }
}

#[test]
fn groups_are_right_when_packs_come_from_several_threads_and_some_are_left_out() {
    let repository = repository(Arc::new(MemoryStore::new()));
    let keeper = ParityKeeper::new(&repository, DomainId::MAIN, SESSION, false, 2);
    let packs: Vec<_> = (0..64).map(|seed| put_pack(&repository, seed)).collect();
    std::thread::scope(|scope| {
        for packs in packs.chunks(16) {
            let keeper = &keeper;
            scope.spawn(move || {
                for (number, pack) in packs.iter().enumerate() {
                    match number % 8 {
                        3 => {}
                        5 => keeper.close().unwrap(),
                        _ => add(keeper, pack).unwrap(),
                    }
                }
            });
        }
    });
    keeper.close().unwrap();
    let is_member = |number: usize| !matches!(number % 8, 3 | 5);
    assert_eq!(keeper.take_protected().len(), (0..64).filter(|number| is_member(*number)).count());
    for (number, pack) in packs.iter().enumerate() {
        assert_eq!(is_rebuilt(&repository, pack), is_member(number), "pack {number}");
    }
}

#[test]
fn groups_of_packs_of_any_lengths_are_right_however_many_wait_to_be_added_and_whether_sums_are_kept() {
    // Longer ones than the piece of a shard that is added to at once, and not in the order of their lengths.
    let lens = [1, 700_000, 32_768, 163_840, 163_841, 40_000, 500_000, 65_536, 300_000];
    for (count, is_frugal) in (1..=lens.len()).flat_map(|count| [(count, false), (count, true)]) {
        let parity = Parity::Groups { members: 7, shards: 2 };
        let repository = repository_with(Arc::new(MemoryStore::new()), parity);
        let keeper = ParityKeeper::new(&repository, DomainId::MAIN, SESSION, is_frugal, 2);
        let put = |(seed, len): (u8, &usize)| put_pack_of(&repository, seed, *len);
        let packs: Vec<_> = (0..).zip(&lens[..count]).map(put).collect();
        packs.iter().for_each(|pack| add(&keeper, pack).unwrap());
        keeper.close().unwrap();
        assert_eq!(keeper.take_protected().len(), count);
        let groups = Groups::load(repository.parity_store()).unwrap();
        assert_eq!(groups.all().len(), count.div_ceil(7));
        for (number, pack) in packs.iter().enumerate() {
            assert!(is_rebuilt(&repository, pack), "pack {number} of {count}, frugal: {is_frugal}");
        }
    }
}

#[test]
fn a_group_is_right_that_comes_to_take_too_much_memory_when_some_packs_are_in_its_sums() {
    // Sixteen shards of the sixth one are more than 64 MiB: four packs are in the sums then, and one waits.
    let lens = [40_000, 50_000, 60_000, 70_000, 80_000, (4 << 20) + 1, 90_000];
    let parity = Parity::Groups { members: 7, shards: 16 };
    let repository = repository_with(Arc::new(MemoryStore::new()), parity);
    let keeper = ParityKeeper::new(&repository, DomainId::MAIN, SESSION, false, 2);
    let put = |(seed, len): (u8, &usize)| put_pack_of(&repository, seed, *len);
    let packs: Vec<_> = (0..).zip(&lens).map(put).collect();
    packs.iter().for_each(|pack| add(&keeper, pack).unwrap());
    // Full, so it was closed.
    assert_eq!(keeper.take_protected().len(), lens.len());
    assert!(packs.iter().all(|pack| is_rebuilt(&repository, pack)));
    // The next one has sums again: its first pack waits to be added, so that no buffer comes back.
    let small: Vec<_> = (10..17).map(|seed| put_pack(&repository, seed)).collect();
    let (_, sums) = hash_blocks(&small[0].1);
    assert!(keeper.add(small[0].0, Class::Data, small[0].1.clone(), sums).unwrap().is_empty());
    small[1..].iter().for_each(|pack| add(&keeper, pack).unwrap());
    assert_eq!(keeper.take_protected().len(), small.len());
    assert!(small.iter().all(|pack| is_rebuilt(&repository, pack)));
}

#[test]
fn a_shard_that_says_something_else_of_a_group_does_not_hide_the_others() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let repository = repository(Arc::clone(&store));
    let keeper = ParityKeeper::new(&repository, DomainId::MAIN, SESSION, false, 2);
    let packs: Vec<_> = (0..3).map(|seed| put_pack(&repository, seed)).collect();
    packs.iter().for_each(|pack| add(&keeper, pack).unwrap());
    let groups = Groups::load(repository.parity_store()).unwrap();
    let group = &groups.all()[0].group;
    // Only a front; its name comes before all others.
    let lie = Group { session: SessionId([1; 16]), ..group.clone() };
    store.put(&names::shard(ShardId([0; 32])), &lie.encode_front(0), Durability::Durable).unwrap();
    let groups = Groups::load(repository.parity_store()).unwrap();
    assert!(groups.unreadable.is_empty());
    assert_eq!(groups.all().len(), 2);
    let ids: Vec<GroupId> = groups.all().iter().map(|stored| stored.group.id).collect();
    assert_eq!(ids[0], ids[1]);
    assert!(packs.iter().all(|pack| is_rebuilt(&repository, pack)));
}
