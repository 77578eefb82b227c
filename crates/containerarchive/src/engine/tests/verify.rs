//! Verify: clean repositories are clean, every damaged or missing object is found and judged rightly, and nothing that is
//! only in flux is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::{Lab, START, noise, sql};
use crate::base::monitor::RecordingMonitor;
use crate::base::{
    DomainId, GroupId, Kind, Monitor, NoPins, ObjectName, PackId, RecordId, SegmentId, SessionId,
    SilentMonitor,
};
use crate::engine::{VerifyLevel, VerifyOptions, VerifyReport, verify, verify_without_key};
use crate::error::Error;
use crate::format::names::{self, RecordKind};
use crate::format::parity_level::Parity;
use crate::format::shard::{Group, Member};
use crate::format::signed::{Fact, Forget, Retire, VerifiedLevel};
use crate::repo::{Coverage, Groups, Locked, PackReader, StoredGroup, packs_of_segment, protect_packs};
use crate::store::{Durability, MemoryStore, ObservedStore, Store, StoreError, StoreErrorKind};

const LEVELS: [VerifyLevel; 3] = [VerifyLevel::Quick, VerifyLevel::Standard, VerifyLevel::Full];

fn options(level: VerifyLevel) -> VerifyOptions<'static> {
    VerifyOptions { level, sample_ppm: None, max_age_ms: None, threads: 1, pins: &NoPins }
}

fn lab(encrypted: bool, seed: u64) -> (Lab, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, seed);
    lab.create().unwrap();
    (lab, store)
}

fn run(lab: &Lab, level: VerifyLevel) -> VerifyReport {
    verify(&lab.open().unwrap(), &options(level), &SilentMonitor).unwrap()
}

fn run_without_key(lab: &Lab, level: VerifyLevel) -> VerifyReport {
    let locked = Locked::read(Arc::clone(&lab.store), lab.environment.clone(), &SilentMonitor).unwrap();
    verify_without_key(&locked, &options(level), &SilentMonitor).unwrap()
}

fn texts(report: &VerifyReport) -> Vec<String> {
    report.errors.iter().map(|error| format!("{}: {} {:?}", error.object, error.text, error.hurts)).collect()
}

fn assert_clean(report: &VerifyReport, when: &str) {
    assert!(report.is_clean() && report.lost.is_empty(), "{when}: {:#?}", texts(report));
}

#[test]
fn a_healthy_repository_is_clean_at_each_level_with_and_without_a_key() {
    for (encrypted, parity) in [
        (false, Parity::Off),
        (false, Parity::Groups { members: 4, shards: 2 }),
        (true, Parity::Off),
        (true, Parity::Groups { members: 4, shards: 2 }),
    ] {
        let store = Arc::new(MemoryStore::new());
        let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, 1);
        lab.parity = parity;
        lab.create().unwrap();
        assert_clean(&run(&lab, VerifyLevel::Full), "empty");
        lab.ingest(&[("a.sql", &sql(1, 400_000)), ("b", &noise(2, 300_000)), ("empty", b"")]).unwrap();
        lab.ingest(&[("a.sql", &sql(1, 300_000))]).unwrap();
        for threads in [1, 3] {
            for level in LEVELS {
                let when = format!("encrypted {encrypted}, parity {parity}, {level:?}, {threads} threads");
                let options = VerifyOptions { threads, ..options(level) };
                let monitor = RecordingMonitor::default();
                let report = verify(&lab.open().unwrap(), &options, &monitor).unwrap();
                assert_clean(&report, &when);
                assert_eq!(monitor.problems(), [], "{when}");
                assert_eq!(report.stats.snapshots_checked, 2);
                assert_eq!(report.stats.packs_checked > 0, level != VerifyLevel::Quick);
                assert_eq!(report.stats.chunks_checked > 0, level == VerifyLevel::Full);
                let report = run_without_key(&lab, level);
                assert_clean(&report, &format!("{when}, without a key"));
                assert!(!report.skipped.is_empty());
            }
        }
    }
}

/// What a report must say of an object that was damaged or removed.
struct Expected {
    is_repairable: bool,
    hurts: bool,
}

/// Small objects have a replica, packs have parity, everything else is a cache.
fn expected(name: &ObjectName) -> Expected {
    Expected { is_repairable: true, hurts: names::pack_id_of(name, "pack").is_some() }
}

/// What is done to an object, in words and in deed.
type Change<'a> = (&'a str, &'a dyn Fn(&MemoryStore));

