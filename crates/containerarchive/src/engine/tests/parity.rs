//! Parity of packs: what an ingest leaves is protected, and whatever is lost within its limits comes back bit for bit.

use std::sync::Arc;

use super::scenes::{Scene, run_repair};
use super::support::{Lab, noise};
use crate::base::monitor::RecordingMonitor;
use crate::base::{NoPins, PackId, Problem, SilentMonitor};
use crate::crypto::BLOCK_LEN;
use crate::engine::{
    Filter, RepairKind, RestoreOptions, RestoreTarget, Selector, VerifyLevel, VerifyOptions, restore,
    snapshots, verify,
};
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::repo::{Groups, Repository, SegmentList, rebuild_pack};
use crate::store::{Durability, MemoryStore, ObservedStore, Store, StoreOperation};

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

#[test]
fn a_hundred_nightly_ingests_of_one_small_pack_stay_small_and_are_merged() {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 77);
    lab.pack_size_bytes = 1 << 20;
    lab.parity = Parity::default();
    lab.create().unwrap();
    let bytes_below = |folder: &str, ending: &str| {
        let mut sum = 0;
        let mut add = |entry: crate::store::ListEntry| {
            sum += if entry.name.file_name().ends_with(ending) { entry.len } else { 0 };
        };
        store.list(folder, &mut add).unwrap();
        sum as f64
    };
    let mut worst: f64 = 0.0;
    for night in 1..=100_u64 {
        lab.ingest(&[("night", &noise(night, 60_000))]).unwrap();
        let share = bytes_below(names::PARITY, ".par") / bytes_below(names::PACKS, ".pack");
        // One pack needs two shards of its own length, three packs two of the longest: below that no code can go.
        if night > 4 {
            worst = worst.max(share);
        }
        println!("night {night}: {:.1} %", share * 100.0);
    }
    assert!(worst <= 0.5, "{worst}");
    let repository = lab.open().unwrap();
    let groups = Groups::load(repository.parity_store()).unwrap();
    assert!(packs(&repository).iter().all(|pack| groups.of_pack(pack).count() == 1));
    let last = bytes_below(names::PARITY, ".par") / bytes_below(names::PACKS, ".pack");
    assert!(last < 0.1, "{last}");
}

/// Everything below packs/data as it is, for comparing what a healing restore wrote back.
fn bytes_of_packs(store: &MemoryStore) -> Vec<(String, Vec<u8>)> {
    let names = store.names().into_iter().filter(|name| name.file_name().ends_with(".pack"));
    names.map(|name| (name.to_string(), store.get(&name, u64::MAX).unwrap())).collect()
}

#[test]
fn a_restore_mends_what_it_meets_and_writes_it_back_if_asked() {
    for encrypted in [false, true] {
        let (lab, store) = lab(encrypted, 4, 2, 2);
        let content = noise(2, 500_000);
        lab.ingest(&[("noise", &content)]).unwrap();
        let whole = bytes_of_packs(&store);
        let packs = packs(&lab.open().unwrap());
        // Each pack has a damaged block; none of these rows has more than two.
        let groups = Groups::load(lab.open().unwrap().parity_store()).unwrap();
        for stored in groups.all() {
            for (number, member) in stored.group.members.iter().enumerate() {
                let damaged = store.corrupt(&names::pack(member.pack), |bytes| {
                    let row = if number < 2 { 0 } else { BLOCK_LEN };
                    // In the header or in a chunk: padding is read by nobody.
                    bytes[row + 100 + number * 50] ^= 0x10;
                });
                assert!(damaged);
            }
        }
        let mut is_healed = false;
        for heal in [false, true, false] {
            let monitor = RecordingMonitor::default();
            let repository = lab.open().unwrap();
            let found = snapshots(&repository, &NoPins, &monitor).unwrap();
            let snapshot = found.find(&Selector::Latest(0), &Filter::default()).unwrap();
            let options = RestoreOptions { item: None, threads: 1, heal };
            let mut out = Vec::new();
            let target = RestoreTarget::Stream(&mut out);
            let report = restore(&repository, snapshot, target, &options, &monitor).unwrap();
            assert!(out == content);
            let told = monitor.problems().iter().filter(|p| matches!(p, Problem::Mended { .. })).count();
            assert_eq!(told, report.mended_packs.len());
            assert_eq!(report.mended_packs.len(), if is_healed { 0 } else { packs.len() });
            assert_eq!(report.healed_packs.len(), if heal { packs.len() } else { 0 });
            is_healed |= heal;
        }
        let after = bytes_of_packs(&store);
        let still_damaged = whole.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert_eq!(still_damaged, 0);
        assert!(!store.names().iter().any(|name| name.as_str().starts_with("quarantine/")));
    }
}

#[test]
fn every_pack_is_named_by_a_segment_however_many_threads_write() {
    for round in 0..20 {
        let (mut lab, _) = lab(false, 3, 1, 100 + round);
        lab.threads = 4;
        lab.ingest(&[("noise", &noise(round, 1_000_000))]).unwrap();
        let repository = lab.open().unwrap();
        let named = SegmentList::load(&repository, &SilentMonitor).unwrap();
        assert!(packs(&repository).iter().all(|pack| named.names(pack)), "round {round}");
    }
}

