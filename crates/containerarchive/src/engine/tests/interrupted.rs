//! A repair that is killed at any call and run again ends as one that was not disturbed, and in between everything that
//! could be restored can be restored.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::scenes::{Dice, ITEM, Scene, bytes_of, difference, is_long, run_repair};
use super::support::Lab;
use crate::base::{DomainId, ObjectName, PackId};
use crate::crypto::BLOCK_LEN;
use crate::format::names;
use crate::format::prefix::Class;
use crate::repo::{Groups, Session, replace};
use crate::store::{MemoryStore, ObservedStore, Store, StoreError, StoreErrorKind, StoreOperation};

/// Fails this call and all later ones, as for a process that was killed before it.
fn kill_at(store: &ObservedStore, index: usize) {
    store.set_before(move |call| {
        if call.index < index {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Failed, call.operation, &call.name, "killed"))
    });
}

/// What must be the same however often a repair was killed: all but what bears random names. Killed repairs leave
/// fences and voids of their sessions, and a segment more or less.
fn lasting(store: &MemoryStore) -> BTreeMap<ObjectName, Vec<u8>> {
    let mut objects = bytes_of(store);
    objects.retain(|name, _| {
        let name = name.as_str();
        !name.ends_with(".void") && !name.ends_with(".fence") && !name.starts_with(names::INDEX)
    });
    objects
}

fn flip(store: &MemoryStore, name: &ObjectName, at: usize) {
    assert!(store.corrupt(name, |bytes| bytes[at] ^= 1));
}

/// Damage of everything that a repair can mend, as much as can be.
fn damage(scene: &Scene, store: &MemoryStore) {
    let packs: Vec<PackId> = scene.packs();
    // Rows 0 and 1 have as many bad blocks as there are shards, and each pack has one.
    for (pack, row) in [(0, 0), (1, 1), (2, 1), (3, 2)] {
        flip(store, &names::pack(packs[pack]), row * BLOCK_LEN + 77);
    }
    let (_, shard) = scene.stored.present().last().unwrap();
    flip(store, &names::shard(shard), scene.stored.layout().row(0) as usize + 5);
    let groups = Groups::load(scene.lab.open().unwrap().parity_store()).unwrap();
    let other = groups.all().iter().find(|stored| stored.group.class == Class::Structure).unwrap();
    assert!(store.remove(&names::shard(other.present().next().unwrap().1)));
    for name in store.names() {
        let text = name.as_str();
        match text.split('/').next().unwrap() {
            "config.json" => assert!(store.corrupt(&name, |bytes| bytes.truncate(20))),
            "keys" => flip(store, &name, 40),
            "snapshots" if text.ends_with(".json") => assert!(store.remove(&name)),
            "index" => flip(store, &name, 200),
            "records" => assert!(store.remove(&names::replica(&name))),
            _ if *text == *names::idx(packs[0]).as_str() => flip(store, &name, 30),
            _ if *text == *names::idx(packs[1]).as_str() => assert!(store.remove(&name)),
            _ => {}
        }
    }
}

/// A scene whose store is damaged, with the session of a process that is gone.
fn damaged(encrypted: bool) -> (Scene, Arc<MemoryStore>) {
    let scene = Scene::new(encrypted, (4, 2), 128, 600);
    let (lab, store) = scene.fork();
    let repository = lab.open().unwrap();
    let keys = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let session = Session::register(&repository, &keys, "ingest").unwrap();
    // A crash leaves its object.
    let store = Arc::new(store.fork());
    drop(session);
    damage(&scene, &store);
    (scene, store)
}

fn assert_restores(scene: &Scene, store: &MemoryStore, what: &str) {
    let lab = scene.lab.on(Arc::new(store.fork()));
    let restored = lab.restore_latest();
    assert!(restored.unwrap_or_else(|error| panic!("{what}: {error}"))[ITEM] == scene.content, "{what}");
}

fn assert_is_done(lab: &Lab, store: &MemoryStore, expected: &BTreeMap<ObjectName, Vec<u8>>, what: &str) {
    assert_eq!(difference(expected, &lasting(store)), None, "{what}");
    let again = run_repair(lab).unwrap();
    assert!(again.steps.is_empty() && !again.is_lossy(), "{what}: {again:?}");
}

