//! Stores that may show what is old: nothing is deleted, and nobody taken for dead, before all have seen what counts.

use std::io::Read;
use std::sync::{Arc, Mutex};

use super::support::{Lab, START, item, noise};
use crate::base::testing::ManualClock;
use crate::base::{SessionId, SilentMonitor};
use crate::engine::{IngestOptions, PruneOptions, PruneReport, UnlockOptions, ingest, prune, unlock};
use crate::error::Error;
use crate::format::names;
use crate::repo::{Session, end_session, forget_snapshots, load_manifests};
use crate::store::{Capabilities, Durability, MemoryStore, Store};

const DAY_MS: i64 = 86_400_000;

/// A lab on a weak store; one clock for all.
fn weak_lab() -> (Arc<MemoryStore>, Arc<ManualClock>, Lab) {
    let clock = Arc::new(ManualClock::new(START));
    let weak = Capabilities { is_local: false, is_weak: true };
    let store = MemoryStore::new().with_clock(Arc::<ManualClock>::clone(&clock)).with_capabilities(weak);
    let store = Arc::new(store);
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), false, 1);
    lab.environment.clock = Arc::<ManualClock>::clone(&clock);
    lab.create().unwrap();
    (store, clock, lab)
}

fn run(lab: &Lab) -> PruneReport {
    prune(&lab.open().unwrap(), &PruneOptions::default(), &SilentMonitor).unwrap()
}

fn count(store: &MemoryStore, start: &str, end: &str) -> usize {
    store
        .names()
        .iter()
        .filter(|name| name.as_str().starts_with(start) && name.as_str().ends_with(end))
        .count()
}

fn packs(store: &MemoryStore) -> usize {
    count(store, names::PACKS, ".pack")
}

fn records(store: &MemoryStore) -> usize {
    count(store, "records/retire/", ".json")
}

fn voids(store: &MemoryStore) -> usize {
    store.names().iter().filter(|name| name.as_str().contains("void")).count()
}

/// Two snapshots, of which one is forgotten.
fn half_forgotten(lab: &Lab) -> SessionId {
    let kept = lab.ingest(&[("a", &noise(1, 200_000))]).unwrap().manifest.id;
    let gone = lab.ingest(&[("b", &noise(2, 200_000))]).unwrap().manifest.id;
    forget_snapshots(&lab.open().unwrap(), &[gone], &SilentMonitor).unwrap();
    kept
}

#[test]
fn packs_go_seven_days_after_they_were_retired_and_the_record_when_all_have_seen_that() {
    let (store, clock, lab) = weak_lab();
    let kept = half_forgotten(&lab);
    let before = packs(&store);
    for day in 0..7 {
        let report = run(&lab);
        assert!(report.delayed_bytes > 200_000 && report.freed_bytes == 0, "day {day}: {report:?}");
        assert_eq!((packs(&store), records(&store)), (before, 1), "day {day}");
        clock.advance_ms(DAY_MS);
    }
    let report = run(&lab);
    assert!(report.removed_packs > 2 && report.delayed_bytes == 0, "{report:?}");
    assert!(packs(&store) < before);
    for _ in 7..66 {
        assert_eq!((run(&lab).removed_packs, records(&store)), (0, 1));
        clock.advance_ms(DAY_MS);
    }
    run(&lab);
    assert_eq!(records(&store), 0);
    let restored = lab.restore_from(&lab.open().unwrap(), &kept.to_hex(), &SilentMonitor).unwrap();
    assert_eq!(restored["a"], noise(1, 200_000));
}

#[test]
fn a_record_of_long_ago_lets_nothing_go_and_is_renewed() {
    let (store, clock, lab) = weak_lab();
    half_forgotten(&lab);
    let before = packs(&store);
    run(&lab);
    clock.advance_ms(61 * DAY_MS);
    assert!(run(&lab).delayed_bytes > 200_000);
    assert_eq!((packs(&store), records(&store)), (before, 2));
    clock.advance_ms(8 * DAY_MS);
    assert!(run(&lab).removed_packs > 2);
}

