//! A storage that goes back in time, swaps objects or loses them is noticed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::support::{ADMIN, Lab, noise};
use crate::base::monitor::RecordingMonitor;
use crate::base::{NoPins, Pin, Pins, PinsError, RecordId, SilentMonitor};
use crate::crypto::{KeyFile, RootKey, Signer};
use crate::engine::{Filter, Selector, snapshots};
use crate::error::{Error, ErrorCode};
use crate::format::config::Config;
use crate::format::names;
use crate::format::signed::{Fact, Forget, Stop, StopKind};
use crate::repo::{Credential, Locked, OpenOptions, RepoError};
use crate::store::{Durability, MemoryStore, Store};

/// Notes in memory.
#[derive(Default)]
struct MemoryPins(Mutex<BTreeMap<String, Pin>>);

impl Pins for MemoryPins {
    fn load(&self, location: &str) -> Result<Option<Pin>, PinsError> {
        Ok(self.0.lock().unwrap().get(location).cloned())
    }

    fn save(&self, location: &str, pin: &Pin) -> Result<(), PinsError> {
        self.0.lock().unwrap().insert(location.to_owned(), pin.clone());
        Ok(())
    }
}

fn encrypted_lab() -> (Arc<MemoryStore>, Lab) {
    let store = Arc::new(MemoryStore::new());
    let lab = Lab::new(Arc::<MemoryStore>::clone(&store), true, 11);
    lab.create().unwrap();
    (store, lab)
}

fn replace(store: &MemoryStore, name: &crate::base::ObjectName, bytes: &[u8]) {
    store.remove(name);
    store.remove(&names::replica(name));
    store.put(name, bytes, Durability::Durable).unwrap();
}

