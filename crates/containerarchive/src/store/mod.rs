//! L1: stores keep named objects. They know names and bytes, never what an object means.
//!
//! Contract of every store: a [`Store::put`] is whole or nothing and creates; reads and listings begun after a
//! put or delete returned show it. Stores that cannot promise the latter say so in [`Capabilities::is_weak`].

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod error;
pub mod local;
pub mod memory;
#[cfg(any(test, feature = "testing"))]
pub mod observed;

pub use error::{StoreError, StoreErrorKind, StoreOperation};
pub use local::LocalStore;
pub use memory::MemoryStore;
#[cfg(any(test, feature = "testing"))]
pub use observed::ObservedStore;

use crate::base::{ObjectName, Timestamp};

/// How hard a put tries to survive a power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The object survives a power loss that follows the put.
    Durable,
    /// The object may vanish or be torn by a power loss: for caches that carry a checksum.
    Cache,
}

/// What a listing tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Its name.
    pub name: ObjectName,
    /// Its length in bytes.
    pub len: u64,
    /// When it was created, by the store's own clock.
    pub modified: Timestamp,
}

/// Properties of a store that change what the engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// A disk of this host: `.idx` files are kept and locks are the operating system's.
    pub is_local: bool,
    /// Reads and listings may be stale.
    pub is_weak: bool,
}

/// Keeps an object's operating-system lock until dropped. Dropping does not delete the object.
pub trait Held: Send + Sync {}

/// A place for objects.
pub trait Store: Send + Sync {
    /// A name for people and for the client's notes about this place, for example the absolute path.
    fn location(&self) -> String;

    /// Properties of this store.
    fn capabilities(&self) -> Capabilities;

    /// Makes folders and whatever else the store needs before the first put. `folders` are all folders that objects
    /// will be put into; existing ones, and objects in them, are fine. Durable when it returns. Fails with
    /// [`StoreErrorKind::AlreadyExists`] if the place has anything else at its top level.
    ///
    /// # Errors
    /// The place cannot be made ready.
    fn create(&self, folders: &[&str]) -> Result<(), StoreError>;

    /// Creates an object.
    ///
    /// # Errors
    /// [`StoreErrorKind::AlreadyExists`] if there is one of this name, which is left as it is; otherwise the object
    /// may or may not exist, whole.
    fn put(&self, name: &ObjectName, bytes: &[u8], durability: Durability) -> Result<(), StoreError>;

    /// Creates an object and holds its operating-system lock, which is taken before the object becomes visible.
    /// Stores without locks just put.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn put_held(&self, name: &ObjectName, bytes: &[u8]) -> Result<Box<dyn Held>, StoreError>;

    /// Whether some process holds the object's lock; `None` where the store has no locks.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] and the like.
    fn is_held(&self, name: &ObjectName) -> Result<Option<bool>, StoreError>;

    /// The whole object, if it is at most `max_bytes` long.
    ///
    /// # Errors
    /// [`StoreErrorKind::TooLarge`] above `max_bytes`, checked before memory is taken.
    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Vec<u8>, StoreError>;

    /// Fills `buffer` from `offset` of the object.
    ///
    /// # Errors
    /// [`StoreErrorKind::OutOfRange`] if the object ends before.
    fn get_range(&self, name: &ObjectName, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError>;

    /// Length of an object in bytes, `None` if there is none.
    ///
    /// # Errors
    /// The store could not be asked.
    fn head(&self, name: &ObjectName) -> Result<Option<u64>, StoreError>;

    /// Calls `each` for every object below a folder, in no order. A folder that does not exist is empty.
    /// Names that no [`ObjectName`] can have are passed over.
    ///
    /// # Errors
    /// The listing is incomplete.
    fn list(&self, folder: &str, each: &mut dyn FnMut(ListEntry)) -> Result<(), StoreError>;

    /// Deletes an object, durably.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if there is none.
    fn delete(&self, name: &ObjectName) -> Result<(), StoreError>;
}