fn check_each_object(encrypted: bool) {
    let (lab, store) = lab(encrypted, 2);
    lab.ingest(&[("a.sql", &sql(1, 100_000)), ("b", &noise(2, 150_000))]).unwrap();
    lab.ingest(&[("a.sql", &sql(1, 80_000))]).unwrap();
    // Nobody needs what is in the reserve.
    for name in store.names().into_iter().filter(|name| *name != names::reserve()) {
        let len = store.head(&name).unwrap().unwrap() as usize;
        let changes: [Change<'_>; 5] = [
            ("first byte", &|copy| assert!(copy.corrupt(&name, |bytes| bytes[0] ^= 1))),
            ("middle byte", &|copy| assert!(copy.corrupt(&name, |bytes| bytes[len / 2] ^= 0x10))),
            ("last byte", &|copy| assert!(copy.corrupt(&name, |bytes| bytes[len - 1] ^= 0x80))),
            ("cut", &|copy| assert!(copy.corrupt(&name, |bytes| bytes.truncate(len / 2)))),
            ("removed", &|copy| assert!(copy.remove(&name))),
        ];
        for (change, act) in changes {
            let copy = Arc::new(store.fork());
            act(&copy);
            let damaged = lab.on(Arc::<MemoryStore>::clone(&copy));
            for level in [VerifyLevel::Standard, VerifyLevel::Full] {
                let report = run(&damaged, level);
                let when = format!("{name}, {change}, {level:?}: {:#?}", texts(&report));
                let expected = expected(&name);
                assert!(!report.is_clean(), "{when}");
                assert_eq!(report.is_repairable(), expected.is_repairable, "{when}");
                // The name of a shard or segment that is gone is known to nobody.
                let is_named = report.errors.iter().any(|error| error.object == name.as_str());
                let is_nameless = change == "removed"
                    && (name.as_str().ends_with(".par") || name.as_str().ends_with(".seg"));
                assert!(is_named || is_nameless, "{when}");
                let hurts = report.errors.iter().any(|error| !error.hurts.is_empty());
                if change != "last byte" && change != "first byte" && change != "middle byte" {
                    assert_eq!(hurts, expected.hurts, "{when}");
                }
                assert_eq!(hurts, !report.lost.is_empty(), "{when}");
            }
            let is_content = name.as_str().starts_with("packs/") || name.as_str().starts_with("index/");
            let report = run_without_key(&damaged, VerifyLevel::Standard);
            let when = format!("{name}, {change}, without a key: {:#?}", texts(&report));
            if is_content && change == "removed" && name.as_str().ends_with(".seg") {
                continue;
            }
            assert!(!report.is_clean(), "{when}");
            assert!(report.is_repairable(), "{when}");
        }
    }
}

#[test]
fn each_object_that_is_damaged_or_gone_is_found_in_a_plain_repository() {
    check_each_object(false);
}

#[test]
fn each_object_that_is_damaged_or_gone_is_found_in_an_encrypted_repository() {
    check_each_object(true);
}

fn packs(store: &MemoryStore) -> Vec<PackId> {
    store.names().iter().filter_map(|name| names::pack_id_of(name, "pack")).collect()
}

#[test]
fn more_damage_than_parity_can_mend_is_told_with_the_bytes_that_are_lost() {
    for encrypted in [false, true] {
        let store = Arc::new(MemoryStore::new());
        let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, 3);
        lab.parity = Parity::Off;
        lab.create().unwrap();
        let (a, b) = (noise(1, 200_000), noise(2, 200_000));
        let first = lab.ingest(&[("a", &a)]).unwrap().manifest.id;
        let before: BTreeSet<PackId> = packs(&store).into_iter().collect();
        let second = lab.ingest(&[("a", &a), ("b", &b)]).unwrap().manifest.id;
        let of_second = packs(&store).into_iter().filter(|pack| !before.contains(pack));
        for pack in before.iter().copied().chain(of_second) {
            let copy = Arc::new(store.fork());
            assert!(copy.remove(&names::pack(pack)));
            let report = run(&lab.on(Arc::<MemoryStore>::clone(&copy)), VerifyLevel::Standard);
            assert!(!report.is_repairable(), "{:?}", texts(&report));
            let error = report.errors.iter().find(|error| error.pack == Some(pack)).unwrap();
            assert_eq!(error.object, names::pack(pack).to_string());
            let hurt: BTreeSet<_> =
                error.hurts.iter().map(|(id, item)| (*id, item.clone().unwrap())).collect();
            if before.contains(&pack) {
                assert_eq!(hurt, BTreeSet::from([(first, "a".to_owned()), (second, "a".to_owned())]));
            } else {
                assert!(hurt.iter().all(|(id, _)| *id == second), "{hurt:?}");
            }
            // What is told as lost is lost, and nothing else.
            for lost in &report.lost {
                let content = if lost.item == "a" { &a } else { &b };
                assert!(lost.from < lost.to && lost.to <= content.len() as u64, "{lost:?}");
            }
        }
    }
}

