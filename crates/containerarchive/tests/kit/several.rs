//! Rules that no single file can show: each has a test here, which `testdata/kit/UNCASED.md` names.

use std::sync::Arc;

use containerarchive::base::monitor::RecordingMonitor;
use containerarchive::base::testing::{ManualClock, SeededRandomness};
use containerarchive::base::{
    ChunkHash, ChunkId, DomainId, Kind, ObjectName, PackId, RecordId, SessionId, SlotId, Timestamp,
};
use containerarchive::compress::Codec;
use containerarchive::format::manifest::{Item, Manifest};
use containerarchive::format::names;
use containerarchive::format::node::{Entries, LeafEntry, Node};
use containerarchive::format::prefix::{Class, ObjectKind, Prefix};
use containerarchive::format::signed::{Fact, Forget, Retire, Stop, StopKind};
use containerarchive::repo::{OpenPack, Session, forget_snapshots, newest_of_domain};
use containerarchive::store::Durability;
use containerarchive::{
    CreateOptions, Credential, Environment, Error, Filter, IngestItem, IngestOptions, KeyFile, Locked,
    MemoryStore, NewCredential, NoPins, OpenOptions, Passphrase, RepoError, Repository, RestoreOptions,
    RestoreTarget, Selector, SilentMonitor, Snapshots, Store, create, ingest, restore, snapshots,
};

use crate::lab::KEY_FILE;

const START: Timestamp = Timestamp(1_795_305_600_000);

/// A repository in memory.
struct Lab {
    store: Arc<dyn Store>,
    environment: Environment,
    is_encrypted: bool,
}

impl Lab {
    fn new(is_encrypted: bool) -> Self {
        let environment = Environment {
            clock: Arc::new(ManualClock::new(START)),
            random: Arc::new(SeededRandomness::new(3)),
            host: "host".to_owned(),
            user: "user".to_owned(),
        };
        let lab = Self { store: Arc::new(MemoryStore::new()), environment, is_encrypted };
        let key_file = KeyFile::new(KEY_FILE);
        let options = CreateOptions {
            credential: is_encrypted.then_some(NewCredential::KeyFile(&key_file)),
            ..CreateOptions::default()
        };
        create(&lab.store, &lab.environment, &options, &NoPins, &SilentMonitor).unwrap();
        lab
    }

    fn open_with(
        &self,
        credential: Credential<'_>,
        monitor: &RecordingMonitor,
    ) -> Result<Repository, RepoError> {
        let options = OpenOptions { pins: &NoPins, accept_rollback: false };
        Locked::read(Arc::clone(&self.store), self.environment.clone(), monitor)?
            .open(credential, &options, monitor)
    }

    fn open(&self) -> Repository {
        let key_file = KeyFile::new(KEY_FILE);
        let credential = if self.is_encrypted { Credential::KeyFile(&key_file) } else { Credential::None };
        self.open_with(credential, &RecordingMonitor::default()).unwrap()
    }

    fn put(&self, name: &ObjectName, bytes: &[u8]) {
        self.store.put(name, bytes, Durability::Durable).unwrap();
    }

    fn get(&self, name: &ObjectName) -> Vec<u8> {
        self.store.get(name, 1 << 20).unwrap()
    }

    fn delete(&self, name: &ObjectName) {
        self.store.delete(name).unwrap();
    }

    /// Deletes a manifest; with its replica if asked to.
    fn lose(&self, id: SessionId, both: bool) {
        self.delete(&names::manifest(id));
        if both {
            self.delete(&names::replica(&names::manifest(id)));
        }
    }

    fn stop(&self, kind: StopKind, session: SessionId) -> (ObjectName, Vec<u8>) {
        let repository = self.open();
        let stop = Stop { session, created: START };
        kind.seal(repository.config.repository, &stop, repository.keys.signer()).unwrap()
    }

    fn record(&self, fact: &impl Fact) -> (ObjectName, Vec<u8>) {
        let repository = self.open();
        fact.seal_record(repository.config.repository, RecordId([9; 16]), repository.keys.signer()).unwrap()
    }
}

