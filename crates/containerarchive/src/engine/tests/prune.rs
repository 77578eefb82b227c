//! Reclaiming space: nothing that a snapshot needs goes, everything else does, and whoever is interrupted is no obstacle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::scenes::bytes_of;
use super::support::{Lab, noise};
use crate::base::monitor::RecordingMonitor;
use crate::base::{NoPins, PackId, SessionId, SilentMonitor};
use crate::engine::{
    Filter, PruneOptions, PruneReport, RetentionRules, UnlockOptions, VerifyLevel, VerifyOptions,
    VerifyReport, prune, reindex, snapshots, unlock, verify,
};
use crate::error::Error;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::repo::{Groups, RepoError, Repository, Session, forget_snapshots, list_packs, rebuild_pack};
use crate::store::{MemoryStore, ObservedStore, Store, StoreError, StoreErrorKind};

const WRITER: [u8; 32] = [8; 32];

fn lab(encrypted: bool, seed: u64) -> (Arc<MemoryStore>, Lab) {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), encrypted, seed);
    lab.create().unwrap();
    (store, lab)
}

fn run(lab: &Lab) -> PruneReport {
    prune(&lab.open().unwrap(), &PruneOptions::default(), &SilentMonitor).unwrap()
}

fn forget(lab: &Lab, ids: &[SessionId]) {
    forget_snapshots(&lab.open().unwrap(), ids, &SilentMonitor).unwrap();
}

fn packs(lab: &Lab) -> BTreeSet<PackId> {
    list_packs(&lab.open().unwrap()).unwrap()
}

fn stored_bytes(store: &MemoryStore) -> usize {
    let is_pack = |name: &str| name.starts_with(names::PACKS) && name.ends_with(".pack");
    bytes_of(store).iter().filter(|(name, _)| is_pack(name.as_str())).map(|(_, bytes)| bytes.len()).sum()
}

/// Every snapshot restores as it was, verify finds nothing, no record is left, and each pack is in a whole group.
fn check(lab: &Lab, expected: &BTreeMap<SessionId, Vec<u8>>, what: &str) {
    let repository = lab.open().unwrap();
    let found = snapshots(&repository, &NoPins, &SilentMonitor).unwrap();
    assert!(found.damaged().is_empty(), "{what}: {:?}", found.damaged());
    let there: BTreeSet<SessionId> =
        found.matching(&Filter::default()).map(|loaded| loaded.manifest.id).collect();
    assert_eq!(there, expected.keys().copied().collect(), "{what}");
    for (id, content) in expected {
        let restored = lab.restore_from(&repository, &id.to_hex(), &SilentMonitor);
        let restored = restored.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(restored.values().all(|item| item == content), "{what}");
    }
    let report = verify_full(&repository);
    assert!(report.errors.is_empty(), "{what}: {:?}", report.errors);
    let groups = Groups::load(repository.parity_store()).unwrap();
    for pack in packs(lab) {
        let is_protected = groups.of_pack(&pack).any(|stored| stored.missing().next().is_none());
        assert!(is_protected || lab.parity == Parity::Off, "{what}: pack {pack} has no parity");
    }
}

fn verify_full(repository: &Repository) -> VerifyReport {
    let level = VerifyLevel::Full;
    let options = VerifyOptions { level, sample_ppm: None, max_age_ms: None, threads: 1, pins: &NoPins };
    verify(repository, &options, &SilentMonitor).unwrap()
}

fn records(store: &MemoryStore) -> usize {
    store.names().iter().filter(|name| name.as_str().contains("records/retire/")).count()
}

#[test]
fn what_no_snapshot_needs_goes_and_the_rest_restores() {
    for encrypted in [false, true] {
        let (store, lab) = lab(encrypted, 1);
        let mut expected = BTreeMap::new();
        let kept = noise(1, 300_000);
        expected.insert(lab.ingest(&[("a", &kept)]).unwrap().manifest.id, kept);
        let needed = stored_bytes(&store);
        let gone = lab.ingest(&[("b", &noise(2, 400_000))]).unwrap().manifest.id;
        forget(&lab, &[gone]);
        assert!(stored_bytes(&store) > needed + 400_000);
        let report = run(&lab);
        assert_eq!(stored_bytes(&store), needed, "encrypted {encrypted}");
        assert!(report.removed_packs > 6 && report.freed_bytes > 400_000 && report.rewritten.is_empty());
        assert_eq!(records(&store), 0);
        check(&lab, &expected, "after prune");
        let before = bytes_of(&store);
        assert_eq!(run(&lab).removed_packs, 0);
        assert!(bytes_of(&store) == before, "a second prune changes nothing");
    }
}

