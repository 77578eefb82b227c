//! Golden repositories: what a released version wrote must be restored by every later one.
//!
//! `testdata/golden/v1/` was written once, by `cargo xtask golden`. Whoever writes it anew gives up the proof that this
//! version reads what an earlier one wrote, so that is right only while the format may still change.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking, as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use containerarchive::base::monitor::RecordingMonitor;
use containerarchive::base::testing::{ManualClock, SeededRandomness};
use containerarchive::base::{DomainId, PackId};
use containerarchive::format::names;
use containerarchive::format::prefix::Class;
use containerarchive::repo::{Groups, rebuild_pack};
use containerarchive::store::Durability;
use containerarchive::{
    Argon2Params, Capability, ChunkParams, CreateOptions, Credential, Environment, Filter, IngestItem,
    IngestOptions, KeyFile, LocalStore, Locked, MemoryStore, Monitor, NewCredential, NoPins, OpenOptions,
    Parity, Passphrase, Repository, RestoreOptions, RestoreTarget, Selector, SilentMonitor, Store, Timestamp,
    add_slot, create, ingest, restore, snapshots,
};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

const PASSPHRASE: &str = "golden passphrase ☀";
const KEY: [u8; 32] = [0x60; 32];
const WRITER_KEY: [u8; 32] = [0x61; 32];
/// 2026-11-22T00:00:00Z.
const START: Timestamp = Timestamp(1_795_305_600_000);

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden")
}

fn passphrase() -> Passphrase {
    Passphrase::new(PASSPHRASE.as_bytes().to_vec()).unwrap()
}

fn open(
    store: &Arc<dyn Store>,
    environment: &Environment,
    credential: Credential<'_>,
    monitor: &dyn Monitor,
) -> Repository {
    let options = OpenOptions { pins: &NoPins, accept_rollback: false };
    let locked = Locked::read(Arc::clone(store), environment.clone(), monitor).unwrap();
    locked.open(credential, &options, monitor).unwrap()
}

