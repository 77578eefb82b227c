//! Fences and voids, and what a repair makes of their loss: no snapshot that was acknowledged is hidden by one, and none
//! that was not comes into being.

use std::sync::Arc;

use super::scenes::{bytes_of, difference, run_repair};
use super::support::{ADMIN, Lab, START, noise};
use crate::base::{DomainId, NoPins, ObjectName, RecordId, SessionId, SilentMonitor};
use crate::engine::{Filter, RepairKind, snapshots};
use crate::format::names;
use crate::format::signed::{Fact, Forget};
use crate::repo::{Session, end_session};
use crate::store::{Capabilities, Durability, MemoryStore, Store};

fn lab(seed: u64) -> (Lab, Arc<MemoryStore>, SessionId) {
    let local = Capabilities { is_local: true, is_weak: false };
    let store = Arc::new(MemoryStore::new().with_capabilities(local));
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, seed);
    lab.create().unwrap();
    let snapshot = lab.ingest(&[("a", &noise(seed, 50_000))]).unwrap().manifest.id;
    (lab, store, snapshot)
}

fn is_listed(lab: &Lab, snapshot: SessionId) -> bool {
    let repository = lab.open_with(ADMIN, &NoPins, &SilentMonitor).unwrap();
    let found = snapshots(&repository, &NoPins, &SilentMonitor).unwrap();
    found.matching(&Filter::default()).any(|loaded| loaded.manifest.id == snapshot)
}

/// What a kill between a session's fence and its manifest leaves, and the manifest that is late.
fn withdrawn(lab: &Lab, store: &MemoryStore, session: SessionId) -> (ObjectName, Vec<u8>) {
    let name = names::manifest(session);
    let late = store.get(&name, u64::MAX).unwrap();
    assert!(store.remove(&name) && store.remove(&names::replica(&name)));
    end_session(&lab.open().unwrap(), session).unwrap();
    assert!(store.head(&names::void(session)).unwrap().is_some());
    (name, late)
}

#[test]
fn a_void_that_is_gone_is_signed_again_so_that_no_late_manifest_becomes_a_snapshot() {
    let (lab, store, session) = lab(1);
    let (name, late) = withdrawn(&lab, &store, session);
    assert!(store.remove(&names::void(session)));
    let report = run_repair(&lab).unwrap();
    assert_eq!((report.steps.len(), report.count(RepairKind::Void)), (1, 1), "{report:?}");
    assert!(!report.found_damage());
    assert!(run_repair(&lab).unwrap().steps.is_empty());
    store.put(&name, &late, Durability::Durable).unwrap();
    assert!(!is_listed(&lab, session));
}

#[test]
fn a_fence_of_a_snapshot_that_exists_or_was_forgotten_needs_no_void() {
    let (lab, store, session) = lab(2);
    let repository = lab.open().unwrap();
    // Its process died after the commit.
    end_session(&repository, session).unwrap();
    assert!(run_repair(&lab).unwrap().steps.is_empty());
    assert!(is_listed(&lab, session));
    let forget = Forget { created: START, snapshots: vec![session] };
    let (name, bytes) = forget
        .seal_record(repository.config.repository, RecordId([1; 16]), repository.keys.signer())
        .unwrap();
    store.put(&name, &bytes, Durability::Durable).unwrap();
    store.put(&names::replica(&name), &bytes, Durability::Durable).unwrap();
    let manifest = names::manifest(session);
    assert!(store.remove(&names::replica(&manifest)) && store.remove(&manifest));
    let before = bytes_of(&store);
    assert!(run_repair(&lab).unwrap().steps.is_empty());
    assert_eq!(difference(&before, &bytes_of(&store)), None);
    assert_eq!(difference(&bytes_of(&store), &before), None);
}

/// The replica is written after the session saw that it was not fenced: it proves the snapshot.
#[test]
fn a_snapshot_of_which_only_the_replica_is_left_is_not_voided_with_its_dead_session() {
    let (lab, store, session) = lab(3);
    let repository = lab.open().unwrap();
    let keys = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    // It was killed before it could delete its object.
    drop(Session::register_as(session, &repository, &keys, "ingest", &[]).unwrap());
    assert!(store.remove(&names::manifest(session)));
    let report = run_repair(&lab).unwrap();
    assert!(report.count(RepairKind::Original) == 1 && report.count(RepairKind::Session) == 1, "{report:?}");
    assert_eq!(store.head(&names::void(session)).unwrap(), None);
    assert!(is_listed(&lab, session));
}

#[test]
fn a_damaged_fence_or_void_does_not_cost_the_snapshot_of_which_only_the_replica_is_left() {
    for stop in [names::fence, names::void] {
        let (lab, store, session) = lab(4);
        store.put(&stop(session), b"{}", Durability::Durable).unwrap();
        assert!(store.remove(&names::manifest(session)));
        let report = run_repair(&lab).unwrap();
        assert!(!report.is_lossy(), "{report:?}");
        assert_eq!(store.head(&names::void(session)).unwrap(), None);
        assert!(is_listed(&lab, session), "{}", stop(session));
    }
}