#[test]
fn packs_that_are_needed_in_part_are_rewritten_until_little_is_unused() {
    for encrypted in [false, true] {
        let (store, lab) = lab(encrypted, 2);
        let whole = noise(3, 600_000);
        let gone = lab.ingest(&[("a", &whole)]).unwrap().manifest.id;
        // Every other stretch of it: most packs are needed in part.
        let part: Vec<u8> = whole.chunks(40_000).step_by(2).flatten().copied().collect();
        let id = lab.ingest(&[("a", &part)]).unwrap().manifest.id;
        forget(&lab, &[gone]);
        let dry = PruneOptions { dry_run: true, ..PruneOptions::default() };
        let before = bytes_of(&store);
        let planned = prune(&lab.open().unwrap(), &dry, &SilentMonitor).unwrap();
        assert!(bytes_of(&store) == before, "a dry run changes nothing");
        let report = run(&lab);
        assert_eq!(
            (planned.leaving, planned.rewritten, planned.freed_bytes),
            (report.leaving.clone(), report.rewritten.clone(), report.freed_bytes)
        );
        assert!(report.rewritten.len() > 3, "{report:?}");
        let stored = stored_bytes(&store) as f64;
        assert!(stored < part.len() as f64 * 1.25, "{stored} bytes for {}", part.len());
        check(&lab, &BTreeMap::from([(id, part)]), "after rewriting");
        assert_eq!(run(&lab).removed_packs, 0);
    }
}

#[test]
fn small_packs_groups_and_segments_are_joined() {
    let (store, lab) = lab(true, 3);
    let mut expected = BTreeMap::new();
    for seed in 0..20 {
        let content = noise(seed + 10, 6_000);
        expected.insert(lab.ingest(&[("a", &content)]).unwrap().manifest.id, content);
    }
    let count = |part: &str| store.names().iter().filter(|name| name.as_str().starts_with(part)).count();
    let (packs_before, segments_before) = (packs(&lab).len(), count("index/"));
    run(&lab);
    check(&lab, &expected, "after joining");
    assert!(packs_before >= 40 && packs(&lab).len() <= 6, "{} packs", packs(&lab).len());
    assert!(segments_before >= 20 && count("index/") <= 8, "{} segments", count("index/"));
    let before = bytes_of(&store);
    run(&lab);
    assert!(bytes_of(&store) == before, "a second prune changes nothing");
}

#[test]
fn rules_remove_snapshots_and_their_space_and_a_dry_run_tells_which() {
    let (store, lab) = lab(true, 4);
    let ids: Vec<SessionId> =
        (0..5).map(|seed| lab.ingest(&[("a", &noise(seed, 100_000))]).unwrap().manifest.id).collect();
    let rules = RetentionRules { last: 2, ..RetentionRules::default() };
    let options = |dry_run| PruneOptions { rules: rules.clone(), dry_run, ..PruneOptions::default() };
    let before = bytes_of(&store);
    let planned = prune(&lab.open().unwrap(), &options(true), &SilentMonitor).unwrap();
    assert!(bytes_of(&store) == before, "a dry run changes nothing");
    let report = prune(&lab.open().unwrap(), &options(false), &SilentMonitor).unwrap();
    let mut expected: Vec<SessionId> = ids[..3].to_vec();
    expected.sort_unstable();
    assert_eq!((&planned.removed_snapshots, &report.removed_snapshots), (&expected, &expected));
    assert_eq!(planned.leaving, report.leaving);
    assert!(report.freed_bytes >= 300_000);
    let left = (3..5).map(|seed| (ids[seed], noise(seed as u64, 100_000))).collect();
    check(&lab, &left, "after the rules");
}

