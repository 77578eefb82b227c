//! Small objects and their replicas (`docs/FORMAT.md` section 14).

use std::collections::BTreeSet;

use super::RepoError;
use crate::base::{Monitor, ObjectName, Problem};
use crate::format::{FormatError, names};
use crate::store::{Durability, Store, StoreError, StoreErrorKind};

/// Reads a small object and makes something of it; from its replica if the original is missing or damaged.
/// `Ok(None)`: neither exists.
///
/// # Errors
/// Both are damaged, or the store failed.
pub(super) fn read_replicated<T>(
    store: &dyn Store,
    name: &ObjectName,
    max_bytes: usize,
    monitor: &dyn Monitor,
    parse: impl Fn(&[u8]) -> Result<T, FormatError>,
) -> Result<Option<T>, RepoError> {
    let original = match read_one(store, name, max_bytes, &parse) {
        Ok(Some(value)) => return Ok(Some(value)),
        Ok(None) => Ok(None::<T>),
        Err(error) if error.is_damage() => Err(error),
        Err(error) => return Err(error),
    };
    let replica = read_one(store, &names::replica(name), max_bytes, &parse);
    match (original, replica) {
        (original, Ok(Some(value))) => {
            let what = if original.is_ok() { "missing" } else { "damaged" };
            let text = format!("{what}; its replica is intact and was used");
            monitor.problem(&Problem::Mended { object: name.to_string(), text });
            Ok(Some(value))
        }
        (Err(damaged), _) => Err(damaged),
        (Ok(_), replica) => replica,
    }
}

fn read_one<T>(
    store: &dyn Store,
    name: &ObjectName,
    max_bytes: usize,
    parse: &impl Fn(&[u8]) -> Result<T, FormatError>,
) -> Result<Option<T>, RepoError> {
    match store.get(name, max_bytes as u64) {
        Ok(bytes) => parse(&bytes).map(Some).map_err(|source| RepoError::format(name, source)),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
        Err(error) if error.kind == StoreErrorKind::TooLarge => {
            Err(RepoError::format(name, FormatError::broken("R-TEXT-1", "it is too long")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes a small object, then its replica.
///
/// # Errors
/// The store failed.
pub(super) fn put_replicated(store: &dyn Store, name: &ObjectName, bytes: &[u8]) -> Result<(), RepoError> {
    store.put(name, bytes, Durability::Durable)?;
    put_replica(store, name, bytes)
}

/// Writes a replica; one that is there already (left by an interrupted attempt) is the same object.
pub(super) fn put_replica(store: &dyn Store, name: &ObjectName, bytes: &[u8]) -> Result<(), RepoError> {
    match store.put(&names::replica(name), bytes, Durability::Durable) {
        Err(error) if error.kind != StoreErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// Deletes the replica, then the object.
///
/// # Errors
/// The store failed; what is gone already is fine.
pub(super) fn delete_replicated(store: &dyn Store, name: &ObjectName) -> Result<(), RepoError> {
    delete_if_there(store, &names::replica(name))?;
    delete_if_there(store, name)?;
    Ok(())
}

/// Deletes an object that may be gone already.
pub(super) fn delete_if_there(store: &dyn Store, name: &ObjectName) -> Result<(), StoreError> {
    match store.delete(name) {
        Err(error) if error.kind != StoreErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Ids of the objects of a folder with this extension, originals and replicas alike, in order.
pub(super) fn list_replicated<T: std::str::FromStr + Ord>(
    store: &dyn Store,
    folder: &str,
    extension: &str,
) -> Result<BTreeSet<T>, RepoError> {
    let mut ids = BTreeSet::new();
    for folder in [folder.to_owned(), format!("{}/{folder}", names::REPLICAS)] {
        store.list(&folder, &mut |entry| ids.extend(names::id_of::<T>(&entry.name, extension)))?;
    }
    Ok(ids)
}
