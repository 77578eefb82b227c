//! Packs that are damaged beyond repair, once no snapshot needs them any more.

use std::sync::Arc;

use super::scenes::{ITEM, Scene, bytes_of, difference, run_repair};
use super::support::{Lab, noise};
use crate::base::{NoPins, PackId, SilentMonitor};
use crate::crypto::BLOCK_LEN;
use crate::engine::{
    RepairKind, RepairOptions, VerifyLevel, VerifyOptions, VerifyReport, repair, repair_without_key, verify,
    verify_without_key,
};
use crate::format::names;
use crate::repo::{Groups, Locked, Session};
use crate::store::{MemoryStore, Store};

const LEVELS: [VerifyLevel; 3] = [VerifyLevel::Quick, VerifyLevel::Standard, VerifyLevel::Full];

fn options(level: VerifyLevel) -> VerifyOptions<'static> {
    VerifyOptions { level, sample_ppm: None, max_age_ms: None, threads: 1, pins: &NoPins }
}

fn verified(lab: &Lab, level: VerifyLevel) -> VerifyReport {
    verify(&lab.open().unwrap(), &options(level), &SilentMonitor).unwrap()
}

fn locked(lab: &Lab) -> Locked {
    Locked::read(Arc::clone(&lab.store), lab.environment.clone(), &SilentMonitor).unwrap()
}

fn assert_clean(lab: &Lab, what: &str) {
    for level in LEVELS {
        let report = verified(lab, level);
        assert!(report.is_clean(), "{what}, {level:?}: {:?}", report.errors);
        let report = verify_without_key(&locked(lab), &options(level), &SilentMonitor).unwrap();
        assert!(report.is_clean(), "{what}, without a key, {level:?}: {:?}", report.errors);
    }
}

/// Three packs of a group with two shards are damaged in the same row; `and_shards`: one of the shards as well.
fn lose_three(scene: &Scene, store: &MemoryStore, and_shards: bool) -> Vec<PackId> {
    let lost = scene.packs()[..3].to_vec();
    for pack in &lost {
        assert!(store.corrupt(&names::pack(*pack), |bytes| bytes[100..BLOCK_LEN].fill(7)));
    }
    if and_shards {
        let (_, shard) = scene.stored.present().next().unwrap();
        assert!(store.corrupt(&names::shard(shard), |bytes| bytes.truncate(5000)));
    }
    lost
}

#[test]
fn damaged_packs_that_nothing_needs_any_more_are_set_aside_and_then_all_is_clean() {
    for encrypted in [false, true] {
        for and_shards in [false, true] {
            let what = format!("encrypted: {encrypted}, damaged shard: {and_shards}");
            let scene = Scene::new(encrypted, (4, 2), 96, 900);
            let (lab, store) = scene.fork();
            let lost = lose_three(&scene, &store, and_shards);
            let first = run_repair(&lab).unwrap();
            assert!(first.count(RepairKind::Retire) == 3 && !first.lost.is_empty(), "{what}: {first:?}");
            for pack in &lost {
                assert!(store.head(&names::pack(*pack)).unwrap().is_some(), "{what}: it is still needed");
            }
            // The same content again fills the holes of the snapshot that was hurt.
            lab.ingest(&[(ITEM, &scene.content)]).unwrap();

            let before = bytes_of(&store);
            let plan = RepairOptions { dry_run: true, threads: 1 };
            let planned = repair(&lab.open().unwrap(), &plan, &SilentMonitor).unwrap();
            assert_eq!(difference(&before, &bytes_of(&store)), None, "{what}: a plan changes nothing");
            let second = run_repair(&lab).unwrap();
            assert!(second.found_damage() && !second.is_lossy(), "{what}: {second:?}");
            assert_eq!(second.count(RepairKind::Unneeded), 3, "{what}: {second:?}");
            assert_eq!(planned.steps, second.steps, "{what}");
            assert_eq!(second.quarantined, 0, "{what}");
            for pack in lost {
                assert_eq!(store.head(&names::pack(pack)).unwrap(), None, "{what}");
                assert_eq!(store.head(&names::idx(pack)).unwrap(), None, "{what}");
            }
            assert_clean(&lab, &what);
            for third in [
                run_repair(&lab).unwrap(),
                repair_without_key(
                    &locked(&lab),
                    &RepairOptions { dry_run: false, threads: 1 },
                    &SilentMonitor,
                )
                .unwrap(),
            ] {
                assert!(third.steps.is_empty() && !third.found_damage(), "{what}: {third:?}");
            }
            for which in ["latest", "latest~1"] {
                let items = lab.restore_from(&lab.open().unwrap(), which, &SilentMonitor).unwrap();
                assert!(items[ITEM] == scene.content, "{what}: {which}");
            }
        }
    }
}

