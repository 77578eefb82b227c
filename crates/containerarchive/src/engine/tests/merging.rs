//! Merging small parity groups beside writers, beside readers, and killed at any call: what was acknowledged is protected
//! by a complete group, the old one or the new.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::scenes::{Dice, is_long};
use super::support::{Lab, noise};
use crate::base::{DomainId, PackId, SilentMonitor};
use crate::engine::set_parity;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::repo::{Groups, Repository, can_rebuild, list_packs, merge_small_groups};
use crate::store::{MemoryStore, ObservedStore, Store, StoreError, StoreErrorKind};

const LARGE: Parity = Parity::Groups { members: 40, shards: 2 };

/// Snapshots and what they hold.
type Contents = Vec<(String, Vec<u8>)>;

/// A repository with small groups that the next ingest merges.
fn unmerged(encrypted: bool, ingests: u64) -> (Lab, Arc<MemoryStore>, Contents) {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(store.clone(), encrypted, 40);
    // Groups of one pack are full and stay.
    lab.parity = Parity::Groups { members: 1, shards: 2 };
    lab.create().unwrap();
    let mut snapshots = Vec::new();
    for number in 0..ingests {
        let content = noise(number, 20_000);
        snapshots.push((lab.ingest(&[("a", &content)]).unwrap().manifest.id.to_string(), content));
    }
    set_parity(&mut lab.open().unwrap(), LARGE).unwrap();
    (lab, store, snapshots)
}

fn assert_restores(lab: &Lab, snapshots: &[(String, Vec<u8>)], what: &str) {
    let repository = lab.open().unwrap();
    for (id, content) in snapshots {
        let items = lab.restore_from(&repository, id, &SilentMonitor);
        assert!(items.unwrap_or_else(|error| panic!("{what}: {error}"))["a"] == *content, "{what}");
    }
}

/// Each of these packs comes back if it alone is lost, from a group of which no shard is missing.
fn assert_protected(lab: &Lab, store: &MemoryStore, packs: &BTreeSet<PackId>, what: &str) {
    let groups = Groups::load(lab.open().unwrap().parity_store()).unwrap();
    for pack in packs {
        let is_complete = groups.of_pack(pack).any(|stored| stored.missing().next().is_none());
        assert!(is_complete, "{what}: no complete group protects pack {pack}");
        let copy = Arc::new(store.fork());
        assert!(copy.remove(&names::pack(*pack)), "{what}: pack {pack} is gone");
        let repository = lab.on(copy).open().unwrap();
        assert!(can_rebuild(repository.parity_store(), &groups, *pack).unwrap(), "{what}: pack {pack}");
    }
}

fn packs(repository: &Repository) -> BTreeSet<PackId> {
    list_packs(repository).unwrap()
}

fn groups_of(lab: &Lab) -> usize {
    Groups::load(lab.open().unwrap().parity_store()).unwrap().all().len()
}

/// As a prune leaves it that was killed behind its deletions.
#[test]
fn a_group_of_which_a_pack_is_gone_is_not_merged_and_takes_no_protection_from_others() {
    let (lab, store, snapshots) = unmerged(false, 5);
    let gone: Vec<PackId> = packs(&lab.open().unwrap()).into_iter().take(2).collect();
    gone.iter().for_each(|pack| assert!(store.remove(&names::pack(*pack))));
    let before = groups_of(&lab);
    assert!(merge_small_groups(&lab.open().unwrap(), DomainId::MAIN).unwrap() > 1);
    assert!(groups_of(&lab) < before);
    assert_protected(&lab, &store, &packs(&lab.open().unwrap()), "beside packs that are gone");
    // Their own groups still bring them back.
    assert_restores(&lab, &snapshots, "with packs that are gone");
}