/// Time passes while it is read; the session's id at its end is kept.
struct Slow<'a> {
    left: &'a [u8],
    clock: &'a ManualClock,
    days: i64,
    store: &'a MemoryStore,
    seen: &'a Mutex<Vec<SessionId>>,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = self.left.read(buffer)?;
        if len == 0 {
            self.clock.advance_ms(std::mem::take(&mut self.days) * DAY_MS);
            let names = self.store.names();
            let ids = names.iter().filter(|name| name.as_str().starts_with("locks/"));
            self.seen.lock().unwrap().extend(ids.filter_map(|name| names::id_of::<SessionId>(name, "json")));
        }
        Ok(len)
    }
}

/// The sessions that were open while an ingest read for so many days, and its report's id.
fn ingest_slowly(days: i64) -> (Vec<SessionId>, SessionId) {
    let (store, clock, lab) = weak_lab();
    let content = noise(3, 100_000);
    let seen = Mutex::default();
    let slow = Slow { left: &content, clock: &clock, days, store: &store, seen: &seen };
    let repository = lab.open().unwrap();
    let report = ingest(&repository, vec![item("a", slow)], &IngestOptions::default(), &SilentMonitor);
    let id = report.unwrap().manifest.id;
    assert_eq!(lab.restore_latest().unwrap()["a"], content);
    assert_eq!(load_manifests(&repository, &SilentMonitor).unwrap().snapshots.len(), 1);
    let seen = seen.lock().unwrap().clone();
    (seen, id)
}

#[test]
fn a_session_of_more_than_three_days_commits_under_a_new_one() {
    let (seen, id) = ingest_slowly(2);
    assert_eq!(seen, [id; 1]);
    let (seen, id) = ingest_slowly(4);
    assert!(!seen.is_empty() && !seen.contains(&id));
}

#[test]
fn a_session_counts_as_dead_when_it_cannot_commit_any_more_and_force_ends_none_before() {
    let (store, clock, lab) = weak_lab();
    let repository = lab.open().unwrap();
    let keys = repository.keys.domain(repository.keys.own_domain()).unwrap().unwrap();
    let session = Session::register(&repository, &keys, "ingest").unwrap();
    // A prune that was killed.
    Session::register(&repository, &keys, "maintenance: prune").unwrap();
    let is_open = || store.names().contains(&names::session(session.id));
    clock.advance_ms(4 * DAY_MS);
    assert!(prune(&lab.open().unwrap(), &PruneOptions::default(), &SilentMonitor).is_err());
    let report = unlock(&lab.open().unwrap(), UnlockOptions { force: true }, &SilentMonitor).unwrap();
    assert!(is_open() && report.ended.is_empty() && report.left.len() == 2);
    clock.advance_ms(2 * DAY_MS);
    run(&lab);
    assert!(!is_open() && voids(&store) == 2);
}

#[test]
fn a_manifest_that_came_too_late_is_no_snapshot_once_its_session_was_ended() -> Result<(), Error> {
    for (days, is_snapshot) in [(2, true), (4, false)] {
        let (store, clock, lab) = weak_lab();
        let id = lab.ingest(&[("a", &noise(4, 10_000))])?.manifest.id;
        // As a kill after the put of the manifest leaves it.
        let manifest = store.get(&names::manifest(id), 1 << 20).unwrap();
        store.remove(&names::manifest(id));
        store.remove(&names::replica(&names::manifest(id)));
        store.put(&names::session(id), b"{}", Durability::Durable).unwrap();
        clock.advance_ms(days * DAY_MS);
        store.put(&names::manifest(id), &manifest, Durability::Durable).unwrap();
        clock.advance_ms(DAY_MS);
        end_session(&lab.open().unwrap(), id)?;
        let found = load_manifests(&lab.open().unwrap(), &SilentMonitor)?;
        assert_eq!(found.snapshots.len() == 1, is_snapshot, "after {days} days");
    }
    Ok(())
}