/// Trying costs what a repair costs: all other packs of the group are read.
#[test]
fn a_verification_tries_once_whether_a_pack_can_be_rebuilt() {
    for losses in [1, 3] {
        let scene = Scene::new(true, (4, 2), 96, 40);
        let (lab, store) = scene.fork();
        for pack in &scene.packs()[..losses] {
            assert!(store.corrupt(&names::pack(*pack), |bytes| bytes[100] ^= 1));
        }
        // So that the group is asked for as well.
        let gone = scene.stored.present().nth(1).unwrap().1;
        let left = names::shard(scene.stored.present().next().unwrap().1);
        assert!(store.remove(&names::shard(gone)));
        let observed = Arc::new(ObservedStore::new(store));
        let watched = lab.on(Arc::<ObservedStore>::clone(&observed));
        let options = VerifyOptions {
            level: VerifyLevel::Standard,
            sample_ppm: None,
            max_age_ms: None,
            threads: 1,
            pins: &NoPins,
        };
        let report = verify(&watched.open().unwrap(), &options, &SilentMonitor).unwrap();
        assert_eq!(report.is_repairable(), losses == 1, "{:?}", report.errors);
        let calls = observed.calls();
        let is_row = |call: &&crate::store::observed::Call| {
            call.operation == StoreOperation::GetRange
                && call.name == left.as_str()
                && call.len == BLOCK_LEN as u64
        };
        assert_eq!(calls.iter().filter(is_row).count(), losses, "a row of each damaged pack");
    }
}

/// Two writers that did not know of each other stored the same; the packs that are read first are damaged all over.
#[test]
fn chunks_that_come_from_other_packs_are_told_in_one_line_for_each_pack() {
    let (lab, store) = lab(true, 4, 2, 41);
    let fork = Arc::new(store.fork());
    let random = Lab::new(Arc::clone(&lab.store), true, 99).environment;
    let elsewhere = Lab { environment: random, ..lab.on(Arc::<MemoryStore>::clone(&fork)) };
    let content = noise(1, 120_000);
    lab.ingest(&[("a", &content)]).unwrap();
    let own = packs(&lab.open().unwrap());
    elsewhere.ingest(&[("a", &content)]).unwrap();
    for name in fork.names() {
        if store.head(&name).unwrap().is_none() {
            store.put(&name, &fork.get(&name, u64::MAX).unwrap(), Durability::Durable).unwrap();
        }
    }
    let mut told = 0;
    for damaged in
        [own.clone(), packs(&lab.open().unwrap()).into_iter().filter(|it| !own.contains(it)).collect()]
    {
        let copy = Arc::new(store.fork());
        for pack in &damaged {
            // Header and table stay, so that the index still leads here.
            assert!(copy.corrupt(&names::pack(*pack), |bytes| {
                let len = bytes.len();
                bytes[300..len / 2].iter_mut().for_each(|byte| *byte ^= 1);
            }));
        }
        let lab = lab.on(Arc::<MemoryStore>::clone(&copy));
        let monitor = RecordingMonitor::default();
        let items = lab.restore_from(&lab.open().unwrap(), "latest", &monitor).unwrap();
        assert!(items["a"] == content);
        let lines: Vec<(String, String)> = monitor.problems().into_iter().filter_map(mended).collect();
        let mut objects: Vec<&String> = lines.iter().map(|(object, _)| object).collect();
        objects.dedup();
        assert_eq!(objects.len(), lines.len(), "{lines:?}");
        told += lines
            .iter()
            .filter(|(_, text)| text.contains("chunks were read from other packs instead"))
            .count();
    }
    assert!(told > 0);
}

fn mended(problem: Problem) -> Option<(String, String)> {
    match problem {
        Problem::Mended { object, text } => Some((object, text)),
        _ => None,
    }
}

/// It is a cache, and made with the pack.
#[test]
fn the_index_beside_a_rebuilt_pack_is_no_damage_of_its_own() {
    let local = crate::store::Capabilities { is_local: true, is_weak: false };
    let store = Arc::new(MemoryStore::new().with_capabilities(local));
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 42);
    lab.create().unwrap();
    lab.ingest(&[("noise", &noise(1, 100_000))]).unwrap();
    let pack = packs(&lab.open().unwrap())[0];
    let (name, idx) = (names::pack(pack), names::idx(pack));
    let whole = (store.get(&name, u64::MAX).unwrap(), store.get(&idx, u64::MAX).unwrap());
    assert!(store.remove(&name) && store.remove(&idx));
    let report = run_repair(&lab).unwrap();
    assert_eq!((report.steps.len(), report.count(RepairKind::Pack)), (1, 1), "{report:?}");
    assert!((store.get(&name, u64::MAX).unwrap(), store.get(&idx, u64::MAX).unwrap()) == whole);
    assert!(store.remove(&idx));
    assert_eq!(run_repair(&lab).unwrap().count(RepairKind::PackIndex), 1);
}
