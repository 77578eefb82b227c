//! Objects in memory: for repositories that need not outlive the process, and for tests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Capabilities, Durability, Held, ListEntry, Store, StoreError, StoreErrorKind, StoreOperation};
use crate::base::{Clock, ObjectName, SystemClock, Timestamp};

/// A store in memory, empty at first. Has locks, like a local disk, unless its capabilities say otherwise.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    capabilities: Capabilities,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<ObjectName, Object>,
    is_read_only: bool,
}

#[derive(Clone)]
struct Object {
    bytes: Arc<Vec<u8>>,
    modified: Timestamp,
    /// Alive as long as the guard is. Belongs to this object, not to its name, which may be used again.
    lock: Weak<()>,
}

struct MemoryHeld {
    _lock: Arc<()>,
}

impl Held for MemoryHeld {}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("objects", &self.state().objects.len()).finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let capabilities = Capabilities { is_local: true, is_weak: false };
        Self { clock: Arc::new(SystemClock), capabilities, state: Mutex::default() }
    }

    /// Takes the times of objects from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Claims other capabilities. A store that is not local has no locks.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self, operation: StoreOperation, name: &str) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        if state.is_read_only {
            return Err(StoreError::new(StoreErrorKind::Denied, operation, name, "the store is read-only"));
        }
        Ok(state)
    }

    fn object(&self, operation: StoreOperation, name: &ObjectName) -> Result<Object, StoreError> {
        let found = self.state().objects.get(name).cloned();
        found.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, operation, name, "no such object"))
    }

    fn insert(&self, operation: StoreOperation, name: &ObjectName, object: Object) -> Result<(), StoreError> {
        let mut state = self.writable(operation, name.as_str())?;
        if state.objects.contains_key(name) {
            let text = "the object is already there";
            return Err(StoreError::new(StoreErrorKind::AlreadyExists, operation, name, text));
        }
        state.objects.insert(name.clone(), object);
        Ok(())
    }

    fn new_object(&self, bytes: &[u8], lock: Weak<()>) -> Object {
        Object { bytes: Arc::new(bytes.to_vec()), modified: self.clock.now(), lock }
    }
}

impl Store for MemoryStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn create(&self, folders: &[&str]) -> Result<(), StoreError> {
        let state = self.writable(StoreOperation::Create, "memory")?;
        let top = |path: &str| path.split('/').next().map(str::to_owned);
        let is_expected = |name: &ObjectName| {
            let first = top(name.as_str());
            name.as_str().contains('/')
                && (first.as_deref() == Some("tmp") || folders.iter().any(|folder| top(folder) == first))
        };
        match state.objects.keys().find(|name| !is_expected(name)) {
            None => Ok(()),
            Some(stranger) => {
                let text = format!("'{stranger}' is already there");
                let (kind, operation) = (StoreErrorKind::AlreadyExists, StoreOperation::Create);
                Err(StoreError::new(kind, operation, "memory", &text))
            }
        }
    }

    fn put(&self, name: &ObjectName, bytes: &[u8], _durability: Durability) -> Result<(), StoreError> {
        self.insert(StoreOperation::Put, name, self.new_object(bytes, Weak::new()))
    }

    fn put_held(&self, name: &ObjectName, bytes: &[u8]) -> Result<Box<dyn Held>, StoreError> {
        let lock = Arc::new(());
        self.insert(StoreOperation::Lock, name, self.new_object(bytes, Arc::downgrade(&lock)))?;
        Ok(Box::new(MemoryHeld { _lock: lock }))
    }

    fn is_held(&self, name: &ObjectName) -> Result<Option<bool>, StoreError> {
        let object = self.object(StoreOperation::Lock, name)?;
        Ok(self.capabilities.is_local.then(|| object.lock.strong_count() > 0))
    }

    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Vec<u8>, StoreError> {
        let object = self.object(StoreOperation::Get, name)?;
        if object.bytes.len() as u64 > max_bytes {
            let text = format!("{} bytes are more than the limit of {max_bytes}", object.bytes.len());
            return Err(StoreError::new(StoreErrorKind::TooLarge, StoreOperation::Get, name, &text));
        }
        Ok(object.bytes.to_vec())
    }

    fn get_range(&self, name: &ObjectName, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let object = self.object(StoreOperation::GetRange, name)?;
        let start = usize::try_from(offset).ok();
        let end = start.and_then(|start| start.checked_add(buffer.len()));
        match start.zip(end).and_then(|(start, end)| object.bytes.get(start..end)) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => {
                let (kind, operation) = (StoreErrorKind::OutOfRange, StoreOperation::GetRange);
                Err(StoreError::new(kind, operation, name, "the object ends before"))
            }
        }
    }

    fn head(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        Ok(self.state().objects.get(name).map(|object| object.bytes.len() as u64))
    }

    fn list(&self, folder: &str, each: &mut dyn FnMut(ListEntry)) -> Result<(), StoreError> {
        let is_inside = |name: &str| match folder {
            "" => !name.starts_with("tmp/"),
            folder => name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        };
        // Collected first, because `each` may call this store.
        let entries: Vec<ListEntry> = self
            .state()
            .objects
            .iter()
            .filter(|(name, _)| is_inside(name.as_str()))
            .map(|(name, object)| ListEntry {
                name: name.clone(),
                len: object.bytes.len() as u64,
                modified: object.modified,
            })
            .collect();
        entries.into_iter().for_each(each);
        Ok(())
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let mut state = self.writable(StoreOperation::Delete, name.as_str())?;
        match state.objects.remove(name) {
            Some(_) => Ok(()),
            None => {
                let (kind, operation) = (StoreErrorKind::NotFound, StoreOperation::Delete);
                Err(StoreError::new(kind, operation, name, "no such object"))
            }
        }
    }
}

