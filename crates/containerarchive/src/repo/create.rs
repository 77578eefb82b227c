//! Making a repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::objects::{delete_if_there, put_replica, put_replicated};
use super::reserve;
use super::slots::write_slot;
use super::{Environment, RepoError};
use crate::base::limits::MAX_SMALL_JSON_BYTES;
use crate::base::random::random_array;
use crate::base::{DomainId, Monitor, ObjectName, Pin, Pins, Problem, RecordId, RepositoryId, Timestamp};
use crate::chunk::ChunkParams;
use crate::compress::Compression;
use crate::crypto::{Argon2Params, KeyFile, Passphrase, RootKey, Signer, Suite, blake3_256};
use crate::format::config::Config;
use crate::format::names;
use crate::format::parity_level::Parity;
use crate::format::signed::{Fact, Settings};
use crate::format::slot::{SlotPayload, SlotText};
use crate::store::{Durability, Held, Store, StoreErrorKind};

/// Credential of a new key slot.
pub enum NewCredential<'a> {
    /// A passphrase, and what guessing it shall cost.
    Passphrase(&'a Passphrase, Argon2Params),
    /// A key file.
    KeyFile(&'a KeyFile),
}

/// What a new repository is like.
pub struct CreateOptions<'a> {
    /// The first admin's credential; `None`: no encryption.
    pub credential: Option<NewCredential<'a>>,
    /// Label of the first key slot.
    pub label: &'a str,
    /// How content is cut.
    pub chunking: ChunkParams,
    /// How chunks are compressed.
    pub compression: Compression,
    /// When packs are finished.
    pub pack_size_bytes: u64,
    /// How packs are protected.
    pub parity: Parity,
}

/// Beginning of the names of locks that only init takes; no session has such a name.
const INIT_LOCK: &str = "init-";
/// Pack size where none is asked for: 16 MiB.
const DEFAULT_PACK_SIZE: u64 = 16 << 20;

impl Default for CreateOptions<'_> {
    fn default() -> Self {
        Self {
            credential: None,
            label: "",
            chunking: ChunkParams::default(),
            compression: Compression::Auto,
            pack_size_bytes: DEFAULT_PACK_SIZE,
            parity: Parity::default(),
        }
    }
}

pub(super) fn default_settings(created: Timestamp) -> Settings {
    Settings {
        created,
        sequence: 0,
        compression: Compression::Auto,
        pack_size_bytes: DEFAULT_PACK_SIZE,
        parity: Parity::default(),
    }
}

/// Whether an object can be left by an init that was interrupted before it wrote the config: worth nothing without one.
#[must_use]
pub fn is_leftover_of_init(name: &ObjectName) -> bool {
    let name = name.as_str();
    let original = name.strip_prefix("replicas/").unwrap_or(name);
    original.starts_with("keys/") || original.starts_with("records/settings/")
}

/// Makes a repository: folders, key slot, settings, and last, so that it counts only when it is whole, the config.
///
/// # Errors
/// The place is not empty, or this client knows another repository there, or the store failed.
pub fn create(
    store: &Arc<dyn Store>,
    environment: &Environment,
    options: &CreateOptions<'_>,
    pins: &dyn Pins,
    monitor: &dyn Monitor,
) -> Result<RepositoryId, RepoError> {
    let location = store.location();
    let occupied = |why: String| RepoError::Occupied { location: location.clone(), why };
    if let Some(pin) = pins.load(&location)? {
        return Err(occupied(format!(
            "this client knows repository {} there, which may be on a disk that is not mounted; if it is gone for good, 'init' makes a new one",
            pin.repository
        )));
    }
    prepare(&**store, &occupied)?;
    let lock = lock(&**store, &occupied)?;
    let made = clear(&**store, &lock, &occupied).and_then(|()| make(store, environment, options, &occupied));
    drop(lock.held);
    for name in &lock.names {
        // Whoever comes next finds it dead and goes on.
        let _ = delete_if_there(&**store, name);
    }
    let (repository, bytes) = made?;
    // After the config, so that an init which is interrupted here has made a repository all the same.
    reserve::keep(&**store, monitor);
    let pin = Pin {
        repository,
        is_encrypted: options.credential.is_some(),
        config_serial: 1,
        config_blake3: blake3_256(&bytes),
        newest: BTreeMap::new(),
        slot: None,
    };
    // The repository exists by now; the client learns it again when it opens it.
    if let Err(error) = pins.save(&location, &pin) {
        monitor.problem(&Problem::Warning { text: error.to_string() });
    }
    Ok(repository)
}