/// Restores every snapshot and compares it with `expected.json`.
fn check(repository: &Repository, expected: &[Value], monitor: &RecordingMonitor) {
    let found = snapshots(repository, &NoPins, monitor).unwrap();
    assert!(found.damaged().is_empty(), "{:?}", found.damaged());
    let ids: BTreeSet<String> =
        found.matching(&Filter::default()).map(|loaded| loaded.manifest.id.to_hex()).collect();
    let wanted: BTreeSet<String> =
        expected.iter().map(|snapshot| snapshot["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, wanted);
    for snapshot in expected {
        let selector = Selector::Prefix(snapshot["id"].as_str().unwrap().to_owned());
        let loaded = found.find(&selector, &Filter::default()).unwrap();
        let items = snapshot["items"].as_array().unwrap();
        assert_eq!(loaded.manifest.items.len(), items.len());
        for item in items {
            let name = item["name"].as_str().unwrap();
            let mut content = Vec::new();
            let options = RestoreOptions { item: Some(name), threads: 1, heal: false };
            restore(repository, loaded, RestoreTarget::Stream(&mut content), &options, monitor).unwrap();
            assert_eq!(content.len() as u64, item["size"].as_u64().unwrap(), "{name}");
            assert_eq!(sha256(&content), item["sha256"].as_str().unwrap(), "{name}");
        }
    }
    assert!(monitor.problems().is_empty(), "{:?}", monitor.problems());
}

/// Every pack is protected by a whole group, and comes back from it when it is lost. Returns how many groups there are.
fn check_parity(repository: &Repository) -> usize {
    let (site, store) = (repository.parity_store(), &repository.store);
    let groups = Groups::load(site).unwrap();
    assert!(groups.unreadable.is_empty());
    let classes: BTreeSet<Class> = groups.all().iter().map(|stored| stored.group.class).collect();
    assert!(classes.contains(&Class::Data) && classes.contains(&Class::Structure));
    let mut members = 0;
    for stored in groups.all() {
        assert!(stored.missing().count() == 0 && stored.surplus.is_empty());
        members += stored.group.members.len();
        for (_, id) in stored.present() {
            let shard = store.get(&names::shard(id), 1 << 30).unwrap();
            assert_eq!(shard.len() as u64, stored.layout().file_len());
            names::check_content_name(&id.0, &shard).unwrap();
        }
    }
    let packs = packs(store);
    assert_eq!(packs.len(), members);
    for pack in packs {
        let stored: Vec<_> = groups.of_pack(&pack).collect();
        assert_eq!(stored.len(), 1, "{pack}");
        let name = names::pack(pack);
        let bytes = store.get(&name, 1 << 30).unwrap();
        store.delete(&name).unwrap();
        let rebuilt = rebuild_pack(site, stored[0], pack).unwrap().unwrap();
        assert!(rebuilt.is_whole && rebuilt.bytes == bytes, "{pack}");
        store.put(&name, &bytes, Durability::Durable).unwrap();
    }
    groups.all().len()
}

fn packs(store: &Arc<dyn Store>) -> Vec<PackId> {
    let mut packs = Vec::new();
    store.list(names::PACKS, &mut |entry| packs.extend(names::pack_id_of(&entry.name, "pack"))).unwrap();
    packs
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

/// Copies the files, and no empty folder: git keeps none either.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::create_dir_all(to).unwrap();
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn every_golden_repository_is_restored_byte_for_byte() {
    if std::env::var_os("CONTAINERARCHIVE_GOLDEN_WRITE").is_some() {
        write(&golden().join("v1"));
    }
    let versions: Vec<PathBuf> = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(versions.iter().any(|version| version.ends_with("v1")), "testdata/golden/v1 is missing");
    for version in versions {
        check_version(&version);
    }
}

fn check_version(version: &Path) {
    let expected: Value = serde_json::from_slice(&fs::read(version.join("expected.json")).unwrap()).unwrap();
    let repositories = expected["repositories"].as_array().unwrap();
    let listed: BTreeSet<&str> =
        repositories.iter().map(|repository| repository["path"].as_str().unwrap()).collect();
    assert!(listed.contains("plain") && listed.contains("encrypted"), "{listed:?}");
    let mut most_groups = 0;
    for described in repositories {
        let path = version.join(described["path"].as_str().unwrap());
        let passphrase = described["passphrase"].as_str().map(|text| Passphrase::new(text.into()).unwrap());
        let key_file = described["keyFile"]
            .as_str()
            .map(|name| KeyFile::parse(&fs::read(version.join(name)).unwrap()).unwrap());
        let mut credentials: Vec<Credential<'_>> = passphrase.iter().map(Credential::Passphrase).collect();
        credentials.extend(key_file.iter().map(Credential::KeyFile));
        if credentials.is_empty() {
            credentials.push(Credential::None);
        }
        for credential in credentials {
            // A restore registers itself in the repository; the golden one stays as it is.
            let folder = tempfile::tempdir().unwrap();
            copy(&path, folder.path());
            let store: Arc<dyn Store> = Arc::new(LocalStore::new(folder.path()));
            let environment = Environment::system("host".to_owned(), "user".to_owned());
            let monitor = RecordingMonitor::default();
            let repository = open(&store, &environment, credential, &monitor);
            check(&repository, described["snapshots"].as_array().unwrap(), &monitor);
            most_groups = most_groups.max(check_parity(&repository));
        }
    }
    assert!(most_groups >= 4, "no repository has several groups of one class");
}

/// Bytes that do not compress, from a seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"golden noise").update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Rows of a table, as in a dump.
fn rows(seed: u64, count: u64) -> Vec<u8> {
    let row = |row| {
        let random = noise(seed + row, 3);
        format!("{row}\tuser-{}\t{}.{:02}\t2026-11-22\n", random[0], random[1], random[2] % 100)
    };
    (0..count).map(row).collect::<String>().into_bytes()
}

/// One repository in the making.
struct Writer {
    store: Arc<dyn Store>,
    environment: Environment,
    is_encrypted: bool,
    snapshots: Vec<Value>,
}

impl Writer {
    fn create(store: Arc<dyn Store>, is_encrypted: bool, compression: &str) -> Self {
        let environment = Environment {
            clock: Arc::new(ManualClock::new(START)),
            random: Arc::new(SeededRandomness::new(if is_encrypted { 2 } else { 1 })),
            host: "golden-host".to_owned(),
            user: "golden-user".to_owned(),
        };
        let passphrase = passphrase();
        let least = Argon2Params::new(19_456, 1, 1).unwrap();
        let options = CreateOptions {
            credential: is_encrypted.then_some(NewCredential::Passphrase(&passphrase, least)),
            label: "passphrase",
            chunking: ChunkParams::new(256, 1024, 4096).unwrap(),
            compression: compression.parse().unwrap(),
            pack_size_bytes: 64 << 10,
            parity: Parity::Groups { members: 3, shards: 2 },
        };
        create(&store, &environment, &options, &NoPins, &SilentMonitor).unwrap();
        Self { store, environment, is_encrypted, snapshots: Vec::new() }
    }

    fn open(&self) -> Repository {
        let passphrase = passphrase();
        let credential =
            if self.is_encrypted { Credential::Passphrase(&passphrase) } else { Credential::None };
        open(&self.store, &self.environment, credential, &SilentMonitor)
    }

    fn add_slot(&self, key: [u8; 32], capability: Capability, label: &str) {
        let key_file = KeyFile::new(key);
        let credential = NewCredential::KeyFile(&key_file);
        add_slot(&self.open(), &credential, capability, label, None, &SilentMonitor).unwrap();
    }

    fn ingest(&mut self, repository: &Repository, tag: &str, items: &[(&str, &[u8])]) {
        let described: Vec<Value> = items
            .iter()
            .map(|(name, content)| json!({"name": name, "size": content.len(), "sha256": sha256(content)}))
            .collect();
        let items = items.iter().map(|(name, content)| IngestItem {
            name: (*name).to_owned(),
            item_type: "stream".to_owned(),
            source: Box::new(*content),
            size_hint: Some(content.len() as u64),
        });
        let tags = BTreeMap::from([("für".to_owned(), tag.to_owned()), ("golden".to_owned(), String::new())]);
        let options = IngestOptions { tags, ..IngestOptions::default() };
        let report = ingest(repository, items.collect(), &options, &SilentMonitor).unwrap();
        self.snapshots.push(json!({"id": report.manifest.id, "items": described}));
    }

    /// How many nodes the recipes of the main domain have.
    fn nodes(&self) -> usize {
        let repository = self.open();
        let domain = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
        let views = packs(&self.store).into_iter().map(|id| repository.view_pack(id, &domain).unwrap());
        views
            .filter(|view| view.header.prefix.class == Class::Structure)
            .map(|view| view.table.records().iter().filter(|record| record.plain_len > 0).count())
            .sum()
    }
}

/// Rows whose recipe has two leaves at least, so that there is a node above them.
fn rows_of_two_levels(is_encrypted: bool, compression: &str) -> Vec<u8> {
    let has_two_levels = |content: &[u8]| {
        let mut writer = Writer::create(Arc::new(MemoryStore::new()), is_encrypted, compression);
        let repository = writer.open();
        writer.ingest(&repository, "", &[("rows", content)]);
        writer.nodes() >= 3
    };
    (0..500).map(|seed| rows(seed << 20, 2500)).find(|content| has_two_levels(content)).unwrap()
}

fn write(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("golden.key"), KeyFile::new(KEY).to_text().as_bytes()).unwrap();
    let (small, more) = (rows(1, 300), [rows(1, 300), rows(7, 20)].concat());
    let bytes = noise(1, 9000);

    let dump = rows_of_two_levels(false, "auto");
    let mut plain = Writer::create(Arc::new(LocalStore::new(folder.join("plain"))), false, "auto");
    let repository = plain.open();
    let name = "Übersicht/été ☃.tsv";
    plain.ingest(
        &repository,
        "all",
        &[("dump/rows.tsv", &dump), (name, &small), ("noise", &bytes), ("empty", b""), ("one", b"1")],
    );
    plain.ingest(&repository, "some", &[(name, &more), ("noise", &bytes)]);

    let dump = rows_of_two_levels(true, "gzip:6");
    let mut encrypted = Writer::create(Arc::new(LocalStore::new(folder.join("encrypted"))), true, "gzip:6");
    encrypted.add_slot(KEY, Capability::Admin, "golden.key");
    encrypted.add_slot(WRITER_KEY, Capability::Write, "writer");
    let repository = encrypted.open();
    encrypted.ingest(
        &repository,
        "all",
        &[("dump/rows.tsv", &dump), ("noise", &bytes), ("empty", b""), ("one", b"1")],
    );
    encrypted.ingest(&repository, "some", &[("dump/rows.tsv", &dump), (name, &more)]);
    let writer_key = KeyFile::new(WRITER_KEY);
    let writer =
        open(&encrypted.store, &encrypted.environment, Credential::KeyFile(&writer_key), &SilentMonitor);
    encrypted.ingest(&writer, "writer", &[(name, &small), ("noise", &bytes)]);

    for repository in ["plain", "encrypted"] {
        // Means nothing, and is long.
        fs::remove_file(folder.join(repository).join("reserve")).unwrap();
    }
    let expected = json!({"repositories": [
        {"path": "plain", "passphrase": null, "keyFile": null, "snapshots": plain.snapshots},
        {"path": "encrypted", "passphrase": PASSPHRASE, "keyFile": "golden.key", "snapshots": encrypted.snapshots},
    ]});
    fs::write(folder.join("expected.json"), format!("{expected:#}\n")).unwrap();
}
