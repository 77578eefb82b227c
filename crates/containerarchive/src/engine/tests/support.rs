//! A repository to test with: seeded, on any store, opened by a key file (an Argon2id run for each opening would
//! be most of a test's time).

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use crate::base::testing::{ManualClock, SeededRandomness};
use crate::base::{Monitor, NoPins, Pins, SilentMonitor, Timestamp};
use crate::chunk::ChunkParams;
use crate::compress::Compression;
use crate::crypto::KeyFile;
use crate::engine::{
    Filter, IngestItem, IngestOptions, IngestReport, RestoreOptions, RestoreReport, RestoreTarget, Selector,
    ingest, restore, snapshots,
};
use crate::error::Error;
use crate::format::parity_level::Parity;
use crate::format::slot::Capability;
use crate::repo::{
    CreateOptions, Credential, Environment, Locked, NewCredential, OpenOptions, RepoError, Repository,
    add_slot, create,
};
use crate::store::Store;

/// Chunks of 1 KiB on average, so that small contents have many and recipes several levels.
pub(super) fn small_chunks() -> ChunkParams {
    ChunkParams::new(256, 1024, 4096).unwrap()
}

/// How a test's repository is made and opened.
#[derive(Clone)]
pub(super) struct Lab {
    pub(super) store: Arc<dyn Store>,
    pub(super) environment: Environment,
    pub(super) encrypted: bool,
    pub(super) chunking: ChunkParams,
    pub(super) compression: Compression,
    pub(super) pack_size_bytes: u64,
    pub(super) parity: Parity,
    pub(super) threads: usize,
}

pub(super) const ADMIN: [u8; 32] = [7; 32];

/// 2026-11-22T00:00:00Z.
pub(super) const START: Timestamp = Timestamp(1_795_305_600_000);

impl Lab {
    pub(super) fn new(store: Arc<dyn Store>, encrypted: bool, seed: u64) -> Self {
        let environment = Environment {
            clock: Arc::new(ManualClock::new(START)),
            random: Arc::new(SeededRandomness::new(seed)),
            host: "host".to_owned(),
            user: "user".to_owned(),
        };
        Self {
            store,
            environment,
            encrypted,
            chunking: small_chunks(),
            compression: Compression::Auto,
            pack_size_bytes: 64 << 10,
            parity: Parity::Groups { members: 4, shards: 2 },
            threads: 1,
        }
    }

    pub(super) fn on(&self, store: Arc<dyn Store>) -> Self {
        Self { store, ..self.clone() }
    }

    pub(super) fn create(&self) -> Result<(), RepoError> {
        self.create_with(&NoPins)
    }

    pub(super) fn create_with(&self, pins: &dyn Pins) -> Result<(), RepoError> {
        let key_file = KeyFile::new(ADMIN);
        let options = CreateOptions {
            credential: self.encrypted.then_some(NewCredential::KeyFile(&key_file)),
            label: "first",
            chunking: self.chunking,
            compression: self.compression,
            pack_size_bytes: self.pack_size_bytes,
            parity: self.parity,
        };
        create(&self.store, &self.environment, &options, pins, &SilentMonitor).map(|_| ())
    }

    pub(super) fn open(&self) -> Result<Repository, RepoError> {
        self.open_with(ADMIN, &NoPins, &SilentMonitor)
    }

    pub(super) fn open_with(
        &self,
        key: [u8; 32],
        pins: &dyn Pins,
        monitor: &dyn Monitor,
    ) -> Result<Repository, RepoError> {
        let key_file = KeyFile::new(key);
        let credential = if self.encrypted { Credential::KeyFile(&key_file) } else { Credential::None };
        let options = OpenOptions { pins, accept_rollback: false };
        Locked::read(Arc::clone(&self.store), self.environment.clone(), monitor)?
            .open(credential, &options, monitor)
    }

    pub(super) fn add_writer(&self, key: [u8; 32], domain: Option<&str>) {
        let key_file = KeyFile::new(key);
        let credential = NewCredential::KeyFile(&key_file);
        add_slot(&self.open().unwrap(), &credential, Capability::Write, "writer", domain, &SilentMonitor)
            .unwrap();
    }

    pub(super) fn ingest(&self, items: &[(&str, &[u8])]) -> Result<IngestReport, Error> {
        self.ingest_into(&self.open()?, items)
    }

    pub(super) fn ingest_into(
        &self,
        repository: &Repository,
        items: &[(&str, &[u8])],
    ) -> Result<IngestReport, Error> {
        let items = items.iter().map(|(name, content)| item(name, *content)).collect();
        let options = IngestOptions { threads: self.threads, ..IngestOptions::default() };
        ingest(repository, items, &options, &SilentMonitor)
    }

    /// All items of the newest snapshot.
    pub(super) fn restore_latest(&self) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        self.restore_from(&self.open()?, "latest", &SilentMonitor)
    }

    pub(super) fn restore_from(
        &self,
        repository: &Repository,
        which: &str,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let found = snapshots(repository, &NoPins, monitor)?;
        let snapshot = found.find(&Selector::parse(which).unwrap(), &Filter::default())?;
        let mut items = BTreeMap::new();
        for item in &snapshot.manifest.items {
            let mut content = Vec::new();
            let options = RestoreOptions { item: Some(&item.name), threads: self.threads, heal: false };
            restore(repository, snapshot, RestoreTarget::Stream(&mut content), &options, monitor)?;
            items.insert(item.name.clone(), content);
        }
        Ok(items)
    }

    /// The newest snapshot below a folder.
    pub(super) fn restore_to(&self, folder: &std::path::Path) -> Result<RestoreReport, Error> {
        let repository = self.open()?;
        let found = snapshots(&repository, &NoPins, &SilentMonitor)?;
        let snapshot = found.find(&Selector::Latest(0), &Filter::default())?;
        let target = RestoreTarget::Folder { path: folder, overwrite: false };
        let options = RestoreOptions { item: None, threads: self.threads, heal: false };
        restore(&repository, snapshot, target, &options, &SilentMonitor)
    }
}

pub(super) fn item<'a>(name: &str, content: impl Read + Send + 'a) -> IngestItem<'a> {
    IngestItem {
        name: name.to_owned(),
        item_type: "stream".to_owned(),
        source: Box::new(content),
        size_hint: None,
    }
}

/// Bytes that do not compress, from a seed.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_keyed(&[9; 32]).update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Text like that of a database dump, of about `len` bytes.
pub(super) fn sql(seed: u64, len: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(len + 200);
    let mut row = 0u64;
    while text.len() < len {
        let random = noise(seed.wrapping_add(row), 8);
        let line = format!(
            "INSERT INTO events (id, kind, actor, amount) VALUES ({row}, 'view', 'user-{}', {}.{:02});\n",
            random[0],
            random[1],
            random[2] % 100
        );
        text.extend_from_slice(line.as_bytes());
        row += 1;
    }
    text.truncate(len);
    text
}
