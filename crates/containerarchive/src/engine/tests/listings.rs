//! A storage whose listings lack what is there.

use std::sync::Arc;

use super::support::{Lab, noise};
use crate::base::{ObjectName, SilentMonitor};
use crate::engine::{PruneOptions, prune};
use crate::error::Error;
use crate::format::names;
use crate::repo::{forget_snapshots, list_packs};
use crate::store::{Capabilities, Durability, Held, ListEntry, MemoryStore, Store, StoreError};

/// Shows this object to those who ask for it, and lists it never.
struct Unlisted(Arc<MemoryStore>, ObjectName);

impl Store for Unlisted {
    fn location(&self) -> String {
        self.0.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn create(&self, folders: &[&str]) -> Result<(), StoreError> {
        self.0.create(folders)
    }

    fn put(&self, name: &ObjectName, bytes: &[u8], durability: Durability) -> Result<(), StoreError> {
        self.0.put(name, bytes, durability)
    }

    fn put_held(&self, name: &ObjectName, bytes: &[u8]) -> Result<Box<dyn Held>, StoreError> {
        self.0.put_held(name, bytes)
    }

    fn is_held(&self, name: &ObjectName) -> Result<Option<bool>, StoreError> {
        self.0.is_held(name)
    }

    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Vec<u8>, StoreError> {
        self.0.get(name, max_bytes)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.0.get_range(name, offset, buffer)
    }

    fn head(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.0.head(name)
    }

    fn list(&self, folder: &str, each: &mut dyn FnMut(ListEntry)) -> Result<(), StoreError> {
        self.0.list(folder, &mut |entry| {
            if entry.name != self.1 {
                each(entry);
            }
        })
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.0.delete(name)
    }
}

#[test]
fn a_prune_refuses_a_listing_that_lacks_a_pack_which_is_there_unless_it_is_to_be_believed() {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 21);
    lab.create().unwrap();
    let gone = lab.ingest(&[("a", &noise(1, 100_000))]).unwrap().manifest.id;
    let unneeded = list_packs(&lab.open().unwrap()).unwrap();
    lab.ingest(&[("a", &noise(2, 100_000))]).unwrap();
    forget_snapshots(&lab.open().unwrap(), &[gone], &SilentMonitor).unwrap();
    let hidden = *unneeded.first().unwrap();
    let blind = lab.on(Arc::new(Unlisted(Arc::clone(&store), names::pack(hidden))));
    let before = store.names();
    for dry_run in [true, false] {
        let options = PruneOptions { dry_run, ..PruneOptions::default() };
        let refused = prune(&blind.open().unwrap(), &options, &SilentMonitor).unwrap_err();
        let is_told = |why: &str| why.contains(&hidden.to_hex()) && why.contains("--accept-loss");
        assert!(matches!(&refused, Error::RepairFirst { why } if is_told(why)), "{refused}");
        assert_eq!(store.names(), before);
    }
    let options = PruneOptions { accept_loss: true, ..PruneOptions::default() };
    let done = prune(&blind.open().unwrap(), &options, &SilentMonitor).unwrap();
    assert!(done.removed_packs > 0, "{done:?}");
    assert!(lab.restore_latest().unwrap()["a"] == noise(2, 100_000));
}
