//! [`LocalStore`] under power loss, process death and failing calls at every step.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use super::*;

const ROOT: &str = "/backup/repository";
const FOLDERS: &[&str] = &["keys", "packs/data/00", "packs/data/01"];

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

fn store_on(disk: &SimDisk) -> LocalStore {
    LocalStore::with_disk(ROOT, disk.clone())
}

/// Long enough for several sectors, and different for each name.
fn content(text: &str) -> Vec<u8> {
    text.bytes().cycle().take(1800).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acknowledged {
    Whole,
    Deleted,
    /// An operation failed: whole or absent.
    Either,
}

/// The operations of a test, in order; what they promised, by name.
fn run_script(disk: &SimDisk) -> BTreeMap<&'static str, Acknowledged> {
    let store = store_on(disk);
    let mut promises = BTreeMap::new();
    // Without it, nobody made the root itself durable.
    if store.create(FOLDERS).is_err() {
        return promises;
    }
    for text in ["packs/data/00/a", "packs/data/01/b", "keys/c"] {
        promises.insert(text, put(&store, text));
    }
    let held = store.put_held(&name("locks/d"), &content("locks/d"));
    promises.insert("locks/d", held.as_ref().map_or(Acknowledged::Either, |_| Acknowledged::Whole));
    let _ = store.put(&name("packs/data/00/a.idx"), &content("cache"), Durability::Cache);
    promises.insert("records/pin/e", put(&store, "records/pin/e"));
    promises.insert("config.json", put(&store, "config.json"));
    if promises["keys/c"] == Acknowledged::Whole {
        let deleted = store.delete(&name("keys/c"));
        promises.insert("keys/c", deleted.map_or(Acknowledged::Either, |()| Acknowledged::Deleted));
    }
    promises
}

fn put(store: &LocalStore, text: &str) -> Acknowledged {
    match store.put(&name(text), &content(text), Durability::Durable) {
        Ok(()) => Acknowledged::Whole,
        Err(_) => Acknowledged::Either,
    }
}

fn check_promises(disk: &SimDisk, promises: &BTreeMap<&'static str, Acknowledged>, place: &str) {
    let files = disk.files();
    for (text, promise) in promises {
        let found = files.get(&format!("{ROOT}/{text}"));
        let is_whole = found.is_some_and(|bytes| *bytes == content(text));
        let is_kept = match promise {
            Acknowledged::Whole => is_whole,
            Acknowledged::Deleted => found.is_none(),
            Acknowledged::Either => found.is_none() || is_whole,
        };
        assert!(is_kept, "{text} was {promise:?}, but has {:?} bytes, {place}", found.map(Vec::len));
    }
}

/// Puts everything again. What is acknowledged or said to exist must survive all that follows.
fn use_again(disk: &SimDisk, place: &str) {
    let store = store_on(disk);
    let promised = ["packs/data/00/a", "packs/data/01/b", "locks/d", "records/pin/e", "config.json", "new/f"];
    if store.head(&name("config.json")).ok().flatten().is_none() {
        // A crash may leave objects of on-demand folders, which `create` would take for strangers.
        let folders = [FOLDERS, &["locks", "records"]].concat();
        store.create(&folders).unwrap_or_else(|error| panic!("{error}, {place}"));
    }
    for text in promised {
        match store.put(&name(text), &content(text), Durability::Durable) {
            Err(error) if error.kind != StoreErrorKind::AlreadyExists => panic!("{error}, {place}"),
            _ => {}
        }
        if store.is_held(&name(text)).unwrap() == Some(true) {
            panic!("{text} is held by a dead process, {place}");
        }
    }
    let promises = promised.map(|text| (text, Acknowledged::Whole)).into();
    check_promises(&disk.after_crash(CrashMode::DropAllUnsynced), &promises, place);
}

fn modes() -> Vec<CrashMode> {
    let random = (0..12).map(|seed| CrashMode::KeepRandomSubset { seed });
    [CrashMode::ProcessDies, CrashMode::DropAllUnsynced].into_iter().chain(random).collect()
}

