//! Forgetting, pinning, and both at once: no snapshot goes without a signed record, and no pinned one goes.

use std::sync::Arc;

use super::support::{ADMIN, Lab, noise};
use crate::base::{DomainId, NoPins, SessionId, SilentMonitor};
use crate::engine::{Filter, Selector, snapshots};
use crate::error::{Error, ErrorCode};
use crate::format::names;
use crate::repo::{Forgotten, RepoError, Session, forget_snapshots};
use crate::store::{Durability, MemoryStore, ObservedStore, Store, StoreErrorKind, StoreOperation};

const WRITER: [u8; 32] = [8; 32];

fn lab_of(snapshots: u64) -> (Arc<MemoryStore>, Lab, Vec<SessionId>) {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 5);
    lab.create().unwrap();
    let ids = (0..snapshots).map(|seed| lab.ingest(&[("a", &noise(seed, 2000))]).unwrap().manifest.id);
    let ids = ids.collect();
    (store, lab, ids)
}

fn forget(lab: &Lab, ids: &[SessionId]) -> Result<Forgotten, RepoError> {
    forget_snapshots(&lab.open().unwrap(), ids, &SilentMonitor)
}

fn listed(lab: &Lab) -> Vec<SessionId> {
    let found = snapshots(&lab.open().unwrap(), &NoPins, &SilentMonitor).unwrap();
    assert!(found.damaged().is_empty(), "{:?}", found.damaged());
    found.matching(&Filter::default()).map(|loaded| loaded.manifest.id).collect()
}

fn records(store: &MemoryStore, kind: &str) -> usize {
    store.names().iter().filter(|name| name.as_str().starts_with(&format!("records/{kind}/"))).count()
}

#[test]
fn a_record_and_its_replica_are_durable_before_a_replica_and_then_a_manifest_goes() {
    let (store, lab, ids) = lab_of(3);
    let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&store)));
    let done = forget(&lab.on(Arc::<ObservedStore>::clone(&observed)), &[ids[0], ids[1], ids[0]]).unwrap();
    let mut expected = vec![ids[0], ids[1]];
    expected.sort_unstable();
    assert_eq!((&done.forgotten, done.in_use.len()), (&expected, 0));
    let changes = observed
        .calls()
        .into_iter()
        .filter(|call| matches!(call.operation, StoreOperation::Put | StoreOperation::Delete));
    let changes: Vec<(StoreOperation, String)> = changes.map(|call| (call.operation, call.name)).collect();
    let record = store.names().into_iter().find(|name| name.as_str().starts_with("records/forget/")).unwrap();
    let put = |name: &crate::base::ObjectName| (StoreOperation::Put, name.to_string());
    let delete = |name: &crate::base::ObjectName| (StoreOperation::Delete, name.to_string());
    let mut order = vec![put(&record), put(&names::replica(&record))];
    for id in &expected {
        let manifest = names::manifest(*id);
        order.extend([delete(&names::replica(&manifest)), delete(&manifest)]);
    }
    assert_eq!(changes, order);
    assert_eq!(listed(&lab), [ids[2]]);
    assert_eq!(lab.restore_latest().unwrap()["a"], noise(2, 2000));
}

#[test]
fn an_error_at_any_call_of_a_forget_loses_nothing_silently_and_the_next_run_goes_on() {
    let (store, lab, ids) = lab_of(3);
    let base = store.fork();
    let counting = Arc::new(ObservedStore::new(Arc::new(base.fork())));
    forget(&lab.on(Arc::<ObservedStore>::clone(&counting)), &ids[..2]).unwrap();
    for index in 0..counting.calls().len() {
        for when_done in [false, true] {
            for kind in [StoreErrorKind::Failed, StoreErrorKind::NotFound, StoreErrorKind::AlreadyExists] {
                let copy: Arc<dyn Store> = Arc::new(base.fork());
                let failing = Arc::new(ObservedStore::new(Arc::clone(&copy)));
                if when_done {
                    failing.fail_nth_when_done(index, kind);
                } else {
                    failing.fail_nth(index, kind);
                }
                let on_failing = lab.on(Arc::<ObservedStore>::clone(&failing));
                let result = on_failing
                    .open()
                    .map(|repository| forget_snapshots(&repository, &ids[..2], &SilentMonitor).is_ok());
                let what = format!("call {index}, {kind:?}, when done: {when_done}: {result:?}");
                let lab = lab.on(copy);
                // `listed` fails if anything is gone without a record.
                let left = listed(&lab);
                assert!(left.contains(&ids[2]), "{what}");
                forget(&lab, &ids[..2]).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(listed(&lab), [ids[2]], "{what}");
            }
        }
    }
}

#[test]
fn a_pinned_snapshot_is_not_forgotten_and_neither_are_those_beside_it() {
    let (store, lab, ids) = lab_of(3);
    let repository = lab.open().unwrap();
    assert!(repository.pin(ids[1], &SilentMonitor).unwrap());
    assert!(!repository.pin(ids[1], &SilentMonitor).unwrap(), "it was pinned before");
    let error = Error::from(forget(&lab, &ids).unwrap_err());
    assert_eq!(error.code(), ErrorCode::Pinned);
    assert!(error.to_string().contains(&ids[1].to_hex()), "{error}");
    assert_eq!((listed(&lab), records(&store, "forget")), (ids.clone(), 0));
    assert!(repository.unpin(ids[1]).unwrap());
    assert!(!repository.unpin(ids[1]).unwrap());
    forget(&lab, &ids).unwrap();
    assert!(listed(&lab).is_empty());
}

