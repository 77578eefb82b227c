//! Stores with hardly any room: those who make some may spend the reserve, and nobody else.

use std::sync::Arc;

use super::scenes::bytes_of;
use super::support::{Lab, noise};
use crate::base::{NoPins, SessionId, SilentMonitor};
use crate::engine::{
    Filter, PruneOptions, RepairOptions, RetentionRules, VerifyLevel, VerifyOptions, VerifyReport, prune,
    repair, snapshots, verify,
};
use crate::error::{Error, ErrorCode};
use crate::format::names;
use crate::repo::{Repository, forget_snapshots};
use crate::store::{MemoryStore, ObservedStore, Store, StoreError, StoreErrorKind, StoreOperation};

/// What the tests' reserve is long.
const RESERVE: u64 = 64 << 10;
/// A file takes whole blocks.
const BLOCK: u64 = 512;

/// Snapshots with their content.
type Stored = Vec<(SessionId, Vec<u8>)>;

fn used(store: &MemoryStore) -> u64 {
    bytes_of(store).values().map(|bytes| (bytes.len() as u64).next_multiple_of(BLOCK)).sum()
}

fn reserve(store: &MemoryStore) -> Option<u64> {
    store.head(&names::reserve()).unwrap()
}

/// The store with room for so many bytes more.
fn with_room(store: &Arc<MemoryStore>, room: u64) -> Arc<ObservedStore> {
    let capacity = used(store) + room;
    let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(store)));
    let inner = Arc::clone(store);
    observed.set_before(move |call| {
        let is_put = matches!(call.operation, StoreOperation::Put | StoreOperation::Lock) && call.len > 0;
        if is_put && used(&inner) + call.len.next_multiple_of(BLOCK) > capacity {
            return Err(StoreError::new(StoreErrorKind::Full, call.operation, &call.name, "no space"));
        }
        Ok(())
    });
    observed
}

fn scene(is_encrypted: bool) -> (Arc<MemoryStore>, Lab, Stored) {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), is_encrypted, 5);
    lab.create().unwrap();
    let contents = (0..4).map(|seed| noise(seed, 60_000 + 20_000 * seed as usize));
    let stored = contents.map(|content| (lab.ingest(&[("a", &content)]).unwrap().manifest.id, content));
    let stored = stored.collect();
    (store, lab, stored)
}

fn check(lab: &Lab, expected: &[(SessionId, Vec<u8>)], what: &str) {
    let repository = lab.open().unwrap();
    let found = snapshots(&repository, &NoPins, &SilentMonitor).unwrap();
    assert_eq!(found.matching(&Filter::default()).count(), expected.len(), "{what}");
    for (id, content) in expected {
        let restored = lab.restore_from(&repository, &id.to_hex(), &SilentMonitor).unwrap();
        assert!(restored["a"] == *content, "{what}");
    }
    let report = verify_full(&repository);
    assert!(report.errors.is_empty(), "{what}: {:?}", report.errors);
}

fn verify_full(repository: &Repository) -> VerifyReport {
    let level = VerifyLevel::Full;
    let options = VerifyOptions { level, sample_ppm: None, max_age_ms: None, threads: 1, pins: &NoPins };
    verify(repository, &options, &SilentMonitor).unwrap()
}

#[test]
fn however_little_room_is_left_a_prune_makes_more_and_sets_the_reserve_aside_again() {
    for is_encrypted in [false, true] {
        let (base, lab, stored) = scene(is_encrypted);
        assert_eq!(reserve(&base), Some(RESERVE));
        for room in (0..12).map(|number| number * number * BLOCK) {
            let what = format!("{room} bytes of room, encrypted: {is_encrypted}");
            let store = Arc::new(base.fork());
            let full = lab.on(with_room(&store, room));
            let before = used(&store);
            let rules = RetentionRules { last: 1, ..RetentionRules::default() };
            let options = PruneOptions { rules, ..PruneOptions::default() };
            let report = prune(&full.open().unwrap(), &options, &SilentMonitor);
            let report = report.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(report.removed_snapshots.len(), 3, "{what}");
            assert!(used(&store) + 100_000 < before, "{what}: {} instead of {before}", used(&store));
            assert_eq!(reserve(&store), Some(RESERVE), "{what}");
            check(&lab.on(store), &stored[3..], &what);
        }
    }
}

#[test]
fn a_snapshot_is_forgotten_without_room_and_nobody_else_spends_the_reserve() {
    let (store, lab, stored) = scene(true);
    let full = lab.on(with_room(&store, 0));
    let error = full.ingest(&[("a", &noise(9, 50_000))]).map(drop).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Full);
    assert!(
        matches!(repair(&full.open().unwrap(), &RepairOptions { dry_run: false, threads: 1 }, &SilentMonitor), Err(error) if error.is_full())
    );
    check(&full, &stored, "what only reads needs no room");
    assert_eq!(reserve(&store), Some(RESERVE));
    let done = forget_snapshots(&full.open().unwrap(), &[stored[0].0], &SilentMonitor).unwrap();
    assert_eq!(done.forgotten, [stored[0].0]);
    assert!(reserve(&store).is_some());
    check(&full, &stored[1..], "forgotten");
}

#[test]
fn a_prune_that_is_killed_with_the_reserve_spent_leaves_the_next_one_room() {
    let (base, lab, stored) = scene(false);
    let rules = || RetentionRules { last: 1, ..RetentionRules::default() };
    for number in 0.. {
        let store = Arc::new(base.fork());
        let (full, capacity) = (with_room(&store, 0), used(&store));
        let dying = Arc::new(ObservedStore::new(Arc::<ObservedStore>::clone(&full)));
        dying.set_before(move |call| {
            let is_dead = call.index >= number * 7;
            let error = || StoreError::new(StoreErrorKind::Failed, call.operation, &call.name, "killed");
            if is_dead { Err(error()) } else { Ok(()) }
        });
        let options = PruneOptions { rules: rules(), ..PruneOptions::default() };
        let killed = lab.on(dying).open().map_err(Error::from);
        let killed = killed.and_then(|repository| prune(&repository, &options, &SilentMonitor));
        let next = lab.on(full);
        let what = format!("killed at call {}", number * 7);
        let done = prune(&next.open().unwrap(), &options, &SilentMonitor);
        done.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(reserve(&store), Some(RESERVE), "{what}");
        assert!(used(&store) + 100_000 < capacity, "{what}");
        check(&next, &stored[3..], &what);
        if killed.is_ok() {
            return;
        }
    }
}

#[test]
fn without_a_reserve_a_full_store_is_told_and_the_next_prune_with_room_sets_one_aside() {
    let (store, lab, stored) = scene(true);
    assert!(store.remove(&names::reserve()));
    let options = PruneOptions::default();
    let full = lab.on(with_room(&store, 0));
    let error = prune(&full.open().unwrap(), &options, &SilentMonitor).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Full);
    assert_eq!(reserve(&store), None);
    // Some of it is better than nothing.
    let little = lab.on(with_room(&store, RESERVE / 2));
    prune(&little.open().unwrap(), &options, &SilentMonitor).unwrap();
    assert!(reserve(&store).is_some_and(|len| len < RESERVE));
    prune(&lab.open().unwrap(), &options, &SilentMonitor).unwrap();
    assert_eq!(reserve(&store), Some(RESERVE));
    check(&lab, &stored, "nothing went");
}