#[test]
fn a_session_at_work_is_waited_for_and_the_next_run_goes_on() {
    let (store, lab) = lab(true, 5);
    let kept = noise(1, 50_000);
    let id = lab.ingest(&[("a", &kept)]).unwrap().manifest.id;
    let gone = lab.ingest(&[("b", &noise(2, 100_000))]).unwrap().manifest.id;
    forget(&lab, &[gone]);
    let repository = lab.open().unwrap();
    let keys = repository.keys.domain(repository.keys.own_domain()).unwrap().unwrap();
    let writer = Session::register(&repository, &keys, "ingest").unwrap();
    let all = packs(&lab);
    let report = run(&lab);
    let pending = report.pending.unwrap();
    assert!(pending.bytes > 100_000 && pending.holders[0].contains("'ingest' by user@host"), "{pending:?}");
    assert_eq!((report.removed_packs, packs(&lab)), (0, all));
    assert_eq!(records(&store), 2, "a record and its replica");
    writer.end(&repository).unwrap();
    let report = run(&lab);
    assert!(report.pending.is_none() && report.removed_packs > 0);
    assert_eq!(records(&store), 0);
    check(&lab, &BTreeMap::from([(id, kept)]), "in the end");
}

#[test]
fn a_snapshot_that_came_meanwhile_is_looked_at_before_anything_is_deleted() {
    // A writer that began before the record refers to packs that the record retires.
    for encrypted in [false, true] {
        let (store, lab) = lab(encrypted, 6);
        let content = noise(2, 100_000);
        let gone = lab.ingest(&[("b", &content)]).unwrap().manifest.id;
        forget(&lab, &[gone]);
        let inner: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        let observed = Arc::new(ObservedStore::new(Arc::clone(&inner)));
        let pruner = lab.on(Arc::clone(&inner));
        let writer = lab.on(Arc::<ObservedStore>::clone(&observed));
        let pruned = std::sync::Mutex::new(None);
        std::thread::scope(|scope| {
            let (begun, is_begun) = crossbeam_channel::bounded::<()>(0);
            let (retired, is_retired) = crossbeam_channel::bounded::<()>(0);
            let waiting = std::sync::Mutex::new(Some((begun, is_retired)));
            // The writer stops before its manifest until the record is there.
            observed.set_before(move |call| {
                let is_commit = call.name.starts_with("snapshots/") && call.name.ends_with(".json");
                if let Some((begun, is_retired)) = is_commit.then(|| waiting.lock().unwrap().take()).flatten()
                {
                    begun.send(()).unwrap();
                    is_retired.recv().unwrap();
                }
                Ok(())
            });
            let pruned = &pruned;
            let pruner_store = Arc::new(ObservedStore::new(inner));
            let lab_of_pruner = pruner.on(Arc::<ObservedStore>::clone(&pruner_store));
            scope.spawn(move || {
                is_begun.recv().unwrap();
                let told = std::sync::Mutex::new(Some(retired));
                pruner_store.set_before(move |call| {
                    if call.name.starts_with("replicas/records/retire/")
                        && let Some(told) = told.lock().unwrap().take()
                    {
                        told.send(()).unwrap();
                    }
                    Ok(())
                });
                // The test's clock runs ahead of the writer.
                let options = PruneOptions { drain_ms: None, ..PruneOptions::default() };
                let report = prune(&lab_of_pruner.open().unwrap(), &options, &SilentMonitor);
                *pruned.lock().unwrap() = Some(report.unwrap());
            });
            writer.ingest(&[("b", &content)]).unwrap();
        });
        let report = pruned.into_inner().unwrap().unwrap();
        assert!(report.removed_packs > 0, "{report:?}");
        let id = snapshots(&lab.open().unwrap(), &NoPins, &SilentMonitor).unwrap();
        let id = id.matching(&Filter::default()).next().unwrap().manifest.id;
        check(&lab, &BTreeMap::from([(id, content)]), "what came meanwhile");
    }
}

