//! What every store must do, as one suite that each of them is tested with.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken promise must stop the test that checks it")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Durability, Store, StoreError, StoreErrorKind};
use crate::base::ObjectName;

/// Gives a new, empty place each time it is called; nothing was created there yet.
pub type Make<'a> = dyn Fn() -> Arc<dyn Store> + 'a;

/// One promise and the function that checks it.
pub type Case = (&'static str, fn(&Make<'_>));

/// All promises.
pub const CASES: &[Case] = &[
    ("objects come back as they were put", objects_come_back_as_they_were_put),
    ("a put never replaces", a_put_never_replaces),
    ("a put makes the folder it needs", a_put_makes_the_folder_it_needs),
    ("one of many puts of a name wins", one_of_many_puts_of_a_name_wins),
    ("ranges are exact", ranges_are_exact),
    ("objects above the limit are refused", objects_above_the_limit_are_refused),
    ("missing objects are not found", missing_objects_are_not_found),
    ("a folder is no object", a_folder_is_no_object),
    ("listings show whole folders and nothing else", listings_show_whole_folders_and_nothing_else),
    ("a listing may use the store", a_listing_may_use_the_store),
    ("a deleted name is free again", a_deleted_name_is_free_again),
    ("held objects are held until released", held_objects_are_held_until_released),
    ("held objects are never seen free", held_objects_are_never_seen_free),
    ("create may be repeated", create_may_be_repeated),
    ("create refuses strangers", create_refuses_strangers),
];

/// Checks all promises.
///
/// # Panics
/// One is broken. Standard error says which one was being checked.
pub fn check(make: &Make<'_>) {
    for (promise, run) in CASES {
        let broken = Broken(promise);
        run(make);
        std::mem::forget(broken);
    }
}