fn store_one(repository: &Repository, content: &'static [u8]) -> Result<Manifest, Error> {
    let item = IngestItem {
        name: "item".to_owned(),
        item_type: "stream".to_owned(),
        source: Box::new(content),
        size_hint: None,
    };
    ingest(repository, vec![item], &IngestOptions::default(), &SilentMonitor).map(|report| report.manifest)
}

fn read_one(repository: &Repository, id: SessionId) -> Result<Vec<u8>, Error> {
    let found = list(repository).0;
    let loaded = found.find(&Selector::Prefix(id.to_hex()), &Filter::default())?;
    let mut content = Vec::new();
    let options = RestoreOptions { item: None, threads: 1, heal: false };
    restore(repository, loaded, RestoreTarget::Stream(&mut content), &options, &SilentMonitor)?;
    Ok(content)
}

fn list(repository: &Repository) -> (Snapshots, Vec<SessionId>) {
    let found = snapshots(repository, &NoPins, &SilentMonitor).unwrap();
    let ids = found.matching(&Filter::default()).map(|loaded| loaded.manifest.id).collect();
    (found, ids)
}

/// Puts a manifest like `like` with these items, in any domain.
fn forge(lab: &Lab, like: &Manifest, domain: DomainId, items: Vec<Item>) -> SessionId {
    let repository = lab.open();
    let id = SessionId([0xf0; 16]);
    let prefix = Prefix {
        kind: ObjectKind::Manifest,
        suite: repository.config.suite,
        class: Class::None,
        repository: repository.config.repository,
        domain,
        session: id,
        salt: [5; 32],
    };
    let keys = repository.keys.domain(domain).unwrap().unwrap();
    let (secrets, enc) = keys.new_object(&prefix, &SeededRandomness::new(8)).unwrap();
    let manifest = Manifest { id, items, previous: Vec::new(), ..like.clone() };
    lab.put(&names::manifest(id), &manifest.seal(&prefix, &secrets, enc).unwrap());
    id
}