fn steps_of_script() -> u64 {
    let disk = SimDisk::new(0);
    assert!(!run_script(&disk).values().any(|promise| *promise == Acknowledged::Either));
    disk.steps()
}

#[test]
fn acknowledged_objects_survive_a_crash_at_every_step() {
    for step in 0..=steps_of_script() {
        for mode in modes() {
            let place = format!("crash at step {step}, {mode:?}");
            let disk = SimDisk::new(step);
            disk.crash_at(step);
            let promises = run_script(&disk);
            let left = disk.after_crash(mode);
            check_promises(&left, &promises, &place);
            use_again(&left, &place);
            check_promises(&left.after_crash(CrashMode::DropAllUnsynced), &promises, &place);
        }
    }
}

#[test]
fn failing_calls_break_no_promise_and_leave_the_store_usable() {
    let kinds = [
        ErrorKind::StorageFull,
        ErrorKind::PermissionDenied,
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::Interrupted,
        ErrorKind::TimedOut,
        ErrorKind::Other,
    ];
    for step in 0..steps_of_script() {
        for kind in kinds {
            for persistent in [false, true] {
                let place = format!("{kind:?} at step {step}, persistent: {persistent}");
                let disk = SimDisk::new(step);
                disk.fail_nth(step, kind, persistent);
                let promises = run_script(&disk);
                check_promises(&disk, &promises, &place);
                for mode in modes() {
                    check_promises(&disk.after_crash(mode), &promises, &place);
                }
                disk.stop_failing();
                use_again(&disk, &place);
            }
        }
    }
}

#[test]
fn a_failed_fsync_is_final() {
    let disk = SimDisk::new(0);
    store_on(&disk).create(FOLDERS).unwrap();
    let start = disk.steps();
    store_on(&disk).put(&name("keys/a"), &content("keys/a"), Durability::Durable).unwrap();
    let trace = disk.trace().split_off(start as usize);
    let syncs: Vec<usize> = (0..trace.len()).filter(|step| trace[*step].starts_with("sync")).collect();
    assert_eq!(syncs.len(), 3, "the file, the folder's parent once, the folder: {trace:?}");

    for sync in syncs {
        let disk = SimDisk::new(0);
        store_on(&disk).create(FOLDERS).unwrap();
        disk.fail_nth(disk.steps() + sync as u64, ErrorKind::Other, false);
        store_on(&disk).put(&name("keys/a"), &content("keys/a"), Durability::Durable).unwrap_err();
        assert!(!disk.files().keys().any(|path| path.contains("/tmp/")), "leftover after sync {sync}");
        let failed_at = start as usize + sync;
        let again = disk.trace()[failed_at + 1..].iter().filter(|step| step.starts_with("sync")).count();
        assert_eq!(again, 0, "an fsync followed the failed one");
    }
}

#[test]
fn a_lock_that_cannot_be_taken_publishes_nothing() {
    let disk = SimDisk::new(0);
    let store = store_on(&disk);
    store.create(FOLDERS).unwrap();
    let lock_step = {
        let trial = disk.after_crash(CrashMode::ProcessDies);
        store_on(&trial).put_held(&name("keys/a"), b"a").map(drop).unwrap();
        trial.trace().iter().position(|step| *step == "lock").unwrap()
    };
    disk.fail_nth(disk.steps() + lock_step as u64, ErrorKind::Unsupported, false);
    assert!(store.put_held(&name("keys/a"), b"a").is_err());
    assert_eq!(disk.files().len(), 0);
}