#[test]
fn nothing_is_deleted_while_a_manifest_or_a_chunk_is_missing() {
    let (store, lab) = lab(true, 7);
    let ids: Vec<SessionId> =
        (0..3).map(|seed| lab.ingest(&[("a", &noise(seed, 100_000))]).unwrap().manifest.id).collect();
    forget(&lab, &ids[..1]);
    let refused = |store: &MemoryStore, lab: &Lab, words: &str| {
        for dry_run in [false, true] {
            let options = PruneOptions { dry_run, ..PruneOptions::default() };
            let before = packs(lab);
            let error = prune(&lab.open().unwrap(), &options, &SilentMonitor).unwrap_err();
            assert!(matches!(&error, Error::RepairFirst { why } if why.contains(words)), "{error}");
            assert_eq!(packs(lab), before);
            assert_eq!(records(store), 0);
        }
    };
    let fork = || {
        let store = Arc::new(store.fork());
        let lab = lab.on(Arc::<MemoryStore>::clone(&store));
        (store, lab)
    };
    let manifest = names::manifest(ids[1]);
    let (damaged, its_lab) = fork();
    damaged.remove(&manifest);
    damaged.remove(&names::replica(&manifest));
    refused(&damaged, &its_lab, "1 snapshot cannot be read");
    let (damaged, its_lab) = fork();
    damaged.corrupt(&manifest, |bytes| bytes[40] ^= 1);
    damaged.corrupt(&names::replica(&manifest), |bytes| bytes[40] ^= 1);
    refused(&damaged, &its_lab, "1 snapshot cannot be read");
    for pack in packs(&lab) {
        let (damaged, its_lab) = fork();
        damaged.remove(&names::idx(pack));
        damaged.remove(&names::pack(pack));
        let before = packs(&its_lab);
        match prune(&its_lab.open().unwrap(), &PruneOptions::default(), &SilentMonitor) {
            Ok(_) => {
                let report = verify_full(&its_lab.open().unwrap());
                assert!(report.errors.is_empty(), "nobody needed it: {:?}", report.errors);
            }
            Err(error) => {
                assert!(
                    matches!(&error, Error::RepairFirst { why } if why.contains("of snapshot")),
                    "{error}"
                );
                assert_eq!(packs(&its_lab), before);
            }
        }
    }
}

#[test]
fn every_domain_keeps_what_it_needs_and_no_writer_can_prune() {
    let (_, lab) = lab(true, 8);
    lab.add_writer(WRITER, None);
    let mut expected = BTreeMap::new();
    let writer = lab.open_with(WRITER, &NoPins, &SilentMonitor).unwrap();
    let mut gone = Vec::new();
    for seed in 0..4 {
        let (content, other) = (noise(seed, 60_000), noise(seed + 20, 60_000));
        let id = lab.ingest_into(&writer, &[("w", &content)]).unwrap().manifest.id;
        let own = lab.ingest(&[("a", &other)]).unwrap().manifest.id;
        if seed % 2 == 0 {
            gone.extend([id, own]);
        } else {
            expected.extend([(id, content), (own, other)]);
        }
    }
    forget(&lab, &gone);
    let error = prune(&writer, &PruneOptions::default(), &SilentMonitor).unwrap_err();
    assert!(matches!(error, Error::Repo(RepoError::NeedsAdmin { .. })), "{error}");
    let report = run(&lab);
    assert!(report.freed_bytes > 240_000, "{report:?}");
    check(&lab, &expected, "two domains");
}

#[test]
fn a_write_domain_whose_snapshots_cannot_be_read_whole_holds_up_only_its_own_space() {
    let (store, lab) = lab(true, 14);
    lab.add_writer(WRITER, None);
    let writer = lab.open_with(WRITER, &NoPins, &SilentMonitor).unwrap();
    let kept = noise(1, 60_000);
    let id = lab.ingest(&[("a", &kept)]).unwrap().manifest.id;
    let own = packs(&lab);
    lab.ingest_into(&writer, &[("junk", &noise(2, 60_000))]).unwrap();
    let of_writer: BTreeSet<PackId> = packs(&lab).difference(&own).copied().collect();
    let gone = lab.ingest(&[("b", &noise(3, 100_000))]).unwrap().manifest.id;
    forget(&lab, &[gone]);
    // As good as a snapshot that refers to what never was.
    let lost = *of_writer.first().unwrap();
    store.remove(&names::idx(lost));
    store.remove(&names::pack(lost));
    let monitor = RecordingMonitor::default();
    let report = prune(&lab.open().unwrap(), &PruneOptions::default(), &monitor).unwrap();
    assert!(report.freed_bytes > 100_000, "{report:?}");
    let told = monitor.problems().iter().any(|problem| problem.text().contains("nothing of write domain"));
    assert!(told, "{:?}", monitor.problems());
    let mut expected = own;
    expected.extend(of_writer.iter().filter(|pack| **pack != lost));
    assert_eq!(packs(&lab), expected);
    let restored = lab.restore_from(&lab.open().unwrap(), &id.to_hex(), &SilentMonitor).unwrap();
    assert!(restored["a"] == kept);
}