/// What a test may do behind the engine's back.
#[cfg(any(test, feature = "testing"))]
impl MemoryStore {
    /// Changes the bytes of an object; false if there is none.
    pub fn corrupt(&self, name: &ObjectName, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.state();
        let object = state.objects.get_mut(name);
        object.map(|object| change(Arc::make_mut(&mut object.bytes))).is_some()
    }

    /// Removes an object; false if there is none.
    pub fn remove(&self, name: &ObjectName) -> bool {
        self.state().objects.remove(name).is_some()
    }

    /// The names of all objects, in order.
    #[must_use]
    pub fn names(&self) -> Vec<ObjectName> {
        self.state().objects.keys().cloned().collect()
    }

    /// An independent store with the same objects, held by nobody: what a crash of all processes leaves.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut objects = self.state().objects.clone();
        objects.values_mut().for_each(|object| object.lock = Weak::new());
        let state = Mutex::new(State { objects, is_read_only: false });
        Self { clock: Arc::clone(&self.clock), capabilities: self.capabilities, state }
    }

    /// Goes back to the objects of `snapshot`, which is most often an earlier [`Self::fork`].
    pub fn restore(&self, snapshot: &Self) {
        let objects = std::mem::take(&mut snapshot.fork().state().objects);
        self.state().objects = objects;
    }

    /// Refuses puts and deletes, or takes them again.
    pub fn set_read_only(&self, is_read_only: bool) {
        self.state().is_read_only = is_read_only;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ObjectName {
        ObjectName::parse(text).unwrap()
    }

    #[test]
    fn memory_store_keeps_the_contract() {
        crate::store::conformance::check(&|| Arc::new(MemoryStore::new()));
    }

    #[test]
    fn a_lock_belongs_to_its_object_and_not_to_the_name() {
        let store = MemoryStore::new();
        let guard = store.put_held(&name("locks/a"), b"1").unwrap();
        store.delete(&name("locks/a")).unwrap();
        store.put(&name("locks/a"), b"2", Durability::Durable).unwrap();
        assert_eq!(store.is_held(&name("locks/a")).unwrap(), Some(false));
        drop(guard);
    }

    #[test]
    fn a_fork_is_independent_and_holds_no_locks() {
        let store = MemoryStore::new();
        let _guard = store.put_held(&name("locks/a"), b"1").unwrap();
        let fork = store.fork();
        assert_eq!(fork.is_held(&name("locks/a")).unwrap(), Some(false));
        assert!(store.corrupt(&name("locks/a"), |bytes| bytes.push(0)));
        assert_eq!(fork.get(&name("locks/a"), 9).unwrap(), b"1");
        store.restore(&fork);
        assert_eq!(store.get(&name("locks/a"), 9).unwrap(), b"1");
        assert!(store.remove(&name("locks/a")));
        assert_eq!((store.names().len(), fork.names().len()), (0, 1));
    }

    #[test]
    fn a_read_only_store_refuses_changes_and_answers_reads() {
        let store = MemoryStore::new();
        store.put(&name("a"), b"1", Durability::Durable).unwrap();
        store.set_read_only(true);
        let denied = |result: Result<(), StoreError>| result.unwrap_err().kind == StoreErrorKind::Denied;
        assert!(denied(store.put(&name("b"), b"", Durability::Durable)));
        assert!(denied(store.put_held(&name("b"), b"").map(drop)));
        assert!(denied(store.delete(&name("a"))));
        assert_eq!(store.get(&name("a"), 1).unwrap(), b"1");
    }
}