#[test]
fn a_damaged_chunk_hurts_the_bytes_that_it_has_and_no_others() {
    let store = Arc::new(MemoryStore::new());
    let mut lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 4);
    lab.parity = Parity::Off;
    lab.create().unwrap();
    let content = noise(1, 100_000);
    lab.ingest(&[("a", &content)]).unwrap();
    let repository = lab.open().unwrap();
    let data = packs(&store)
        .into_iter()
        .find(|pack| {
            let view = repository.view_any_pack(*pack).unwrap();
            view.table.records()[0].id.kind == Kind::Data
        })
        .unwrap();
    let view = repository.view_any_pack(data).unwrap();
    let (record, offset) = view.table.get(5).unwrap();
    let mut plain = Vec::new();
    let mut stored = vec![0; record.stored_len as usize];
    repository.read_pack(data, offset, &mut stored).unwrap();
    let domain = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    PackReader::new(domain).open(&view, 5, &record, &mut stored, &mut plain).unwrap();
    let from = content.windows(plain.len()).position(|window| window == plain).unwrap() as u64;
    store.corrupt(&names::pack(data), |bytes| bytes[offset as usize + 3] ^= 1);
    for level in [VerifyLevel::Standard, VerifyLevel::Full] {
        let report = run(&lab, level);
        assert_eq!(report.lost.len(), 1, "{:?}", report.lost);
        let lost = &report.lost[0];
        assert_eq!((lost.from, lost.to), (from, from + u64::from(record.plain_len)));
        assert_eq!(report.errors.iter().filter(|error| !error.is_repairable).count(), 1);
        assert_eq!(report.errors[0].chunk, Some(record.id));
    }
}

#[test]
fn a_chunk_that_exists_twice_hurts_nobody() {
    // Two writers that do not know of each other store the same content twice.
    let (lab, store) = lab(false, 5);
    let content = noise(1, 120_000);
    let fork = Arc::new(store.fork());
    let elsewhere = Lab {
        environment: Lab::new(Arc::clone(&lab.store), false, 99).environment,
        ..lab.on(Arc::<MemoryStore>::clone(&fork))
    };
    lab.ingest(&[("a", &content)]).unwrap();
    let own: BTreeSet<PackId> = packs(&store).into_iter().collect();
    elsewhere.ingest(&[("b", &content)]).unwrap();
    for name in fork.names() {
        if store.head(&name).unwrap().is_none() {
            let bytes = fork.get(&name, u64::MAX).unwrap();
            store.put(&name, &bytes, Durability::Durable).unwrap();
        }
    }
    assert_clean(&run(&lab, VerifyLevel::Full), "two copies");
    for pack in own {
        let copy = Arc::new(store.fork());
        assert!(copy.corrupt(&names::pack(pack), |bytes| bytes[1000] ^= 1));
        let report = run(&lab.on(Arc::<MemoryStore>::clone(&copy)), VerifyLevel::Standard);
        assert!(!report.is_clean() && report.is_repairable() && report.lost.is_empty());
        assert!(report.errors.iter().all(|error| error.hurts.is_empty()), "{:?}", texts(&report));
    }
}

#[test]
fn twenty_samples_of_a_twentieth_read_every_pack_and_find_the_damage() {
    let (lab, store) = lab(true, 6);
    lab.ingest(&[("noise", &noise(1, 3_000_000))]).unwrap();
    let victim = packs(&store)[17];
    let damaged = names::pack(victim);
    store.corrupt(&damaged, |bytes| bytes[500] ^= 1);
    let (mut read, mut found) = (0, 0);
    for _ in 0..20 {
        let options = VerifyOptions { sample_ppm: Some(50_000), ..options(VerifyLevel::Standard) };
        let report = verify(&lab.open().unwrap(), &options, &SilentMonitor).unwrap();
        read += report.stats.packs_checked;
        found += report.errors.iter().filter(|error| error.pack == Some(victim)).count();
    }
    assert_eq!(read, packs(&store).len() as u64, "each once");
    assert_eq!(found, 1);
    let repository = lab.open().unwrap();
    let coverage = Coverage::load(&repository, &SilentMonitor).unwrap();
    assert!(coverage.oldest(VerifiedLevel::Standard).is_some());
    assert!(coverage.oldest(VerifiedLevel::Full).is_none());
    // All of it was read today, so nothing is due; a complete run then makes the twenty records superfluous.
    let due = VerifyOptions { max_age_ms: Some(86_400_000), ..options(VerifyLevel::Standard) };
    assert_eq!(verify(&repository, &due, &SilentMonitor).unwrap().stats.packs_checked, 0);
    run(&lab, VerifyLevel::Full);
    let folder = RecordKind::Verified.folder();
    let records = store.names().iter().filter(|name| name.as_str().contains(&folder)).count();
    assert_eq!(records, 2, "one record and its replica");
}