#[test]
fn parity_still_brings_every_pack_back() {
    for (encrypted, seed) in [(false, 9), (true, 10)] {
        let (store, lab) = lab(encrypted, seed);
        let whole = noise(3, 700_000);
        let gone = lab.ingest(&[("a", &whole)]).unwrap().manifest.id;
        let part: Vec<u8> = whole.chunks(90_000).step_by(2).flatten().copied().collect();
        lab.ingest(&[("a", &part)]).unwrap();
        forget(&lab, &[gone]);
        run(&lab);
        for pack in packs(&lab) {
            let repository = lab.open().unwrap();
            let groups = Groups::load(repository.parity_store()).unwrap();
            let before = store.get(&names::pack(pack), u64::MAX).unwrap();
            store.remove(&names::pack(pack));
            let rebuilt = groups
                .of_pack(&pack)
                .filter_map(|stored| rebuild_pack(repository.parity_store(), stored, pack).unwrap())
                .find(|rebuilt| rebuilt.is_whole);
            assert!(rebuilt.unwrap().bytes == before);
            store.put(&names::pack(pack), &before, crate::store::Durability::Durable).unwrap();
        }
    }
}

#[test]
fn a_group_with_a_pack_that_is_gone_and_forgotten_by_all_holds_nothing_back() {
    let (store, lab) = lab(true, 13);
    let kept = noise(1, 100_000);
    let id = lab.ingest(&[("a", &kept)]).unwrap().manifest.id;
    let own = packs(&lab);
    let gone = lab.ingest(&[("b", &noise(2, 300_000))]).unwrap().manifest.id;
    forget(&lab, &[gone]);
    let lost = *packs(&lab).difference(&own).next().unwrap();
    store.remove(&names::idx(lost));
    store.remove(&names::pack(lost));
    reindex(&lab.open().unwrap(), &SilentMonitor).unwrap();
    run(&lab);
    assert_eq!(packs(&lab), own);
    check(&lab, &BTreeMap::from([(id, kept)]), "in the end");
}

/// A store in which something of everything is to be done, and what must be there in the end.
fn busy(encrypted: bool) -> (Arc<MemoryStore>, Lab, BTreeMap<SessionId, Vec<u8>>) {
    let (store, lab) = lab(encrypted, 11);
    let whole = noise(3, 300_000);
    let gone = lab.ingest(&[("a", &whole)]).unwrap().manifest.id;
    let part: Vec<u8> = whole.chunks(50_000).step_by(2).flatten().copied().collect();
    let mut expected = BTreeMap::from([(lab.ingest(&[("a", &part)]).unwrap().manifest.id, part)]);
    for seed in 0..9 {
        let content = noise(seed + 10, 3_000);
        expected.insert(lab.ingest(&[("s", &content)]).unwrap().manifest.id, content);
    }
    let other = lab.ingest(&[("b", &noise(50, 100_000))]).unwrap().manifest.id;
    forget(&lab, &[gone, other]);
    (store, lab, expected)
}

#[test]
fn a_prune_that_is_killed_at_any_call_costs_nothing_and_the_next_one_goes_on() {
    for encrypted in [false, true] {
        let (base, lab, expected) = busy(encrypted);
        let undisturbed = Arc::new(base.fork());
        let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&undisturbed)));
        run(&lab.on(Arc::<ObservedStore>::clone(&observed)));
        let calls = observed.calls().len();
        let end = stored_bytes(&undisturbed);
        let step = if std::env::var_os("CONTAINERARCHIVE_TEST_LONG").is_some() { 1 } else { 7 };
        println!("{calls} calls, every {step}th");
        for index in (0..calls).step_by(step) {
            let store = Arc::new(base.fork());
            let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&store)));
            observed.set_before(move |call| {
                if call.index < index {
                    return Ok(());
                }
                Err(StoreError::new(StoreErrorKind::Failed, call.operation, &call.name, "killed"))
            });
            let killed = lab.on(Arc::<ObservedStore>::clone(&observed));
            let result = killed.open().map_err(Error::from);
            let _ =
                result.and_then(|repository| prune(&repository, &PruneOptions::default(), &SilentMonitor));
            // Locks of the dead are free.
            let store = Arc::new(store.fork());
            let lab = lab.on(Arc::<MemoryStore>::clone(&store));
            for (id, content) in &expected {
                let restored = lab.restore_from(&lab.open().unwrap(), &id.to_hex(), &SilentMonitor);
                let restored = restored.unwrap_or_else(|error| panic!("killed at {index}: {error}"));
                assert!(restored.values().all(|item| item == content), "killed at {index}");
            }
            let monitor = RecordingMonitor::default();
            prune(&lab.open().unwrap(), &PruneOptions::default(), &monitor)
                .unwrap_or_else(|error| panic!("killed at {index}, then: {error}"));
            let what = format!("encrypted {encrypted}, killed at {index}");
            check(&lab, &expected, &what);
            assert_eq!(records(&store), 0, "{what}");
            let stored = stored_bytes(&store);
            assert!(stored <= end + end / 8, "{what}: {stored} bytes instead of {end}");
        }
    }
}