#[test]
fn create_fsyncs_each_parent_once() {
    let disk = SimDisk::new(0);
    let shards: Vec<String> = (0..256).map(|shard| format!("packs/data/{shard:02x}")).collect();
    let folders: Vec<&str> = shards.iter().map(String::as_str).collect();
    let store = store_on(&disk);
    store.create(&folders).unwrap();
    let syncs = disk.trace().iter().filter(|step| **step == "sync folder").count();
    assert_eq!(syncs, 5, "packs/data, packs, the root and the two above it");

    let syncs_of = |store: &LocalStore, text: &str| {
        let before = disk.steps() as usize;
        store.put(&name(text), b"x", Durability::Durable).unwrap();
        disk.trace()[before..].iter().filter(|step| **step == "sync folder").count()
    };
    assert_eq!(syncs_of(&store, "packs/data/07/a"), 1);
    let other = store_on(&disk);
    assert_eq!(syncs_of(&other, "packs/data/07/b"), 4, "a new handle knows nothing of the folders above");
    assert_eq!(syncs_of(&other, "packs/data/08/c"), 1, "and learns of the siblings at once");
}

#[test]
fn caches_are_written_without_fsync() {
    let disk = SimDisk::new(0);
    let store = store_on(&disk);
    store.create(FOLDERS).unwrap();
    let before = disk.steps() as usize;
    store.put(&name("keys/a"), &content("a"), Durability::Cache).unwrap();
    assert_eq!(disk.trace()[before..], ["create", "write", "write", "rename"]);
}

#[test]
fn the_simulated_disk_tears_what_was_not_fsynced() {
    let disk = SimDisk::new(3);
    let store = store_on(&disk);
    store.create(FOLDERS).unwrap();
    store.put(&name("keys/a"), &content("a"), Durability::Cache).unwrap();
    let found = |seed| {
        let files = disk.after_crash(CrashMode::KeepRandomSubset { seed }).files();
        files.get(&format!("{ROOT}/keys/a")).cloned()
    };
    let outcomes: Vec<_> = (0..64).map(found).collect();
    let torn = |bytes: &Vec<u8>| !bytes.is_empty() && *bytes != content("a");
    assert!(outcomes.iter().any(Option::is_none));
    assert!(outcomes.iter().flatten().any(torn));
    assert!(outcomes.iter().flatten().any(Vec::is_empty));
    assert_eq!(outcomes, (0..64).map(found).collect::<Vec<_>>(), "the same seed leaves the same");
    assert!(disk.after_crash(CrashMode::DropAllUnsynced).files().is_empty());
}

#[test]
fn the_simulated_disk_loses_the_data_of_a_failed_fsync() {
    let disk = SimDisk::new(0);
    let mut file = disk.create_file(Path::new("/a")).unwrap();
    disk.sync_folder(Path::new("/")).unwrap();
    file.write_all(b"lost").unwrap();
    disk.fail_nth(disk.steps(), ErrorKind::Other, false);
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert_eq!(disk.files()["/a"], b"lost");
    assert_eq!(disk.after_crash(CrashMode::DropAllUnsynced).files()["/a"], b"");
}

#[test]
fn already_exists_means_that_the_object_is_there() {
    let steps = {
        let disk = SimDisk::new(0);
        store_on(&disk).create(FOLDERS).unwrap();
        let start = disk.steps();
        drop(store_on(&disk).put_held(&name("locks/a"), b"a").unwrap());
        start..disk.steps()
    };
    for step in steps {
        let disk = SimDisk::new(0);
        store_on(&disk).create(FOLDERS).unwrap();
        disk.fail_nth(step, ErrorKind::AlreadyExists, false);
        let result = store_on(&disk).put_held(&name("locks/a"), b"a").map(drop);
        let is_there = disk.files().contains_key(&format!("{ROOT}/locks/a"));
        let says_so = result.is_err_and(|error| error.kind == StoreErrorKind::AlreadyExists);
        assert!(is_there || !says_so, "step {step}");
    }
}

#[test]
fn locks_end_with_their_process_and_objects_stay() {
    let disk = SimDisk::new(0);
    let store = store_on(&disk);
    store.create(FOLDERS).unwrap();
    let guard = store.put_held(&name("locks/a"), b"a").unwrap();
    for mode in modes() {
        let left = store_on(&disk.after_crash(mode));
        assert_eq!(left.is_held(&name("locks/a")).unwrap(), Some(false), "{mode:?}");
    }
    assert_eq!(store.is_held(&name("locks/a")).unwrap(), Some(true));
    drop(guard);
}