#[test]
fn a_quick_run_and_one_without_a_key_leave_nothing_behind() {
    let (lab, store) = lab(true, 7);
    lab.ingest(&[("noise", &noise(1, 100_000))]).unwrap();
    let before = store.names();
    run(&lab, VerifyLevel::Quick);
    run_without_key(&lab, VerifyLevel::Standard);
    assert_eq!(store.names(), before);
}

#[test]
fn a_read_only_medium_is_verified_with_a_warning_and_without_a_record() {
    let (lab, store) = lab(true, 8);
    lab.ingest(&[("noise", &noise(1, 100_000))]).unwrap();
    let before = store.names();
    store.set_read_only(true);
    let monitor = RecordingMonitor::default();
    let report = verify(&lab.open().unwrap(), &options(VerifyLevel::Standard), &monitor).unwrap();
    assert_clean(&report, "read-only");
    assert_eq!(monitor.problems().len(), 2, "{:?}", monitor.problems());
    assert_eq!(store.names(), before);
}

/// Does something right before the call of each number that a verification makes, on a copy of its own each time.
fn at_each_call(
    lab: &Lab,
    store: &MemoryStore,
    step: usize,
    act: impl Fn(&Lab) + Send + Sync + Clone + 'static,
) {
    for level in LEVELS {
        for with_key in [true, false] {
            let mut at = 0;
            loop {
                let copy = Arc::new(store.fork());
                let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&copy)));
                let (other, act) = (lab.on(Arc::<MemoryStore>::clone(&copy)), act.clone());
                let calls = Arc::new(AtomicUsize::new(0));
                let counter = Arc::clone(&calls);
                observed.set_before(move |_| {
                    if counter.fetch_add(1, Ordering::Relaxed) == at {
                        act(&other);
                    }
                    Ok(())
                });
                let watched = lab.on(Arc::<ObservedStore>::clone(&observed));
                let report = if with_key { run(&watched, level) } else { run_without_key(&watched, level) };
                assert_clean(&report, &format!("at call {at}, {level:?}, with a key: {with_key}"));
                if calls.load(Ordering::Relaxed) <= at {
                    break;
                }
                at += step;
            }
        }
    }
}

#[test]
fn what_a_writer_does_between_any_two_calls_is_not_taken_for_damage() {
    for encrypted in [false, true] {
        let (lab, store) = lab(encrypted, 12);
        lab.ingest(&[("a", &noise(1, 100_000))]).unwrap();
        let content = [noise(1, 50_000), noise(2, 80_000)].concat();
        at_each_call(&lab, &store, 3, move |lab| drop(lab.ingest(&[("a", &content)]).unwrap()));
    }
}

/// Removes a snapshot and all that its session wrote, as a prune does, in its order.
fn prune(lab: &Lab, snapshot: SessionId) {
    let repository = lab.open().unwrap();
    let store = &*lab.store;
    let put = |(name, bytes): (ObjectName, Vec<u8>)| {
        store.put(&name, &bytes, Durability::Durable).unwrap();
        store.put(&names::replica(&name), &bytes, Durability::Durable).unwrap();
    };
    let seal_in = repository.config.repository;
    let forget = Forget { created: START, snapshots: vec![snapshot] };
    put(forget.seal_record(seal_in, RecordId([1; 16]), repository.keys.signer()).unwrap());
    store.delete(&names::replica(&names::manifest(snapshot))).unwrap();
    store.delete(&names::manifest(snapshot)).unwrap();
    let mut all = Vec::new();
    store.list("", &mut |entry| all.push(entry.name)).unwrap();
    let views = all.iter().filter_map(|name| names::pack_id_of(name, "pack"));
    let own: Vec<PackId> = views
        .filter(|pack| repository.view_any_pack(*pack).unwrap().header.prefix.session == snapshot)
        .collect();
    let retire = Retire { created: START, packs: own.clone() };
    put(retire.seal_record(seal_in, RecordId([2; 16]), repository.keys.signer()).unwrap());
    let site = repository.parity_store();
    let groups = Groups::load(site).unwrap();
    let thinned = groups.all().iter().filter(|it| it.group.members.iter().any(|it| own.contains(&it.pack)));
    let thinned: Vec<&StoredGroup> = thinned.collect();
    for (number, stored) in thinned.iter().enumerate() {
        let Group { class, domain, session, shards, members, .. } = stored.group.clone();
        let stays = members.iter().filter(|it| !own.contains(&it.pack));
        let stays: Vec<Member> = stays.copied().collect();
        if !stays.is_empty() {
            protect_packs(site, GroupId([number as u8; 32]), (class, domain, session), shards, stays)
                .unwrap();
        }
    }
    for pack in &own {
        store.delete(&names::idx(*pack)).unwrap();
        store.delete(&names::pack(*pack)).unwrap();
    }
    for (_, shard) in thinned.iter().flat_map(|stored| stored.present()) {
        store.delete(&names::shard(shard)).unwrap();
    }
    let segments = all.iter().filter_map(|name| names::id_of::<SegmentId>(name, "seg"));
    for segment in segments {
        let named = packs_of_segment(&repository, segment).unwrap().unwrap();
        if named.iter().all(|pack| own.contains(&pack.id)) {
            store.delete(&names::segment(segment)).unwrap();
        }
    }
    let record = names::record(RecordKind::Retire, RecordId([2; 16]));
    store.delete(&names::replica(&record)).unwrap();
    store.delete(&record).unwrap();
}