#[test]
fn a_prune_that_is_ended_by_force_at_any_call_while_another_one_runs_costs_nothing() {
    // The first one wants to replace a pack by copies of what is needed of it. Then the rest of it is needed again as well:
    // the other one keeps the pack, deletes the copies, and leaves no record behind.
    for encrypted in [false, true] {
        let (base, lab) = lab(encrypted, 13);
        let whole = noise(3, 50_000);
        let gone = lab.ingest(&[("a", &whole)]).unwrap().manifest.id;
        let part = whole[..20_000].to_vec();
        let expected = BTreeMap::from([(lab.ingest(&[("a", &part)]).unwrap().manifest.id, part)]);
        forget(&lab, &[gone]);
        let observed = Arc::new(ObservedStore::new(Arc::new(base.fork())));
        run(&lab.on(Arc::<ObservedStore>::clone(&observed)));
        let calls = observed.calls().len();
        let mut ended = 0;
        for index in 0..calls {
            let store: Arc<dyn Store> = Arc::new(base.fork());
            let observed = Arc::new(ObservedStore::new(Arc::clone(&store)));
            let other = lab.on(Arc::clone(&store));
            let stored = Arc::new(std::sync::Mutex::new(None));
            let (added, again) = (Arc::clone(&stored), whole[10_000..].to_vec());
            observed.set_before(move |call| {
                if call.index == index {
                    let repository = other.open().unwrap();
                    unlock(&repository, UnlockOptions { force: true }, &SilentMonitor).unwrap();
                    let id = other.ingest(&[("a", &again)]).unwrap().manifest.id;
                    *added.lock().unwrap() = Some((id, again.clone()));
                    prune(&repository, &PruneOptions::default(), &SilentMonitor).unwrap();
                }
                Ok(())
            });
            let result = prune(
                &lab.on(Arc::<ObservedStore>::clone(&observed)).open().unwrap(),
                &PruneOptions::default(),
                &SilentMonitor,
            );
            let what = format!("encrypted {encrypted}, ended at {index}");
            match result {
                Ok(_) => {}
                Err(Error::Repo(RepoError::Ended { .. })) => ended += 1,
                // Segments that it wanted to merge are merged.
                Err(Error::Repo(RepoError::Store(error))) if error.kind == StoreErrorKind::NotFound => {}
                Err(Error::Repo(RepoError::Missing { object })) if object.starts_with(names::INDEX) => {}
                Err(error) => panic!("{what}: {error}"),
            }
            observed.clear_hooks();
            let lab = lab.on(store);
            let mut expected = expected.clone();
            expected.extend(stored.lock().unwrap().take());
            run(&lab);
            check(&lab, &expected, &what);
        }
        println!("{ended} of {} prunes noticed", calls);
        assert!(ended > 0);
    }
}

#[test]
fn the_same_stream_stored_again_while_a_prune_sweeps_restores() {
    // The new packs have other names than those that are being deleted, plain repositories included.
    for encrypted in [false, true] {
        let (store, lab) = lab(encrypted, 12);
        let content = noise(2, 200_000);
        let gone = lab.ingest(&[("b", &content)]).unwrap().manifest.id;
        forget(&lab, &[gone]);
        let observed = Arc::new(ObservedStore::new(Arc::<MemoryStore>::clone(&store)));
        let other = lab.clone();
        let stored = content.clone();
        let is_done = std::sync::atomic::AtomicBool::new(false);
        observed.set_before(move |call| {
            let is_sweep =
                call.operation == crate::store::StoreOperation::Delete && call.name.ends_with(".pack");
            if is_sweep && !is_done.swap(true, std::sync::atomic::Ordering::Relaxed) {
                other.ingest(&[("b", &stored)]).unwrap();
            }
            Ok(())
        });
        let report = run(&lab.on(Arc::<ObservedStore>::clone(&observed)));
        assert!(report.removed_packs > 3);
        assert!(lab.restore_latest().unwrap()["b"] == content);
        assert_eq!(run(&lab).removed_packs, 0);
        assert!(lab.restore_latest().unwrap()["b"] == content);
    }
}
