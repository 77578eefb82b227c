//! An error injected at every call, of each kind, before and after it was done.

use std::sync::Arc;

use super::support::{Lab, noise};
use crate::base::SilentMonitor;
use crate::engine::{Filter, snapshots};
use crate::store::{MemoryStore, ObservedStore, Store, StoreErrorKind};

const KINDS: [StoreErrorKind; 6] = [
    StoreErrorKind::Failed,
    StoreErrorKind::Full,
    StoreErrorKind::Denied,
    StoreErrorKind::Network,
    StoreErrorKind::NotFound,
    StoreErrorKind::AlreadyExists,
];

struct Case {
    base: MemoryStore,
    lab: Lab,
    old: Vec<u8>,
    new: Vec<u8>,
}

fn case() -> Case {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 3);
    lab.create().unwrap();
    let old = noise(1, 150_000);
    lab.ingest(&[("a", &old)]).unwrap();
    let mut new = old.clone();
    new.truncate(100_000);
    new.extend(noise(2, 100_000));
    Case { base: store.fork(), lab, old, new }
}

/// What must hold after an ingest that failed or not.
fn check(case: &Case, store: &Arc<dyn Store>, acknowledged: bool, what: &str) {
    let lab = case.lab.on(Arc::clone(store));
    let repository = lab.open().unwrap();
    let found = snapshots(&repository, &crate::base::NoPins, &SilentMonitor).unwrap();
    assert!(found.damaged().is_empty(), "{what}: {:?}", found.damaged());
    let ids: Vec<String> =
        found.matching(&Filter::default()).map(|loaded| loaded.manifest.id.to_string()).collect();
    assert!(
        if acknowledged { ids.len() == 2 } else { (1..=2).contains(&ids.len()) },
        "{what}: {} snapshots",
        ids.len()
    );
    for (id, expected) in ids.iter().zip([&case.old, &case.new]) {
        let restored = lab.restore_from(&repository, id, &SilentMonitor);
        assert!(
            restored.unwrap_or_else(|error| panic!("{what}: {error}"))["a"] == *expected,
            "{what}: wrong bytes"
        );
    }
    let next =
        lab.ingest(&[("a", &case.new)]).unwrap_or_else(|error| panic!("{what}: the next ingest: {error}"));
    let id = next.manifest.id.to_string();
    assert!(lab.restore_from(&repository, &id, &SilentMonitor).unwrap()["a"] == case.new, "{what}: next");
}

#[test]
fn an_error_at_any_call_of_an_ingest_loses_nothing() {
    let case = case();
    let counting = Arc::new(ObservedStore::new(Arc::new(case.base.fork())));
    case.lab.on(Arc::<ObservedStore>::clone(&counting)).ingest(&[("a", &case.new)]).unwrap();
    let calls = counting.calls().len();
    for index in 0..calls {
        for kind in KINDS {
            for when_done in [false, true] {
                let inner: Arc<dyn Store> = Arc::new(case.base.fork());
                let store = Arc::new(ObservedStore::new(Arc::clone(&inner)));
                if when_done {
                    store.fail_nth_when_done(index, kind);
                } else {
                    store.fail_nth(index, kind);
                }
                let result = case.lab.on(Arc::<ObservedStore>::clone(&store)).ingest(&[("a", &case.new)]);
                let call = store.calls().get(index).cloned();
                let what =
                    format!("{kind:?} at {call:?}, done: {when_done}, result {:?}", result.as_ref().err());
                check(&case, &inner, result.is_ok(), &what);
            }
        }
    }
}

#[test]
fn an_error_at_any_call_of_init_leaves_a_place_where_init_works() {
    let counting = Arc::new(ObservedStore::new(Arc::new(MemoryStore::new())));
    let lab = Lab::new(Arc::<ObservedStore>::clone(&counting), true, 4);
    lab.create().unwrap();
    for index in 0..counting.calls().len() {
        for kind in KINDS {
            for when_done in [false, true] {
                let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
                let store = Arc::new(ObservedStore::new(Arc::clone(&inner)));
                if when_done {
                    store.fail_nth_when_done(index, kind);
                } else {
                    store.fail_nth(index, kind);
                }
                let what = format!("{kind:?} at call {index}, done: {when_done}");
                let created = lab.on(Arc::<ObservedStore>::clone(&store)).create();
                let lab = lab.on(inner);
                if created.is_err() && lab.open().is_err() {
                    lab.create().unwrap_or_else(|error| panic!("{what}: init again: {error}"));
                }
                let content = noise(1, 1000);
                lab.ingest(&[("a", &content)]).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(lab.restore_latest().unwrap()["a"], content, "{what}");
            }
        }
    }
}

#[test]
fn a_full_store_is_left_without_what_the_failed_ingest_wrote() {
    let case = case();
    let before = case.base.names().len();
    let inner = Arc::new(case.base.fork());
    let store = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&inner)));
    store.set_before(|call| {
        let is_pack = call.operation == crate::store::StoreOperation::Put && call.name.ends_with(".pack");
        if is_pack && call.index > 30 {
            return Err(crate::store::StoreError::new(
                StoreErrorKind::Full,
                call.operation,
                &call.name,
                "no space",
            ));
        }
        Ok(())
    });
    let error = case.lab.on(Arc::<ObservedStore>::clone(&store)).ingest(&[("a", &case.new)]).unwrap_err();
    assert_eq!(error.code(), crate::error::ErrorCode::Full, "{error}");
    assert_eq!(inner.names().len(), before, "{:?}", inner.names());
}

/// The store says that it is full, but the segment is visible, and another session uses what it names.
#[test]
fn packs_that_a_segment_may_name_are_never_removed() {
    let case = case();
    let inner: Arc<dyn Store> = Arc::new(case.base.fork());
    let store = Arc::new(ObservedStore::new(Arc::clone(&inner)));
    store.set_after(|call| {
        let is_segment = call.operation == crate::store::StoreOperation::Put && call.name.ends_with(".seg");
        if is_segment {
            return Err(crate::store::StoreError::new(
                StoreErrorKind::Full,
                call.operation,
                &call.name,
                "no space",
            ));
        }
        Ok(())
    });
    case.lab.on(Arc::<ObservedStore>::clone(&store)).ingest(&[("a", &case.new)]).unwrap_err();
    let lab = case.lab.on(inner);
    let other = lab.ingest(&[("a", &case.new)]).unwrap().manifest;
    assert_eq!(other.new_chunks, 0, "the visible segment is used");
    case.lab.on(Arc::<ObservedStore>::clone(&store)).ingest(&[("a", &noise(9, 50_000))]).unwrap_err();
    assert!(
        lab.restore_from(&lab.open().unwrap(), &other.id.to_hex(), &SilentMonitor).unwrap()["a"] == case.new
    );
}