/// Writes the objects of a new repository. Returns its id and the bytes of its config.
fn make(
    store: &Arc<dyn Store>,
    environment: &Environment,
    options: &CreateOptions<'_>,
    occupied: &dyn Fn(String) -> RepoError,
) -> Result<(RepositoryId, Vec<u8>), RepoError> {
    let repository = RepositoryId(random_array(&*environment.random)?);
    let created = environment.clock.now();
    let mut signer = None;
    let suite = match &options.credential {
        None => Suite::Plain,
        Some(credential) => {
            let root = RootKey::new(random_array(&*environment.random)?);
            let text =
                SlotText { label: options.label.to_owned(), domain: DomainId::MAIN, domain_name: None };
            let payload = SlotPayload::Admin(RootKey::new(*root.expose()));
            write_slot(&**store, environment, repository, &root, &payload, &text, credential)?;
            signer = Some(Signer::new(&root, &repository)?);
            Suite::X25519
        }
    };
    let settings = Settings {
        created,
        sequence: 1,
        compression: options.compression,
        pack_size_bytes: options.pack_size_bytes,
        parity: options.parity,
    };
    let record = RecordId(random_array(&*environment.random)?);
    let (name, bytes) = settings
        .seal_record(repository, record, signer.as_ref())
        .map_err(|source| RepoError::format(&names::record(Settings::KIND, record), source))?;
    put_replicated(&**store, &name, &bytes)?;
    let config = Config {
        repository,
        serial: 1,
        created,
        suite,
        chunking: options.chunking,
        is_weak_store: store.capabilities().is_weak,
    };
    let bytes =
        config.encode(signer.as_ref()).map_err(|source| RepoError::format(&names::config(), source))?;
    match store.put(&names::config(), &bytes, Durability::Durable) {
        Err(error) if error.kind == StoreErrorKind::AlreadyExists => {
            return Err(occupied("another process made one at the same moment".to_owned()));
        }
        other => other?,
    }
    put_replica(&**store, &names::config(), &bytes)?;
    Ok((repository, bytes))
}

/// Says that an init runs, so that two at once do not clear away what the other one writes.
struct InitLock {
    held: Box<dyn Held>,
    /// Its object, and those of interrupted inits.
    names: Vec<ObjectName>,
}

fn init_lock_name(number: u32) -> Option<ObjectName> {
    ObjectName::parse(&format!("{}/{INIT_LOCK}{number}.json", names::LOCKS))
}

/// Takes the number behind the highest one: of two inits that see the same, one only can create the next.
fn lock(store: &dyn Store, occupied: &dyn Fn(String) -> RepoError) -> Result<InitLock, RepoError> {
    let busy = || occupied("another process is making one right now".to_owned());
    let mut names = Vec::new();
    let mut next = 0;
    store.list(names::LOCKS, &mut |entry| {
        let number =
            entry.name.file_name().strip_prefix(INIT_LOCK).and_then(|rest| rest.strip_suffix(".json"));
        if let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) {
            next = next.max(number.saturating_add(1));
            names.push(entry.name);
        }
    })?;
    for name in &names {
        match store.is_held(name) {
            Ok(Some(true)) => return Err(busy()),
            Err(error) if error.kind != StoreErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let Some(name) = init_lock_name(next) else { return Err(busy()) };
    let held = store.put_held(&name, b"").map_err(|error| match error.kind {
        StoreErrorKind::AlreadyExists => busy(),
        _ => error.into(),
    })?;
    names.push(name);
    Ok(InitLock { held, names })
}

/// Makes the folders, if there is no repository.
fn prepare(store: &dyn Store, occupied: &dyn Fn(String) -> RepoError) -> Result<(), RepoError> {
    let config = names::config();
    for name in [&config, &names::replica(&config)] {
        match store.head(name) {
            Ok(None) => {}
            Ok(Some(_)) => return Err(occupied(format!("there is one already ({name} exists)"))),
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    let folders = names::folders();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    store.create(&folders).map_err(|error| match error.kind {
        StoreErrorKind::AlreadyExists => occupied(format!("it is not empty ({error})")),
        _ => error.into(),
    })
}

/// Clears what an interrupted init left. Anything else there is somebody's data.
fn clear(
    store: &dyn Store,
    lock: &InitLock,
    occupied: &dyn Fn(String) -> RepoError,
) -> Result<(), RepoError> {
    let mut leftovers = Vec::new();
    let mut foreign = None;
    store.list("", &mut |entry| {
        if lock.names.contains(&entry.name) {
            return;
        }
        if is_leftover_of_init(&entry.name) && entry.len <= MAX_SMALL_JSON_BYTES as u64 {
            leftovers.push(entry.name);
        } else {
            foreign = Some(entry.name);
        }
    })?;
    if let Some(name) = foreign {
        return Err(occupied(format!(
            "it holds {name}; if this is a repository whose config was lost, restore that first"
        )));
    }
    for name in leftovers {
        delete_if_there(store, &name)?;
    }
    Ok(())
}