/// What interrupted sessions stored, nobody needs: it takes one run.
#[test]
fn a_damaged_pack_of_no_snapshot_is_retired_and_set_aside_in_one_run() {
    let scene = Scene::new(true, (4, 2), 96, 901);
    let (lab, store) = scene.fork();
    let snapshot = names::manifest(lab_snapshot(&lab));
    assert!(store.remove(&snapshot) && store.remove(&names::replica(&snapshot)));
    lose_three(&scene, &store, false);
    lab.ingest(&[("other", &noise(5, 60_000))]).unwrap();
    let report = run_repair(&lab).unwrap();
    assert!(report.found_damage() && !report.is_lossy(), "{report:?}");
    assert_eq!((report.count(RepairKind::Retire), report.count(RepairKind::Unneeded)), (3, 3));
    assert_clean(&lab, "after");
    assert!(run_repair(&lab).unwrap().steps.is_empty());
}

fn lab_snapshot(lab: &Lab) -> crate::base::SessionId {
    let found = crate::engine::snapshots(&lab.open().unwrap(), &NoPins, &SilentMonitor).unwrap();
    found.find(&crate::engine::Selector::Latest(0), &crate::engine::Filter::default()).unwrap().manifest.id
}

/// It may have seen the pack before the record that masks it (W1, P6).
#[test]
fn a_pack_that_nothing_needs_stays_while_a_session_is_open() {
    let scene = Scene::new(true, (4, 2), 96, 902);
    let (lab, store) = scene.fork();
    let lost = lose_three(&scene, &store, false);
    run_repair(&lab).unwrap();
    lab.ingest(&[(ITEM, &scene.content)]).unwrap();
    let repository = lab.open().unwrap();
    let keys = repository.keys.domain(crate::base::DomainId::MAIN).unwrap().unwrap();
    let session = Session::register(&repository, &keys, "ingest").unwrap();
    let beside = run_repair(&lab).unwrap();
    assert_eq!(beside.count(RepairKind::Unneeded), 0, "{beside:?}");
    assert!(
        beside.is_lossy() && beside.unrepaired.iter().all(|it| it.text.contains("session")),
        "{beside:?}"
    );
    lost.iter().for_each(|pack| assert!(store.head(&names::pack(*pack)).unwrap().is_some()));
    session.end(&repository).unwrap();
    assert!(!run_repair(&lab).unwrap().is_lossy());
    assert_clean(&lab, "after");
}

/// Below a node that is lost, nobody knows what is needed.
#[test]
fn nothing_is_set_aside_while_any_range_of_any_snapshot_is_lost() {
    let scene = Scene::new(true, (4, 2), 96, 903);
    let (lab, store) = scene.fork();
    let lost = lose_three(&scene, &store, false);
    run_repair(&lab).unwrap();
    lab.ingest(&[(ITEM, &scene.content)]).unwrap();
    let groups = Groups::load(lab.open().unwrap().parity_store()).unwrap();
    let recipes = groups.all().iter().filter(|it| it.group.class == crate::format::prefix::Class::Structure);
    for stored in recipes {
        stored.group.members.iter().for_each(|member| assert!(store.remove(&names::pack(member.pack))));
        stored.present().for_each(|(_, shard)| assert!(store.remove(&names::shard(shard))));
    }
    let report = run_repair(&lab).unwrap();
    assert!(!report.lost.is_empty() && report.count(RepairKind::Unneeded) == 0, "{report:?}");
    lost.iter().for_each(|pack| assert!(store.head(&names::pack(*pack)).unwrap().is_some()));
}

#[test]
fn a_repair_without_key_leaves_masked_packs_that_are_gone() {
    let scene = Scene::new(true, (4, 2), 96, 904);
    let (lab, store) = scene.fork();
    let masked = scene.packs()[1];
    lab.open().unwrap().retire_packs(crate::base::RecordId([4; 16]), vec![masked]).unwrap();
    assert!(store.remove(&names::pack(masked)));
    let before = bytes_of(&store);
    let options = RepairOptions { dry_run: false, threads: 1 };
    let report = repair_without_key(&locked(&lab), &options, &SilentMonitor).unwrap();
    assert!(report.steps.is_empty() && !report.found_damage(), "{report:?}");
    assert_eq!(difference(&before, &bytes_of(&store)), None);
    assert_eq!(difference(&bytes_of(&store), &before), None);
}
