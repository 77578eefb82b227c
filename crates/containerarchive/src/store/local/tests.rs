//! [`LocalStore`] on a real file system.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::*;

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

/// The store in a folder that lives as long as the first value.
fn fresh() -> (tempfile::TempDir, LocalStore) {
    let place = tempfile::tempdir().unwrap();
    let store = LocalStore::new(place.path().join("a/repository"));
    store.create(&["keys", "packs/data/00"]).unwrap();
    (place, store)
}

fn kind<T>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.err().unwrap().kind
}

fn list(store: &LocalStore, folder: &str) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    store.list(folder, &mut |entry| names.push(entry.name.to_string()))?;
    Ok(names)
}

#[test]
fn local_store_keeps_the_contract() {
    let place = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    crate::store::conformance::check(&|| {
        count.set(count.get() + 1);
        Arc::new(LocalStore::new(place.path().join(format!("{}/repository", count.get()))))
    });
}

#[test]
fn local_store_on_a_simulated_disk_keeps_the_contract() {
    crate::store::conformance::check(&|| Arc::new(LocalStore::with_disk("/repository", SimDisk::new(1))));
}

#[test]
fn files_and_folders_are_for_this_user_only() {
    let (_place, store) = fresh();
    store.put(&name("records/pin/a"), b"1", Durability::Durable).unwrap();
    drop(store.put_held(&name("keys/b"), b"1").unwrap());
    let mode =
        |path: &str| fs::metadata(store.folders.root().join(path)).unwrap().permissions().mode() & 0o777;
    for folder in ["", "tmp", "keys", "packs/data/00", "records", "records/pin"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    assert_eq!((mode("records/pin/a"), mode("keys/b")), (0o600, 0o600));
}

#[test]
fn puts_leave_nothing_under_tmp() {
    let (_place, store) = fresh();
    store.put(&name("keys/a"), b"1", Durability::Durable).unwrap();
    store.put(&name("keys/a"), b"2", Durability::Durable).unwrap_err();
    fs::write(store.folders.root().join("file"), "").unwrap();
    store.put(&name("file/b"), b"3", Durability::Durable).unwrap_err();
    store.put(&name("file/b"), b"3", Durability::Cache).unwrap_err();
    assert_eq!(list(&store, "tmp").unwrap(), [""; 0]);
}

#[test]
fn unfinished_objects_are_seen_under_tmp_only() {
    let (_place, store) = fresh();
    fs::write(store.folders.root().join("tmp/0123"), "leftover").unwrap();
    assert_eq!(list(&store, "").unwrap(), [""; 0]);
    assert_eq!(list(&store, "tmp").unwrap(), ["tmp/0123"]);
    store.create(&["keys", "packs/data/00"]).unwrap();
}

#[test]
fn a_missing_root_is_an_error_and_no_empty_store() {
    let place = tempfile::tempdir().unwrap();
    let store = LocalStore::new(place.path().join("unmounted"));
    assert_eq!(kind(list(&store, "")), StoreErrorKind::NotFound);
    assert_eq!(kind(list(&store, "keys")), StoreErrorKind::NotFound);
    assert_eq!(kind(store.head(&name("config.json"))), StoreErrorKind::NotFound);
    assert_eq!(kind(store.put(&name("keys/a"), b"", Durability::Durable)), StoreErrorKind::NotFound);
    assert_eq!(kind(store.put(&name("keys/a"), b"", Durability::Cache)), StoreErrorKind::NotFound);
    assert!(!place.path().join("unmounted").exists());
}

#[test]
fn a_tmp_folder_that_was_removed_comes_back() {
    let (_place, store) = fresh();
    fs::remove_dir(store.folders.root().join("tmp")).unwrap();
    fs::remove_dir(store.folders.root().join("keys")).unwrap();
    store.put(&name("keys/a"), b"1", Durability::Durable).unwrap();
    assert_eq!(list(&store, "").unwrap(), ["keys/a"]);
}

#[test]
fn links_and_pipes_are_never_read_in_place_of_objects() {
    let (place, store) = fresh();
    let secret = place.path().join("secret");
    fs::write(&secret, "of somebody else").unwrap();
    symlink(&secret, store.folders.root().join("keys/link")).unwrap();
    let pipe = store.folders.root().join("packs/data/00/pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (folder, text) in [("keys", "keys/link"), ("packs", "packs/data/00/pipe")] {
        let name = name(text);
        assert_eq!(kind(store.get(&name, 99)), StoreErrorKind::Failed);
        assert_eq!(kind(store.get_range(&name, 0, &mut [0])), StoreErrorKind::Failed);
        assert_eq!(kind(store.head(&name)), StoreErrorKind::Failed);
        assert_eq!(kind(store.is_held(&name)), StoreErrorKind::Failed);
        assert_eq!(kind(store.put(&name, b"x", Durability::Durable)), StoreErrorKind::AlreadyExists);
        assert_eq!(kind(list(&store, folder)), StoreErrorKind::Failed);
        store.delete(&name).unwrap();
    }
    assert_eq!(fs::read(&secret).unwrap(), b"of somebody else");
}

#[test]
fn listings_pass_over_names_that_are_not_ours() {
    let (_place, store) = fresh();
    for stranger in ["keys/Readme", "keys/.hidden", "keys/a b"] {
        fs::write(store.folders.root().join(stranger), "").unwrap();
    }
    fs::create_dir(store.folders.root().join("lost+found")).unwrap();
    fs::write(store.folders.root().join("lost+found/a"), "").unwrap();
    symlink("nowhere", store.folders.root().join("keys/.link")).unwrap();
    store.put(&name("keys/a"), b"", Durability::Durable).unwrap();
    assert_eq!(list(&store, "").unwrap(), ["keys/a"]);
}

#[test]
fn another_open_store_sees_the_lock() {
    let (_place, store) = fresh();
    let other = LocalStore::new(store.folders.root());
    let guard = store.put_held(&name("keys/a"), b"1").unwrap();
    assert_eq!(other.is_held(&name("keys/a")).unwrap(), Some(true));
    drop(guard);
    assert_eq!(other.is_held(&name("keys/a")).unwrap(), Some(false));
}

#[test]
fn the_location_is_absolute_and_a_file_there_is_in_the_way() {
    assert!(Path::new(&LocalStore::new("some/where").location()).is_absolute());
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    let store = LocalStore::new(place.path().join("file"));
    assert_eq!(kind(store.create(&["keys"])), StoreErrorKind::AlreadyExists);
    assert_eq!(kind(store.create(&["../keys"])), StoreErrorKind::Failed);
}

#[test]
fn one_folder_has_one_location_whatever_it_is_called() {
    let parent = tempfile::tempdir().unwrap();
    let real = parent.path().join("real");
    fs::create_dir(&real).unwrap();
    symlink(&real, parent.path().join("link")).unwrap();
    let location = |path: &str| LocalStore::new(parent.path().join(path)).location();
    let before = location("real/repository");
    assert_eq!(location("link/repository"), before);
    fs::create_dir(real.join("repository")).unwrap();
    for path in ["real/repository", "link/repository", "real/../link/./repository"] {
        assert_eq!(location(path), before, "{path}");
    }
}