#[test]
fn a_config_swapped_for_a_plain_one_is_refused_when_a_key_is_given_or_the_client_knows_better() {
    let (store, lab) = encrypted_lab();
    let pins = MemoryPins::default();
    lab.open_with(ADMIN, &pins, &SilentMonitor).unwrap();
    let mut config = lab.open().unwrap().config;
    config.suite = crate::crypto::Suite::Plain;
    replace(&store, &names::config(), &config.encode(None).unwrap());
    let key_file = KeyFile::new(ADMIN);
    for (credential, pins, code) in [
        (Credential::KeyFile(&key_file), &NoPins as &dyn Pins, ErrorCode::Key),
        (Credential::None, &pins, ErrorCode::Rollback),
    ] {
        let options = OpenOptions { pins, accept_rollback: false };
        let locked = Locked::read(Arc::clone(&lab.store), lab.environment.clone(), &SilentMonitor).unwrap();
        let error: Error = locked.open(credential, &options, &SilentMonitor).err().unwrap().into();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn a_config_signed_by_somebody_else_is_refused() {
    let (store, lab) = encrypted_lab();
    let config = lab.open().unwrap().config;
    let stranger = Signer::new(&RootKey::new([1; 32]), &config.repository).unwrap();
    replace(&store, &names::config(), &config.encode(Some(&stranger)).unwrap());
    assert!(matches!(lab.open().err(), Some(RepoError::Damaged { .. })));
}

#[test]
fn an_older_signed_config_is_noticed_and_can_be_accepted() {
    let (store, lab) = encrypted_lab();
    let old = store.get(&names::config(), 1 << 20).unwrap();
    let repository = lab.open().unwrap();
    let newer = Config { serial: 2, ..repository.config.clone() };
    replace(&store, &names::config(), &newer.encode(repository.keys.signer()).unwrap());
    let pins = MemoryPins::default();
    lab.open_with(ADMIN, &pins, &SilentMonitor).unwrap();
    replace(&store, &names::config(), &old);
    let error = lab.open_with(ADMIN, &pins, &SilentMonitor).err().unwrap();
    assert!(matches!(&error, RepoError::Rollback { what, .. } if what.contains("serial 1")), "{error}");
    let key_file = KeyFile::new(ADMIN);
    let options = OpenOptions { pins: &pins, accept_rollback: true };
    let locked = Locked::read(Arc::clone(&lab.store), lab.environment.clone(), &SilentMonitor).unwrap();
    locked.open(Credential::KeyFile(&key_file), &options, &SilentMonitor).unwrap();
    lab.open_with(ADMIN, &pins, &SilentMonitor).unwrap();
}

#[test]
fn another_repository_in_the_same_place_is_noticed_and_init_does_not_make_one() {
    let (store, lab) = encrypted_lab();
    let pins = MemoryPins::default();
    lab.open_with(ADMIN, &pins, &SilentMonitor).unwrap();
    store.restore(&MemoryStore::new());
    let error = lab.create_with(&pins).err().unwrap();
    assert!(matches!(error, RepoError::Occupied { .. }), "{error}");
    lab.create().unwrap();
    let error = lab.open_with(ADMIN, &pins, &SilentMonitor).err().unwrap();
    assert!(matches!(error, RepoError::Rollback { .. }), "{error}");
}

#[test]
fn a_missing_manifest_is_noticed_by_its_successor_and_by_the_client() {
    let (store, lab) = encrypted_lab();
    let pins = MemoryPins::default();
    lab.open_with(ADMIN, &pins, &SilentMonitor).unwrap();
    let first = lab.ingest(&[("a", &noise(1, 1000))]).unwrap().manifest.id;
    let second = lab.ingest(&[("a", &noise(2, 1000))]).unwrap().manifest.id;
    let repository = lab.open_with(ADMIN, &pins, &SilentMonitor).unwrap();
    let found = snapshots(&repository, &pins, &SilentMonitor).unwrap();
    assert!(found.damaged().is_empty());

    // The older one: the newer names it.
    let kept = store.fork();
    for name in [names::manifest(first), names::replica(&names::manifest(first))] {
        assert!(store.remove(&name));
    }
    let monitor = RecordingMonitor::default();
    let found = snapshots(&repository, &pins, &monitor).unwrap();
    assert!(found.damaged()[&first].text.contains("missing"));
    assert_eq!(monitor.problems().len(), 1);
    let error = found.find(&Selector::Latest(0), &Filter::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Damaged, "{error}");
    assert!(found.find(&Selector::Prefix(second.to_hex()), &Filter::default()).is_ok());

    // A signed record explains it.
    let forget = Forget { created: super::support::START, snapshots: vec![first] };
    let signer = repository.keys.signer();
    let (name, bytes) = forget.seal_record(repository.config.repository, RecordId([5; 16]), signer).unwrap();
    store.put(&name, &bytes, Durability::Durable).unwrap();
    assert!(snapshots(&repository, &pins, &SilentMonitor).unwrap().damaged().is_empty());

    // The newest one: nothing in the repository knows of it, the client does.
    store.restore(&kept);
    for name in [names::manifest(second), names::replica(&names::manifest(second))] {
        assert!(store.remove(&name));
    }
    let error = lab.open_with(ADMIN, &pins, &SilentMonitor).err().unwrap();
    assert!(matches!(&error, RepoError::Rollback { what, .. } if what.contains(&second.to_hex())), "{error}");
    lab.open().unwrap();
}

#[test]
fn a_replaced_manifest_is_noticed() {
    let (store, lab) = encrypted_lab();
    let first = lab.ingest(&[("a", &noise(1, 1000))]).unwrap().manifest;
    lab.ingest(&[("a", &noise(2, 1000))]).unwrap();
    let repository = lab.open().unwrap();
    let keys = repository.keys.domain(crate::base::DomainId::MAIN).unwrap().unwrap();
    let prefix = crate::format::prefix::Prefix {
        kind: crate::format::prefix::ObjectKind::Manifest,
        suite: repository.config.suite,
        class: crate::format::prefix::Class::None,
        repository: repository.config.repository,
        domain: keys.id,
        session: first.id,
        salt: [3; 32],
    };
    let (secrets, enc) = keys.new_object(&prefix, &*repository.environment.random).unwrap();
    let other = crate::format::manifest::Manifest { series: "other".into(), ..first.clone() };
    replace(&store, &names::manifest(first.id), &other.seal(&prefix, &secrets, enc).unwrap());
    let found = snapshots(&repository, &NoPins, &SilentMonitor).unwrap();
    assert!(found.damaged()[&first.id].text.contains("replaced"));
}

#[test]
fn a_replayed_old_segment_is_harmless() {
    let (store, lab) = encrypted_lab();
    let content = noise(1, 50_000);
    lab.ingest(&[("a", &content)]).unwrap();
    let old = store.fork();
    // Everything is pruned away by hand: packs, segments, the snapshot.
    for name in store.names() {
        if ["packs/", "index/", "snapshots/", "replicas/snapshots/"]
            .iter()
            .any(|start| name.as_str().starts_with(start))
        {
            store.remove(&name);
        }
    }
    // The old segment comes back, the packs do not.
    for name in old.names() {
        if name.as_str().starts_with("index/") {
            store.put(&name, &old.get(&name, u64::MAX).unwrap(), Durability::Durable).unwrap();
        }
    }
    let again = lab.ingest(&[("a", &content)]).unwrap().manifest;
    assert!(again.new_chunks > 0 && again.reused_chunks == 0);
    assert_eq!(lab.restore_latest().unwrap()["a"], content);
}

#[test]
fn a_void_hides_a_snapshot_only_if_an_admin_signed_it() {
    let (store, lab) = encrypted_lab();
    let id = lab.ingest(&[("a", &noise(1, 1000))]).unwrap().manifest.id;
    let repository = lab.open().unwrap();
    let count =
        || snapshots(&repository, &NoPins, &SilentMonitor).unwrap().matching(&Filter::default()).count();
    let stop = Stop { session: id, created: super::support::START };
    let stranger = Signer::new(&RootKey::new([1; 32]), &repository.config.repository).unwrap();
    for (signer, expected) in [(None, 1), (Some(&stranger), 1), (repository.keys.signer(), 0)] {
        let (name, bytes) = StopKind::Void.seal(repository.config.repository, &stop, signer).unwrap();
        store.remove(&name);
        store.put(&name, &bytes, Durability::Durable).unwrap();
        assert_eq!(count(), expected);
    }
}
