//! A wrapper that shows every call to a test, which may fail it or act in between.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Capabilities, Durability, Held, ListEntry, Store, StoreError, StoreErrorKind, StoreOperation};
use crate::base::ObjectName;

/// One call to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number, counted from zero.
    pub index: usize,
    /// What was asked.
    pub operation: StoreOperation,
    /// Of which object or folder.
    pub name: String,
    /// Bytes written, or wanted by a range read; 0 for all else.
    pub len: u64,
}

/// Decides about a call; an error is returned to the caller.
pub type Hook = dyn Fn(&Call) -> Result<(), StoreError> + Send + Sync;

/// Records the calls to another store and asks hooks about them.
///
/// Hooks run without any lock taken, so they may use the inner store, and this one if they can bear to be called
/// for that as well.
pub struct ObservedStore {
    inner: Arc<dyn Store>,
    calls: Mutex<Vec<Call>>,
    hooks: Mutex<Hooks>,
}

#[derive(Default)]
struct Hooks {
    before: Option<Arc<Hook>>,
    after: Option<Arc<Hook>>,
}

impl fmt::Debug for ObservedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedStore").field("calls", &self.lock_calls().len()).finish_non_exhaustive()
    }
}

impl ObservedStore {
    /// Observes this store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, calls: Mutex::default(), hooks: Mutex::default() }
    }

    /// The store behind.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    /// Asks this hook before each call, in place of any earlier one; its error means that nothing is done.
    pub fn set_before(&self, hook: impl Fn(&Call) -> Result<(), StoreError> + Send + Sync + 'static) {
        self.lock_hooks().before = Some(Arc::new(hook));
    }

    /// Asks this hook after each call that succeeded; its error means done, but reported as failed.
    pub fn set_after(&self, hook: impl Fn(&Call) -> Result<(), StoreError> + Send + Sync + 'static) {
        self.lock_hooks().after = Some(Arc::new(hook));
    }

    /// Takes the hooks away.
    pub fn clear_hooks(&self) {
        *self.lock_hooks() = Hooks::default();
    }

    /// Fails the call of this number without doing it. Replaces the hook before calls.
    pub fn fail_nth(&self, index: usize, kind: StoreErrorKind) {
        self.set_before(move |call| fail_at(index, kind, call));
    }

    /// Does the call of this number, and reports it as failed. Replaces the hook after calls.
    pub fn fail_nth_when_done(&self, index: usize, kind: StoreErrorKind) {
        self.set_after(move |call| fail_at(index, kind, call));
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock_calls().clone()
    }

    /// How many calls of this operation were made.
    #[must_use]
    pub fn count(&self, operation: StoreOperation) -> usize {
        self.lock_calls().iter().filter(|call| call.operation == operation).count()
    }

    /// Forgets the calls so far; the next one has number 0.
    pub fn clear_calls(&self) {
        self.lock_calls().clear();
    }

    fn observe<T>(
        &self,
        operation: StoreOperation,
        name: &str,
        len: usize,
        run: impl FnOnce(&dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let call = {
            let mut calls = self.lock_calls();
            let call = Call { index: calls.len(), operation, name: name.to_owned(), len: len as u64 };
            calls.push(call.clone());
            call
        };
        let before = self.lock_hooks().before.clone();
        before.map_or(Ok(()), |hook| hook(&call))?;
        let result = run(self.inner.as_ref())?;
        let after = self.lock_hooks().after.clone();
        after.map_or(Ok(()), |hook| hook(&call))?;
        Ok(result)
    }

    fn lock_calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_hooks(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fail_at(index: usize, kind: StoreErrorKind, call: &Call) -> Result<(), StoreError> {
    if call.index == index {
        return Err(StoreError::new(kind, call.operation, &call.name, "a test wanted this to fail"));
    }
    Ok(())
}

impl Store for ObservedStore {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn create(&self, folders: &[&str]) -> Result<(), StoreError> {
        self.observe(StoreOperation::Create, "", 0, |store| store.create(folders))
    }

    fn put(&self, name: &ObjectName, bytes: &[u8], durability: Durability) -> Result<(), StoreError> {
        let put = |store: &dyn Store| store.put(name, bytes, durability);
        self.observe(StoreOperation::Put, name.as_str(), bytes.len(), put)
    }

    fn put_held(&self, name: &ObjectName, bytes: &[u8]) -> Result<Box<dyn Held>, StoreError> {
        let put = |store: &dyn Store| store.put_held(name, bytes);
        self.observe(StoreOperation::Lock, name.as_str(), bytes.len(), put)
    }

    fn is_held(&self, name: &ObjectName) -> Result<Option<bool>, StoreError> {
        self.observe(StoreOperation::Lock, name.as_str(), 0, |store| store.is_held(name))
    }

    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Vec<u8>, StoreError> {
        self.observe(StoreOperation::Get, name.as_str(), 0, |store| store.get(name, max_bytes))
    }

    fn get_range(&self, name: &ObjectName, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let len = buffer.len();
        let read = |store: &dyn Store| store.get_range(name, offset, buffer);
        self.observe(StoreOperation::GetRange, name.as_str(), len, read)
    }

    fn head(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.observe(StoreOperation::Head, name.as_str(), 0, |store| store.head(name))
    }

    fn list(&self, folder: &str, each: &mut dyn FnMut(ListEntry)) -> Result<(), StoreError> {
        self.observe(StoreOperation::List, folder, 0, |store| store.list(folder, each))
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.observe(StoreOperation::Delete, name.as_str(), 0, |store| store.delete(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn name(text: &str) -> ObjectName {
        ObjectName::parse(text).unwrap()
    }

    #[test]
    fn observed_store_keeps_the_contract() {
        crate::store::conformance::check(&|| Arc::new(ObservedStore::new(Arc::new(MemoryStore::new()))));
    }

    #[test]
    fn a_call_fails_undone_or_done_as_the_test_wants() {
        let store = ObservedStore::new(Arc::new(MemoryStore::new()));
        store.fail_nth(0, StoreErrorKind::Full);
        store.fail_nth_when_done(1, StoreErrorKind::Network);
        let put = |text| store.put(&name(text), b"", Durability::Durable).map_err(|error| error.kind);
        assert_eq!(put("a"), Err(StoreErrorKind::Full));
        assert_eq!(put("b"), Err(StoreErrorKind::Network));
        assert_eq!(put("c"), Ok(()));
        assert_eq!(store.head(&name("a")).unwrap(), None);
        assert_eq!(store.head(&name("b")).unwrap(), Some(0));
        assert_eq!((store.count(StoreOperation::Put), store.calls().len()), (3, 5));
        assert_eq!(store.calls()[4].name, "b");
    }

    #[test]
    fn a_hook_may_act_on_the_store_between_calls() {
        let inner = Arc::new(MemoryStore::new());
        let actor = Arc::clone(&inner);
        let store = ObservedStore::new(inner);
        store.set_before(move |call| match call.operation {
            StoreOperation::Head => actor.put(&name(&call.name), b"late", Durability::Durable),
            _ => Ok(()),
        });
        assert_eq!(store.head(&name("fence")).unwrap(), Some(4));
    }
}
