//! The store and the clock as one process sees them.

use std::sync::Arc;

use super::world::{Effect, Fate, Process, World};
use crate::base::{Clock, ObjectName, Timestamp};
use crate::store::{
    Capabilities, Durability, Held, ListEntry, Store, StoreError, StoreErrorKind, StoreOperation,
};

pub(super) struct ProcessStore {
    pub(super) world: Arc<World>,
    pub(super) process: Process,
}

pub(super) struct ProcessClock {
    pub(super) world: Arc<World>,
    pub(super) process: Process,
    pub(super) skew_ms: i64,
}

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        self.world.call(self.process, "clock", "");
        Timestamp(self.world.clock.now().0 + self.skew_ms)
    }

    fn sleep_ms(&self, ms: u64) {
        self.world.sleep(self.process, ms as i64);
    }
}

struct ProcessHeld {
    world: Arc<World>,
    process: Process,
    name: ObjectName,
}

impl Held for ProcessHeld {}

impl Drop for ProcessHeld {
    fn drop(&mut self) {
        self.world.unlock(&self.name, self.process);
    }
}

fn error(kind: StoreErrorKind, operation: StoreOperation, name: &str) -> StoreError {
    StoreError::new(kind, operation, name, "the simulation wants it so")
}

impl ProcessStore {
    /// A call that changes nothing, or nothing that counts.
    fn ask<T>(
        &self,
        (operation, word): (StoreOperation, &str),
        name: &str,
        answer: impl FnOnce(&dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.world.call(self.process, word, name) {
            Fate::Goes => match self.world.stale(self.process) {
                Some(shown) => answer(&shown),
                None => answer(&*self.world.store),
            },
            Fate::Dead => Err(error(StoreErrorKind::Failed, operation, name)),
            Fate::Fails(kind, _) => Err(error(kind, operation, name)),
        }
    }

    fn put_as(
        &self,
        operation: StoreOperation,
        name: &ObjectName,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let exists = || error(StoreErrorKind::AlreadyExists, operation, name.as_str());
        match self.world.call(self.process, "put", name.as_str()) {
            Fate::Goes if self.world.put(name, bytes, durability) => Ok(()),
            Fate::Goes => Err(exists()),
            Fate::Dead => Err(error(StoreErrorKind::Failed, operation, name.as_str())),
            Fate::Fails(kind, effect) => {
                match effect {
                    Effect::Nothing => {}
                    Effect::Done => drop(self.world.put(name, bytes, durability)),
                    Effect::Late => self.world.put_late(name, bytes),
                }
                Err(error(kind, operation, name.as_str()))
            }
        }
    }
}

impl Store for ProcessStore {
    fn location(&self) -> String {
        "simulation".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { is_local: self.world.kind.is_local, is_weak: self.world.kind.is_weak }
    }

    fn create(&self, folders: &[&str]) -> Result<(), StoreError> {
        self.ask((StoreOperation::Create, "create"), "", |store| store.create(folders))
    }

    fn put(&self, name: &ObjectName, bytes: &[u8], durability: Durability) -> Result<(), StoreError> {
        self.put_as(StoreOperation::Put, name, bytes, durability)
    }

    fn put_held(&self, name: &ObjectName, bytes: &[u8]) -> Result<Box<dyn Held>, StoreError> {
        self.put_as(StoreOperation::Lock, name, bytes, Durability::Durable)?;
        self.world.lock(name, self.process);
        Ok(Box::new(ProcessHeld {
            world: Arc::clone(&self.world),
            process: self.process,
            name: name.clone(),
        }))
    }

    fn is_held(&self, name: &ObjectName) -> Result<Option<bool>, StoreError> {
        let is_local = self.world.kind.is_local;
        let held = |store: &dyn Store| match store.head(name)? {
            None => Err(error(StoreErrorKind::NotFound, StoreOperation::Lock, name.as_str())),
            Some(_) => Ok(is_local.then(|| self.world.is_locked(name))),
        };
        self.ask((StoreOperation::Lock, "is held"), name.as_str(), held)
    }

    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Vec<u8>, StoreError> {
        self.ask((StoreOperation::Get, "get"), name.as_str(), |store| store.get(name, max_bytes))
    }

    fn get_range(&self, name: &ObjectName, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let operation = (StoreOperation::GetRange, "get range");
        self.ask(operation, name.as_str(), |store| store.get_range(name, offset, buffer))
    }

    fn head(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.ask((StoreOperation::Head, "head"), name.as_str(), |store| store.head(name))
    }

    fn list(&self, folder: &str, each: &mut dyn FnMut(ListEntry)) -> Result<(), StoreError> {
        self.ask((StoreOperation::List, "list"), folder, |store| store.list(folder, each))
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let operation = StoreOperation::Delete;
        match self.world.call(self.process, "delete", name.as_str()) {
            Fate::Goes if self.world.delete(name) => Ok(()),
            Fate::Goes => Err(error(StoreErrorKind::NotFound, operation, name.as_str())),
            Fate::Dead => Err(error(StoreErrorKind::Failed, operation, name.as_str())),
            Fate::Fails(kind, effect) => {
                if effect != Effect::Nothing {
                    self.world.delete(name);
                }
                Err(error(kind, operation, name.as_str()))
            }
        }
    }
}