/// Which calls to die at: all that change something, and of the others a part.
fn moments(observed: &ObservedStore, dice: &mut Dice) -> Vec<usize> {
    let is_change =
        |operation| matches!(operation, StoreOperation::Put | StoreOperation::Delete | StoreOperation::Lock);
    let calls = observed.calls().into_iter();
    calls
        .filter(|call| is_change(call.operation) || is_long() || dice.one_in(40))
        .map(|call| call.index)
        .collect()
}

#[test]
fn a_repair_killed_at_any_call_and_run_again_ends_as_one_that_was_not() {
    let mut dice = Dice::new(21);
    for encrypted in [false, true] {
        let (scene, base) = damaged(encrypted);
        assert_restores(&scene, &base, "before");
        let undisturbed = Arc::new(base.fork());
        let observed = Arc::new(ObservedStore::new(undisturbed.clone()));
        assert!(!run_repair(&scene.lab.on(observed.clone())).unwrap().is_lossy());
        let expected = lasting(&undisturbed);
        let mut whole = scene.whole.clone();
        whole.retain(|name, _| expected.contains_key(name));
        assert_eq!(difference(&whole, &expected), None);
        assert!(!expected.keys().any(|name| {
            let folder = name.as_str().split('/').next().unwrap();
            folder == names::QUARANTINE || folder == names::LOCKS
        }));
        let moments = moments(&observed, &mut dice);
        println!("encrypted: {encrypted}: {} of {} calls", moments.len(), observed.calls().len());
        for moment in moments {
            let store = Arc::new(base.fork());
            let observed = Arc::new(ObservedStore::new(store.clone()));
            kill_at(&observed, moment);
            let killed = run_repair(&scene.lab.on(observed.clone()));
            let what = format!("encrypted: {encrypted}, killed at {:?}", observed.calls().get(moment));
            assert!(killed.is_err() || moment >= observed.calls().len(), "{what}");
            // No lock outlives its process.
            let store = Arc::new(store.fork());
            assert_restores(&scene, &store, &what);
            let lab = scene.lab.on(store.clone());
            // Killed once more, somewhere.
            if dice.one_in(3) {
                let observed = Arc::new(ObservedStore::new(store.clone()));
                kill_at(&observed, dice.below(moment + 1));
                let _ = run_repair(&scene.lab.on(observed));
                assert_restores(&scene, &store, &what);
                let store = Arc::new(store.fork());
                let lab = scene.lab.on(store.clone());
                assert!(!run_repair(&lab).unwrap().is_lossy(), "{what}, twice");
                assert_is_done(&lab, &store, &expected, &what);
                continue;
            }
            assert!(!run_repair(&lab).unwrap().is_lossy(), "{what}");
            assert_is_done(&lab, &store, &expected, &what);
            assert_restores(&scene, &store, &what);
        }
    }
}

#[test]
fn a_pack_that_is_only_in_quarantine_still_helps_the_others_of_its_group() {
    let scene = Scene::new(false, (4, 2), 128, 601);
    let (lab, store) = scene.fork();
    damage(&scene, &store);
    // Killed after the original was set aside and before the new pack was written.
    let first = names::pack(scene.packs()[0]);
    let observed = ObservedStore::new(store.clone());
    observed.set_before(move |call| match call.operation {
        StoreOperation::Put if call.name.ends_with(".pack") && !call.name.starts_with(names::QUARANTINE) => {
            Err(StoreError::new(StoreErrorKind::Full, call.operation, &call.name, "no space left"))
        }
        _ => Ok(()),
    });
    replace(&observed, &first, &scene.whole[&first]).unwrap_err();
    assert!(store.head(&first).unwrap().is_none());
    assert_restores(&scene, &store, "with a pack in quarantine");
    assert!(!run_repair(&lab).unwrap().is_lossy());
    assert_eq!(store.get(&first, u64::MAX).unwrap(), scene.whole[&first]);
}