/// Names the promise when a check panics.
struct Broken(&'static str);

impl Drop for Broken {
    #[expect(clippy::print_stderr, reason = "goes with the panic's own message")]
    fn drop(&mut self) {
        eprintln!("a store broke its promise: {}", self.0);
    }
}

const FOLDERS: &[&str] = &["keys", "locks", "packs/data/00", "packs/data/01", "packs/data2"];

fn created(make: &Make<'_>) -> Arc<dyn Store> {
    let store = make();
    store.create(FOLDERS).unwrap();
    store
}

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

fn put(store: &dyn Store, text: &str, bytes: &[u8]) {
    store.put(&name(text), bytes, Durability::Durable).unwrap();
}

fn kind<T>(result: Result<T, StoreError>) -> StoreErrorKind {
    match result {
        Ok(_) => panic!("the call should have failed"),
        Err(error) => error.kind,
    }
}

fn listed(store: &dyn Store, folder: &str) -> BTreeMap<String, u64> {
    let mut entries = BTreeMap::new();
    let mut add = |entry: super::ListEntry| {
        let before = entries.insert(entry.name.to_string(), entry.len);
        assert_eq!(before, None, "{} is listed twice", entry.name);
    };
    store.list(folder, &mut add).unwrap();
    entries
}

fn names(store: &dyn Store, folder: &str) -> Vec<String> {
    listed(store, folder).into_keys().collect()
}

fn objects_come_back_as_they_were_put(make: &Make<'_>) {
    let store = created(make);
    let large: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    for durability in [Durability::Durable, Durability::Cache] {
        for (text, bytes) in [("empty", &[][..]), ("one", &[7]), ("large", &large)] {
            let name = name(&format!("keys/{text}-{durability:?}").to_lowercase());
            store.put(&name, bytes, durability).unwrap();
            assert_eq!(store.get(&name, bytes.len() as u64).unwrap(), bytes);
            assert_eq!(store.head(&name).unwrap(), Some(bytes.len() as u64));
        }
    }
}

fn a_put_never_replaces(make: &Make<'_>) {
    let store = created(make);
    let name = name("keys/a");
    put(store.as_ref(), "keys/a", b"first");
    for durability in [Durability::Durable, Durability::Cache] {
        assert_eq!(kind(store.put(&name, b"second", durability)), StoreErrorKind::AlreadyExists);
    }
    assert_eq!(kind(store.put_held(&name, b"third")), StoreErrorKind::AlreadyExists);
    assert_eq!(store.get(&name, 99).unwrap(), b"first");
    assert_eq!(names(store.as_ref(), ""), ["keys/a"]);
}

fn a_put_makes_the_folder_it_needs(make: &Make<'_>) {
    let store = created(make);
    put(store.as_ref(), "records/pin/a.json", b"{}");
    put(store.as_ref(), "config.json", b"{}");
    store.put(&name("cache/b"), b"b", Durability::Cache).unwrap();
    drop(store.put_held(&name("sessions/c"), b"c").unwrap());
    let all = ["cache/b", "config.json", "records/pin/a.json", "sessions/c"];
    assert_eq!(names(store.as_ref(), ""), all);
}

fn one_of_many_puts_of_a_name_wins(make: &Make<'_>) {
    let store = created(make);
    for round in 0..5 {
        let name = name(&format!("keys/{round}"));
        let contents: Vec<Vec<u8>> = (0..4_u8).map(|writer| vec![writer; 5000]).collect();
        let results: Vec<_> = std::thread::scope(|scope| {
            let (store, name) = (&store, &name);
            let put = |content: &[u8]| store.put(name, content, Durability::Durable);
            let threads: Vec<_> = contents.iter().map(|content| scope.spawn(move || put(content))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<usize> = (0..results.len()).filter(|writer| results[*writer].is_ok()).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        assert_eq!(store.get(&name, 5000).unwrap(), contents[winners[0]]);
        for loser in results.into_iter().filter(Result::is_err) {
            assert_eq!(kind(loser), StoreErrorKind::AlreadyExists);
        }
    }
}

fn ranges_are_exact(make: &Make<'_>) {
    let store = created(make);
    let name = name("keys/a");
    put(store.as_ref(), "keys/a", b"0123456789");
    let range = |offset, len| {
        let mut buffer = vec![0; len];
        store.get_range(&name, offset, &mut buffer).map(|()| buffer)
    };
    assert_eq!(range(0, 10).unwrap(), b"0123456789");
    assert_eq!(range(3, 4).unwrap(), b"3456");
    assert_eq!(range(9, 1).unwrap(), b"9");
    assert_eq!(range(10, 0).unwrap(), b"");
    for (offset, len) in [(0, 11), (9, 2), (10, 1), (11, 0), (11, 1), (u64::MAX, 0), (u64::MAX, 1)] {
        assert_eq!(kind(range(offset, len)), StoreErrorKind::OutOfRange, "{len} bytes from {offset}");
    }
}

fn objects_above_the_limit_are_refused(make: &Make<'_>) {
    let store = created(make);
    put(store.as_ref(), "keys/a", b"0123456789");
    assert_eq!(kind(store.get(&name("keys/a"), 9)), StoreErrorKind::TooLarge);
    assert_eq!(kind(store.get(&name("keys/a"), 0)), StoreErrorKind::TooLarge);
    assert_eq!(store.get(&name("keys/a"), 10).unwrap().len(), 10);
    assert_eq!(store.get(&name("keys/a"), u64::MAX).unwrap().len(), 10);
}

fn missing_objects_are_not_found(make: &Make<'_>) {
    let store = created(make);
    put(store.as_ref(), "keys/a", b"a");
    for text in ["keys/b", "nowhere/b", "b", "packs/data/00/b"] {
        let name = name(text);
        assert_eq!(store.head(&name).unwrap(), None);
        assert_eq!(kind(store.get(&name, 9)), StoreErrorKind::NotFound);
        assert_eq!(kind(store.get_range(&name, 0, &mut [0])), StoreErrorKind::NotFound);
        assert_eq!(kind(store.delete(&name)), StoreErrorKind::NotFound);
        assert_eq!(kind(store.is_held(&name)), StoreErrorKind::NotFound);
    }
}

fn a_folder_is_no_object(make: &Make<'_>) {
    let store = created(make);
    put(store.as_ref(), "packs/data/00/a", b"a");
    let folder = name("packs/data/00");
    assert_eq!(store.head(&folder).unwrap(), None);
    assert_eq!(kind(store.get(&folder, 9)), StoreErrorKind::NotFound);
    assert_eq!(kind(store.get_range(&folder, 0, &mut [])), StoreErrorKind::NotFound);
    assert_eq!(kind(store.is_held(&folder)), StoreErrorKind::NotFound);
    assert_eq!(kind(store.delete(&folder)), StoreErrorKind::NotFound);
    assert_eq!(names(store.as_ref(), "packs"), ["packs/data/00/a"]);
}

fn listings_show_whole_folders_and_nothing_else(make: &Make<'_>) {
    let store = created(make);
    assert_eq!(names(store.as_ref(), ""), [""; 0]);
    let all = ["config.json", "keys/a", "packs/data/00/a", "packs/data/01/b", "packs/data2/c"];
    for (len, text) in all.iter().enumerate() {
        put(store.as_ref(), text, &vec![0; len]);
    }
    let expected: BTreeMap<String, u64> = (0..).zip(all).map(|(len, text)| (text.to_owned(), len)).collect();
    assert_eq!(listed(store.as_ref(), ""), expected);
    assert_eq!(names(store.as_ref(), "packs"), all[2..]);
    assert_eq!(names(store.as_ref(), "packs/data"), all[2..4]);
    assert_eq!(names(store.as_ref(), "packs/data/01"), all[3..4]);
    for empty in ["locks", "nowhere", "pack", "packs/dat", "keys/a", "config.json", "../keys", "/", "keys/"] {
        assert_eq!(names(store.as_ref(), empty), [""; 0], "{empty}");
    }
}

fn a_listing_may_use_the_store(make: &Make<'_>) {
    let store = created(make);
    for text in ["keys/a", "keys/b", "keys/c"] {
        put(store.as_ref(), text, b"x");
    }
    store.list("keys", &mut |entry| store.delete(&entry.name).unwrap()).unwrap();
    assert_eq!(names(store.as_ref(), "keys"), [""; 0]);
}

fn a_deleted_name_is_free_again(make: &Make<'_>) {
    let store = created(make);
    put(store.as_ref(), "keys/a", b"1");
    store.delete(&name("keys/a")).unwrap();
    assert_eq!(store.head(&name("keys/a")).unwrap(), None);
    assert_eq!(names(store.as_ref(), ""), [""; 0]);
    assert_eq!(kind(store.delete(&name("keys/a"))), StoreErrorKind::NotFound);
    put(store.as_ref(), "keys/a", b"2");
    assert_eq!(store.get(&name("keys/a"), 9).unwrap(), b"2");
}

fn held_objects_are_held_until_released(make: &Make<'_>) {
    let store = created(make);
    let name = name("locks/a");
    let guard = store.put_held(&name, b"session").unwrap();
    let Some(is_held) = store.is_held(&name).unwrap() else {
        return;
    };
    assert!(is_held);
    assert_eq!(store.is_held(&name).unwrap(), Some(true), "asking must not take the lock");
    assert_eq!(store.get(&name, 99).unwrap(), b"session");
    drop(guard);
    assert_eq!(store.is_held(&name).unwrap(), Some(false));
    assert_eq!(store.is_held(&name).unwrap(), Some(false));
    assert_eq!(store.get(&name, 99).unwrap(), b"session", "releasing must not delete");

    let guard = store.put_held(&self::name("locks/b"), b"").unwrap();
    store.delete(&self::name("locks/b")).unwrap();
    drop(guard);
    put(store.as_ref(), "locks/c", b"");
    assert_eq!(store.is_held(&self::name("locks/c")).unwrap(), Some(false));
}

fn held_objects_are_never_seen_free(make: &Make<'_>) {
    let store = created(make);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let mut seen = Vec::new();
                store.list("locks", &mut |entry| seen.push(entry.name)).unwrap();
                for name in seen {
                    assert_ne!(store.is_held(&name).unwrap(), Some(false), "{name} is seen without its lock");
                }
            }
        });
        let guards: Vec<_> =
            (0..20).map(|i| store.put_held(&name(&format!("locks/{i}")), b"x").unwrap()).collect();
        is_over.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
        drop(guards);
    });
}

fn create_may_be_repeated(make: &Make<'_>) {
    let store = created(make);
    put(store.as_ref(), "packs/data/00/a", b"a");
    store.create(FOLDERS).unwrap();
    store.create(&["keys", "locks", "packs", "snapshots"]).unwrap();
    assert_eq!(store.get(&name("packs/data/00/a"), 9).unwrap(), b"a");
}

fn create_refuses_strangers(make: &Make<'_>) {
    let store = created(make);
    put(store.as_ref(), "config.json", b"{}");
    assert_eq!(kind(store.create(FOLDERS)), StoreErrorKind::AlreadyExists);
    store.delete(&name("config.json")).unwrap();
    store.create(FOLDERS).unwrap();

    put(store.as_ref(), "photos/cat", b"meow");
    assert_eq!(kind(store.create(FOLDERS)), StoreErrorKind::AlreadyExists);
    assert_eq!(store.get(&name("photos/cat"), 9).unwrap(), b"meow");

    let store = make();
    store.create(&["keys"]).unwrap();
    put(store.as_ref(), "locks", b"in the way");
    assert_eq!(kind(store.create(FOLDERS)), StoreErrorKind::AlreadyExists);
}