fn broken_rule(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[test]
fn a_plain_repository_is_refused_when_a_key_is_given() {
    let lab = Lab::new(false);
    let key_file = KeyFile::new(KEY_FILE);
    let passphrase = Passphrase::new(b"x".to_vec()).unwrap();
    for credential in [Credential::KeyFile(&key_file), Credential::Passphrase(&passphrase)] {
        let opened = lab.open_with(credential, &RecordingMonitor::default());
        assert!(matches!(opened, Err(RepoError::NotEncrypted { .. })));
    }
    // A config whose signature is another repository's is not used, although the slot opens.
    let lab = Lab::new(true);
    let config = String::from_utf8(lab.get(&names::config())).unwrap();
    let body = config.lines().next().unwrap().replace("\"serial\":1", "\"serial\":2");
    lab.delete(&names::config());
    let signature = config.lines().nth(1).unwrap();
    lab.put(&names::config(), &crate::text::lines(&body, signature));
    let opened = lab.open_with(Credential::KeyFile(&key_file), &RecordingMonitor::default());
    assert!(
        matches!(opened, Err(RepoError::Damaged { source, .. }) if source.to_string().contains("R-TEXT-3"))
    );
}

#[test]
fn a_thirty_third_slot_is_refused_and_replicas_do_not_count_twice() {
    let lab = Lab::new(true);
    // The slot of the repository, and 31 more that open with nothing, each with a replica.
    for number in 1..=31 {
        let name = names::slot(SlotId([number; 16]));
        lab.put(&name, b"nothing");
        lab.put(&names::replica(&name), b"nothing");
    }
    lab.open();
    lab.put(&names::replica(&names::slot(SlotId([32; 16]))), b"nothing");
    let key_file = KeyFile::new(KEY_FILE);
    let opened = lab.open_with(Credential::KeyFile(&key_file), &RecordingMonitor::default());
    assert!(matches!(opened, Err(RepoError::TooManySlots { count: 33, .. })));
}

#[test]
fn an_intact_void_hides_its_snapshot_and_a_broken_one_does_not() {
    for is_encrypted in [false, true] {
        let lab = Lab::new(is_encrypted);
        let repository = lab.open();
        let id = store_one(&repository, b"content").unwrap().id;
        assert_eq!(list(&repository).1, [id]);
        let (name, bytes) = lab.stop(StopKind::Void, id);
        let mut broken = bytes.clone();
        broken[5] ^= 1;
        lab.put(&name, &broken);
        assert_eq!(list(&repository).1, [id]);
        let monitor = RecordingMonitor::default();
        snapshots(&repository, &NoPins, &monitor).unwrap();
        assert_eq!(monitor.problems().len(), 1);
        lab.delete(&name);
        lab.put(&name, &bytes);
        assert_eq!(list(&repository).1, []);
    }
}

#[test]
fn a_manifest_counts_for_the_chain_once_its_lock_is_gone() {
    let lab = Lab::new(true);
    let repository = lab.open();
    let id = store_one(&repository, b"content").unwrap().id;
    let newest = || newest_of_domain(&repository, DomainId::MAIN).unwrap();
    assert_eq!(newest().iter().map(|(previous, _)| previous.id).collect::<Vec<_>>(), [id]);
    lab.put(&names::session(id), b"a lock");
    assert!(newest().is_empty());
}

#[test]
fn a_missing_or_replaced_manifest_is_told_and_others_are_restored() {
    let lab = Lab::new(true);
    let repository = lab.open();
    let first = store_one(&repository, b"first").unwrap().id;
    let second = store_one(&repository, b"second").unwrap().id;
    lab.lose(first, true);
    let found = list(&repository).0;
    assert!(found.damaged().contains_key(&first));
    assert!(found.find(&Selector::Latest(0), &Filter::default()).is_err());
    assert_eq!(read_one(&repository, second).unwrap(), b"second");
    let (name, bytes) = lab.record(&Forget { created: START, snapshots: vec![first] });
    lab.put(&name, &bytes);
    assert!(list(&repository).0.damaged().is_empty());

    let third = store_one(&repository, b"third").unwrap();
    lab.lose(second, true);
    forge_over(&lab, &third, second);
    let found = list(&repository).0;
    assert!(found.damaged()[&second].text.contains("replaced"));
}

/// Puts another manifest at the place of `id`.
fn forge_over(lab: &Lab, like: &Manifest, id: SessionId) {
    let forged = forge(lab, like, DomainId::MAIN, like.items.clone());
    lab.delete(&names::manifest(forged));
    let repository = lab.open();
    let prefix = Prefix {
        kind: ObjectKind::Manifest,
        suite: repository.config.suite,
        class: Class::None,
        repository: repository.config.repository,
        domain: DomainId::MAIN,
        session: id,
        salt: [6; 32],
    };
    let keys = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let (secrets, enc) = keys.new_object(&prefix, &SeededRandomness::new(9)).unwrap();
    let manifest = Manifest { id, previous: Vec::new(), ..like.clone() };
    lab.put(&names::manifest(id), &manifest.seal(&prefix, &secrets, enc).unwrap());
}

#[test]
fn replicas_stand_in_for_what_is_missing_or_damaged_and_bring_nothing_back_that_was_removed() {
    let lab = Lab::new(true);
    let id = store_one(&lab.open(), b"content").unwrap().id;
    let monitor = RecordingMonitor::default();
    lab.delete(&names::config());
    let key_file = KeyFile::new(KEY_FILE);
    let repository = lab.open_with(Credential::KeyFile(&key_file), &monitor).unwrap();
    assert_eq!(monitor.problems().len(), 1);
    lab.put(&names::config(), b"damaged");
    lab.open();
    lab.lose(id, false);
    assert_eq!(list(&repository).1, [id]);
    assert_eq!(read_one(&repository, id).unwrap(), b"content");
    // Its process died after the replica was written, and somebody ended the session: no loss explains itself so.
    let (fence, bytes) = lab.stop(StopKind::Fence, id);
    lab.put(&fence, &bytes);
    assert_eq!(list(&repository).1, [id]);
    assert_eq!(read_one(&repository, id).unwrap(), b"content");
    let removed = [lab.stop(StopKind::Void, id), lab.record(&Forget { created: START, snapshots: vec![id] })];
    for (name, bytes) in removed {
        lab.put(&name, &bytes);
        assert_eq!(list(&repository).1, [], "{name}");
        lab.delete(&name);
    }
    assert_eq!(list(&repository).1, [id]);
}

#[test]
fn what_a_live_session_reads_is_not_removed() {
    let lab = Lab::new(true);
    let repository = lab.open();
    let [read, other] = [&b"one"[..], b"two"].map(|content| store_one(&repository, content).unwrap().id);
    let domain = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let (session, _) =
        Session::register_reader(&repository, domain, "restore", &[read], &SilentMonitor).unwrap();
    let done = forget_snapshots(&repository, &[read, other], &SilentMonitor).unwrap();
    assert_eq!((done.forgotten, done.in_use[0].snapshot), (vec![other], read));
    assert_eq!(list(&repository).1, [read]);
    session.unwrap().end(&repository).unwrap();
    assert_eq!(forget_snapshots(&repository, &[read], &SilentMonitor).unwrap().forgotten, [read]);
    assert_eq!(list(&repository).1, []);
}

#[test]
fn writers_do_not_refer_to_retired_packs_and_readers_still_read_them() {
    let lab = Lab::new(true);
    let repository = lab.open();
    let first = store_one(&repository, b"content").unwrap();
    assert_eq!(store_one(&repository, b"content").unwrap().new_chunks, 0);
    let mut packs: Vec<PackId> = Vec::new();
    lab.store.list(names::PACKS, &mut |entry| packs.extend(names::pack_id_of(&entry.name, "pack"))).unwrap();
    let (name, bytes) = lab.record(&Retire { created: START, packs });
    lab.put(&name, &bytes);
    assert_eq!(read_one(&repository, first.id).unwrap(), b"content");
    assert_eq!(store_one(&repository, b"content").unwrap().new_chunks, 1);
    lab.delete(&name);
    lab.put(&name, b"damaged");
    assert!(store_one(&repository, b"content").is_err());
    assert_eq!(read_one(&repository, first.id).unwrap(), b"content");
}

#[test]
fn an_item_of_another_size_than_its_recipe_is_refused() {
    for is_encrypted in [false, true] {
        let lab = Lab::new(is_encrypted);
        let repository = lab.open();
        let manifest = store_one(&repository, b"content").unwrap();
        let mut items = manifest.items.clone();
        items[0].size += 1;
        let forged = forge(&lab, &manifest, DomainId::MAIN, items);
        let error = read_one(&repository, forged).unwrap_err();
        assert!(broken_rule(&error).contains("R-MANIFEST-3"), "{error}");
    }
}

#[test]
fn a_data_chunk_of_another_length_than_its_leaf_states_is_refused() {
    let lab = Lab::new(false);
    let repository = lab.open();
    let manifest = store_one(&repository, b"content").unwrap();
    let domain = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let hash = domain.hasher.hash(Kind::Data, b"content");
    let node = Node { level: 0, entries: Entries::Leaf(vec![LeafEntry { hash, len: 8 }]) }.encode();
    let root: ChunkHash = domain.hasher.hash(Kind::Recipe, &node);
    let mut pack = OpenPack::new(Class::Structure, Vec::new());
    pack.push(ChunkId { kind: Kind::Recipe, hash: root }, Codec::None, &node, node.len() as u32);
    let sealed = repository.seal_pack(pack, &domain, SessionId([1; 16])).unwrap();
    lab.put(&names::pack(sealed.id), &sealed.bytes);
    let mut items = manifest.items.clone();
    (items[0].size, items[0].root) = (8, root);
    let forged = forge(&lab, &manifest, DomainId::MAIN, items);
    let error = read_one(&repository, forged).unwrap_err();
    assert!(broken_rule(&error).contains("R-NODE-4"), "{error}");
}

#[test]
fn a_chunk_of_another_domain_is_not_found() {
    let lab = Lab::new(true);
    let repository = lab.open();
    let manifest = store_one(&repository, b"content").unwrap();
    let forged = forge(&lab, &manifest, DomainId([0xd0; 16]), manifest.items.clone());
    let error = read_one(&repository, forged).unwrap_err();
    assert!(
        matches!(&error, Error::LostContent { source, .. } if matches!(**source, RepoError::LostChunk { .. })),
        "{error}"
    );
    assert_eq!(read_one(&repository, manifest.id).unwrap(), b"content");
}