#[test]
fn what_a_prune_removes_between_any_two_calls_is_not_taken_for_damage() {
    for encrypted in [false, true] {
        let (lab, store) = lab(encrypted, 13);
        let gone = lab.ingest(&[("a", &noise(1, 100_000))]).unwrap().manifest.id;
        // A later snapshot knows the earlier one, so that its absence needs a reason.
        lab.ingest(&[("b", &noise(2, 100_000))]).unwrap();
        at_each_call(&lab, &store, 2, move |lab| prune(lab, gone));
    }
}

#[test]
fn a_verification_at_any_moment_of_an_ingest_finds_nothing_wrong() {
    for encrypted in [false, true] {
        let (lab, store) = lab(encrypted, 9);
        lab.ingest(&[("a", &noise(1, 200_000))]).unwrap();
        let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&store)));
        let reader = lab.clone();
        observed.set_after(move |call| {
            let when = format!("after {} of {}", call.operation, call.name);
            for level in LEVELS {
                assert_clean(&run(&reader, level), &when);
                assert_clean(&run_without_key(&reader, level), &when);
            }
            Ok(())
        });
        let content = [noise(1, 50_000), noise(2, 150_000)].concat();
        lab.on(Arc::<ObservedStore>::clone(&observed)).ingest(&[("a", &content)]).unwrap();
        observed.clear_hooks();
    }
}

#[test]
fn what_an_interrupted_ingest_leaves_is_no_damage() {
    let (lab, store) = lab(true, 10);
    lab.ingest(&[("a", &noise(1, 100_000))]).unwrap();
    let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&store)));
    let counted = lab.on(Arc::<ObservedStore>::clone(&observed));
    let before = store.fork();
    counted.ingest(&[("a", &noise(2, 200_000))]).unwrap();
    let calls = observed.calls().len();
    for at in 0..calls {
        store.restore(&before);
        let now = Arc::new(AtomicUsize::new(0));
        observed.set_before(move |call| {
            if now.fetch_add(1, Ordering::Relaxed) < at {
                return Ok(());
            }
            Err(StoreError::new(StoreErrorKind::Failed, call.operation, &call.name, "the process is gone"))
        });
        let _ = counted.ingest(&[("a", &noise(2, 200_000))]);
        observed.clear_hooks();
        for level in LEVELS {
            assert_clean(&run(&lab, level), &format!("killed at call {at}, {level:?}"));
        }
        assert_clean(&run_without_key(&lab, VerifyLevel::Standard), &format!("killed at call {at}, no key"));
    }
}

struct StopAfter(AtomicUsize);

impl Monitor for StopAfter {
    fn is_cancelled(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

#[test]
fn it_stops_when_asked_and_leaves_no_session_behind() {
    let (lab, store) = lab(true, 11);
    lab.ingest(&[("noise", &noise(1, 500_000))]).unwrap();
    let before = store.names();
    for looks in [0, 1, 5, 10, 20] {
        for threads in [1, 2] {
            let options = VerifyOptions { threads, ..options(VerifyLevel::Full) };
            let monitor = StopAfter(AtomicUsize::new(looks));
            let stopped = verify(&lab.open().unwrap(), &options, &monitor);
            assert!(matches!(stopped, Err(Error::Cancelled)), "{looks}: {stopped:?}");
            assert_eq!(store.names(), before);
        }
    }
}