#[test]
fn a_pin_holds_while_any_copy_of_its_record_is_there_however_damaged() {
    let (store, lab, ids) = lab_of(1);
    let repository = lab.open().unwrap();
    repository.pin(ids[0], &SilentMonitor).unwrap();
    let record = names::record(names::RecordKind::Pin, names::pin_of(ids[0]));
    assert!(store.remove(&record));
    assert!(repository.pinned().unwrap().contains(&ids[0]));
    let nonsense = b"nonsense";
    store.put(&record, nonsense, Durability::Durable).unwrap();
    store.corrupt(&names::replica(&record), |bytes| bytes.truncate(20));
    assert!(matches!(forget(&lab, &ids), Err(RepoError::Pinned { .. })));
    assert!(repository.unpin(ids[0]).unwrap(), "unpinning is the way out of a damaged record");
    assert_eq!(forget(&lab, &ids).unwrap().forgotten, ids);
}

#[test]
fn of_a_pin_and_a_forget_at_once_one_gives_way() {
    let (store, lab, ids) = lab_of(2);
    let base = store.fork();
    // The pin comes between any two calls of the forget, and the other way around.
    for pin_first in [false, true] {
        for index in 0.. {
            let copy = Arc::new(base.fork());
            let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&copy)));
            let inner = lab.on(Arc::<MemoryStore>::clone(&copy)).open().unwrap();
            let outer = lab.on(Arc::<ObservedStore>::clone(&observed)).open().unwrap();
            observed.clear_calls();
            let second = Arc::new(std::sync::Mutex::new(None));
            let (seen, id) = (Arc::clone(&second), ids[0]);
            observed.set_before(move |call| {
                if call.index == index {
                    let is_done = if pin_first {
                        forget_snapshots(&inner, &[id], &SilentMonitor).is_ok()
                    } else {
                        inner.pin(id, &SilentMonitor).is_ok()
                    };
                    *seen.lock().unwrap() = Some(is_done);
                }
                Ok(())
            });
            let first = if pin_first {
                outer.pin(id, &SilentMonitor).is_ok()
            } else {
                forget_snapshots(&outer, &[id], &SilentMonitor).is_ok()
            };
            let Some(second) = *second.lock().unwrap() else { break };
            let what = format!("call {index}, the pin first: {pin_first}: {first}, {second}");
            assert!(!(first && second), "{what}");
            let is_there = listed(&lab.on(Arc::<MemoryStore>::clone(&copy))).contains(&id);
            let (is_pinned, is_forgotten) = if pin_first { (first, second) } else { (second, first) };
            assert_eq!(is_there, !is_forgotten, "{what}");
            assert_eq!(outer.pinned().unwrap().contains(&id), is_pinned, "{what}");
            if !is_forgotten {
                assert_eq!(records(&copy, "forget"), 0, "{what}: it could hide a later loss");
            }
        }
    }
}

#[test]
fn what_is_being_restored_waits_for_the_next_run() {
    let (_, lab, ids) = lab_of(2);
    let repository = lab.open().unwrap();
    let domain = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let (reader, _) =
        Session::register_reader(&repository, domain, "restore", &[ids[0]], &SilentMonitor).unwrap();
    let done = forget(&lab, &ids).unwrap();
    assert_eq!((&done.forgotten[..], done.in_use[0].snapshot), (&ids[1..], ids[0]));
    assert!(done.in_use[0].holder.contains("'restore' by user@host"), "{:?}", done.in_use);
    assert_eq!(listed(&lab), [ids[0]]);
    // A reader whose process is gone reads nothing any more.
    drop(reader);
    assert_eq!(forget(&lab, &ids[..1]).unwrap().forgotten, [ids[0]]);
}

#[test]
fn the_loss_of_a_snapshot_is_accepted_by_its_whole_id() {
    let (store, lab, ids) = lab_of(3);
    for name in [names::manifest(ids[0]), names::replica(&names::manifest(ids[0]))] {
        assert!(store.remove(&name));
    }
    store.corrupt(&names::manifest(ids[1]), |bytes| bytes.truncate(100));
    assert!(store.remove(&names::replica(&names::manifest(ids[1]))));
    let repository = lab.open().unwrap();
    let found = snapshots(&repository, &NoPins, &SilentMonitor).unwrap();
    let filter = Filter::default();
    for id in &ids[..2] {
        assert!(found.damaged().contains_key(id));
        let whole = Selector::parse(&id.to_hex()).unwrap();
        let short = Selector::parse(&id.to_hex()[..12]).unwrap();
        assert!(matches!(found.find_id(&short, &filter), Err(Error::DamagedSnapshot { .. })));
        assert_eq!(found.find_id(&whole, &filter).unwrap(), *id);
    }
    forget(&lab, &ids[..2]).unwrap();
    assert_eq!(listed(&lab), [ids[2]]);
    let unknown = Selector::parse(&"0".repeat(32)).unwrap();
    assert_eq!(found.find_id(&unknown, &filter).unwrap_err().code(), ErrorCode::NotFound);
}

#[test]
fn a_write_key_neither_forgets_nor_pins() {
    let (_, lab, ids) = lab_of(1);
    lab.add_writer(WRITER, Some("main"));
    let repository = lab.open_with(WRITER, &NoPins, &SilentMonitor).unwrap();
    let refused = [
        forget_snapshots(&repository, &ids, &SilentMonitor).map(drop),
        repository.pin(ids[0], &SilentMonitor).map(drop),
        repository.unpin(ids[0]).map(drop),
    ];
    for result in refused {
        assert_eq!(Error::from(result.unwrap_err()).code(), ErrorCode::Capability);
    }
    assert!(lab.open_with(ADMIN, &NoPins, &SilentMonitor).unwrap().pinned().unwrap().is_empty());
    assert_eq!(listed(&lab), ids);
}