#[test]
fn writers_that_merge_at_once_leave_every_pack_protected() {
    for round in 0..if is_long() { 60 } else { 4 } {
        let (lab, store, mut snapshots) = unmerged(round % 2 == 1, 5);
        let more: Vec<(String, Vec<u8>)> = std::thread::scope(|scope| {
            let write = |writer: u64| {
                let lab = lab.clone();
                move || {
                    let ingest = |number| {
                        let content = noise(1000 * writer + number, 20_000);
                        (lab.ingest(&[("a", &content)]).unwrap().manifest.id.to_string(), content)
                    };
                    (0..8).map(ingest).collect::<Vec<_>>()
                }
            };
            let writers: Vec<_> = (1..=3).map(|writer| scope.spawn(write(writer))).collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        snapshots.extend(more);
        let what = format!("round {round}");
        assert_restores(&lab, &snapshots, &what);
        assert_protected(&lab, &store, &packs(&lab.open().unwrap()), &what);
        assert!(groups_of(&lab) < 20, "{what}: nothing was merged");
    }
}

#[test]
fn a_reader_that_rebuilds_while_groups_are_merged_gets_the_right_bytes() {
    let (lab, base, snapshots) = unmerged(true, 6);
    let (id, content) = &snapshots[2];
    // What is lost: all packs, one at a time, so that any kind is among them.
    for lost in packs(&lab.open().unwrap()) {
        let damaged = Arc::new(base.fork());
        assert!(damaged.corrupt(&names::pack(lost), |bytes| bytes[200..3000].fill(0)));
        let observed = Arc::new(ObservedStore::new(Arc::new(damaged.fork())));
        let restore = |store: Arc<dyn Store>| {
            let lab = lab.on(store);
            lab.restore_from(&lab.open().unwrap(), id, &SilentMonitor).unwrap()
        };
        restore(observed.clone());
        let calls = observed.calls().len();
        for moment in (0..calls).step_by(if is_long() { 1 } else { 5 }) {
            let store = Arc::new(damaged.fork());
            let observed = Arc::new(ObservedStore::new(store.clone()));
            let other = lab.on(store);
            let is_done = AtomicBool::new(false);
            observed.set_before(move |call| {
                if call.index == moment && !is_done.swap(true, Ordering::Relaxed) {
                    let merged = merge_small_groups(&other.open().unwrap(), DomainId::MAIN);
                    assert!(merged.unwrap() > 0);
                }
                Ok(())
            });
            assert!(
                restore(observed)["a"] == *content,
                "pack {lost}, merged before call {moment} of {calls}"
            );
        }
    }
}

#[test]
fn an_ingest_that_is_killed_while_it_merges_leaves_what_was_acknowledged_protected() {
    for encrypted in [false, true] {
        let (lab, base, snapshots) = unmerged(encrypted, 6);
        let before = packs(&lab.open().unwrap());
        let content = noise(77, 20_000);
        let ingest = |store: Arc<dyn Store>| lab.on(store).ingest(&[("a", &content)]);
        let observed = Arc::new(ObservedStore::new(Arc::new(base.fork())));
        ingest(observed.clone()).unwrap();
        let calls = observed.calls().len();
        let mut dice = Dice::new(41);
        for moment in (0..=calls).filter(|_| is_long() || dice.one_in(3)) {
            let store = Arc::new(base.fork());
            let observed = Arc::new(ObservedStore::new(store.clone()));
            observed.set_before(move |call| {
                if call.index < moment {
                    return Ok(());
                }
                Err(StoreError::new(StoreErrorKind::Failed, call.operation, &call.name, "killed"))
            });
            let done = ingest(observed);
            let what = format!("encrypted: {encrypted}, killed at call {moment} of {calls}");
            // No lock outlives its process.
            let store = Arc::new(store.fork());
            let lab = lab.on(store.clone());
            let mut kept = before.clone();
            let mut snapshots = snapshots.clone();
            if let Ok(report) = done {
                kept.extend(packs(&lab.open().unwrap()));
                snapshots.push((report.manifest.id.to_string(), content.clone()));
            }
            assert_protected(&lab, &store, &kept, &what);
            assert_restores(&lab, &snapshots[snapshots.len() - 2..], &what);
            // Whoever comes next merges what is left, and nothing is lost by that either.
            let next = noise(78, 20_000);
            snapshots.push((lab.ingest(&[("a", &next)]).unwrap().manifest.id.to_string(), next));
            assert_protected(&lab, &store, &kept, &what);
            assert_restores(&lab, &snapshots, &what);
        }
    }
}
