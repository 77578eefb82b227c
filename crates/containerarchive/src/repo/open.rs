//! Opening a repository: config → key slot → signature → what the client remembers → settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keyring::KeyRing;
use super::objects::{list_replicated, read_replicated};
use super::{ParityStore, RepoError, retired, slots};
use crate::base::limits::{MAX_JSON_BYTES, MAX_SMALL_JSON_BYTES};
use crate::base::random::random_array;
use crate::base::{
    Clock, DomainId, Monitor, Pin, Pins, Planted, Problem, Randomness, RecordId, RepositoryId, SessionId,
    SlotId, SystemClock, SystemRandomness, Timestamp, is_planted,
};
use crate::crypto::{KeyFile, Passphrase, Suite, blake3_256};
use crate::format::config::{Config, UnverifiedConfig};
use crate::format::names;
use crate::format::prefix::{Class, ObjectKind, Prefix};
use crate::format::signed::{Fact, Settings, StopKind};
use crate::store::{Store, StoreErrorKind};

/// What the engine needs to know of the world around it.
#[derive(Clone)]
pub struct Environment {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids, salts, keys.
    pub random: Arc<dyn Randomness>,
    /// The host's name, for manifests and sessions.
    pub host: String,
    /// The user's name, for manifests and sessions.
    pub user: String,
}

impl Environment {
    /// The operating system's clock and randomness.
    #[must_use]
    pub fn system(host: String, user: String) -> Self {
        Self { clock: Arc::new(SystemClock), random: Arc::new(SystemRandomness), host, user }
    }
}

/// What a user opens a repository with.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// Nothing: for plain repositories.
    None,
    /// A passphrase.
    Passphrase(&'a Passphrase),
    /// A key file.
    KeyFile(&'a KeyFile),
}

impl Credential<'_> {
    /// The word for it in messages.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::None => "no key",
            Self::Passphrase(_) => "passphrase",
            Self::KeyFile(_) => "key file",
        }
    }
}

/// How to open.
pub struct OpenOptions<'a> {
    /// The client's notes.
    pub pins: &'a dyn Pins,
    /// Take a repository that went back in time as the new truth.
    pub accept_rollback: bool,
}

/// A repository whose config was read, and nothing more: it is not known yet to be the right one.
pub struct Locked {
    store: Arc<dyn Store>,
    environment: Environment,
    config: Vec<u8>,
    suite: Suite,
    repository: RepositoryId,
}

/// A repository that was opened with a key.
pub struct Repository {
    /// Where its objects are.
    pub store: Arc<dyn Store>,
    /// The world around.
    pub environment: Environment,
    /// What never changes.
    pub config: Config,
    /// What the key allows.
    pub keys: KeyRing,
    /// What may change.
    pub settings: Settings,
    /// The key slot that opened; `None` in a plain repository.
    pub slot: Option<SlotId>,
}

impl Locked {
    /// Reads the config.
    ///
    /// # Errors
    /// There is no repository, or its config is damaged and so is the replica.
    pub fn read(
        store: Arc<dyn Store>,
        environment: Environment,
        monitor: &dyn Monitor,
    ) -> Result<Self, RepoError> {
        let parse = |bytes: &[u8]| {
            UnverifiedConfig::parse(bytes).map(|config| (bytes.to_vec(), config.suite(), config.repository()))
        };
        match read_replicated(&*store, &names::config(), MAX_SMALL_JSON_BYTES, monitor, parse) {
            Ok(Some((config, suite, repository))) => {
                Ok(Self { store, environment, config, suite, repository })
            }
            Ok(None) => Err(RepoError::NoRepository { location: store.location() }),
            Err(RepoError::Store(error)) if error.kind == StoreErrorKind::NotFound => {
                Err(RepoError::NoRepository { location: store.location() })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a passphrase or key file is needed; not to be trusted for anything but asking for one.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.suite != Suite::Plain
    }

    /// The world around.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The part of the repository that can be worked on without a key. What the config says is not to be trusted, and
    /// need not be: packs and shards have their checksums.
    #[must_use]
    pub fn parity_store(&self) -> ParityStore<'_> {
        ParityStore { store: &*self.store, suite: self.suite, repository: self.repository }
    }

    /// Ids and salts for what is written without a key.
    #[must_use]
    pub fn randomness(&self) -> &dyn Randomness {
        &*self.environment.random
    }

    /// Opens with a passphrase, a key file, or nothing.
    ///
    /// # Errors
    /// The key is wrong, the config is not signed by this repository's admins, or the repository went back in time.
    pub fn open(
        self,
        credential: Credential<'_>,
        options: &OpenOptions<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Repository, RepoError> {
        let location = self.store.location();
        let unverified = UnverifiedConfig::parse(&self.config)
            .map_err(|source| RepoError::format(&names::config(), source))?;
        if unverified.suite() == Suite::Plain && !matches!(credential, Credential::None) {
            return Err(RepoError::NotEncrypted { location, given: credential.word() });
        }
        // What the client knows comes before what a passphrase is tried on.
        let pin = options.pins.load(&location)?.filter(|_| !options.accept_rollback);
        let repository = unverified.repository();
        if let Some(pin) = &pin {
            check_identity(&location, pin, repository, unverified.suite() != Suite::Plain)?;
        }
        let (keys, slot) = match (unverified.suite(), credential) {
            (Suite::Plain, _) => (KeyRing::plain(repository)?, None),
            (Suite::X25519, Credential::None) => return Err(RepoError::KeyNeeded { location }),
            (Suite::X25519, given) => {
                let first = pin.as_ref().and_then(|pin| pin.slot);
                let (payload, slot) = slots::open_one(&*self.store, repository, given, first, monitor)?;
                (KeyRing::from_slot(repository, payload)?, Some(slot))
            }
        };
        let config = unverified
            .verify(keys.verifier().as_ref())
            .map_err(|source| RepoError::format(&names::config(), source))?;
        let config_blake3 = blake3_256(&self.config);
        if let Some(pin) = &pin {
            check_config(&location, pin, &config, &config_blake3)?;
        }
        let settings = read_settings(&*self.store, &config, &keys, monitor)?;
        let Self { store, environment, .. } = self;
        let opened = Repository { store, environment, config, keys, settings, slot };
        if let Some(pin) = &pin {
            opened.check_newest(&location, pin, monitor)?;
        }
        let new_pin = Pin {
            repository,
            is_encrypted: opened.is_encrypted(),
            config_serial: opened.config.serial,
            config_blake3,
            newest: pin.as_ref().map_or_else(BTreeMap::new, |pin| pin.newest.clone()),
            slot: slot.or(pin.as_ref().and_then(|pin| pin.slot)),
        };
        if pin.as_ref() != Some(&new_pin) {
            opened.save_pin(options.pins, &new_pin, monitor);
        }
        Ok(opened)
    }
}

fn check_identity(
    location: &str,
    pin: &Pin,
    repository: RepositoryId,
    is_encrypted: bool,
) -> Result<(), RepoError> {
    let rollback = |what: String| Err(RepoError::Rollback { location: location.to_owned(), what });
    if pin.repository != repository {
        return rollback(format!("it was repository {}, now it is {repository}", pin.repository));
    }
    if pin.is_encrypted && !is_encrypted {
        return rollback("it was encrypted, now its config says that it is not".to_owned());
    }
    Ok(())
}

fn check_config(location: &str, pin: &Pin, config: &Config, blake3: &[u8; 32]) -> Result<(), RepoError> {
    let what = if config.serial < pin.config_serial {
        format!("its config has the serial {}, this client has seen {}", config.serial, pin.config_serial)
    } else if config.serial == pin.config_serial && *blake3 != pin.config_blake3 {
        format!("its config with the serial {} is another one than this client has seen", config.serial)
    } else {
        return Ok(());
    };
    Err(RepoError::Rollback { location: location.to_owned(), what })
}

fn read_settings(
    store: &dyn Store,
    config: &Config,
    keys: &KeyRing,
    monitor: &dyn Monitor,
) -> Result<Settings, RepoError> {
    let mut newest: Option<(u64, RecordId, Settings)> = None;
    let mut problem = None;
    for id in list_replicated::<RecordId>(store, &Settings::KIND.folder(), "json")? {
        let name = names::record(Settings::KIND, id);
        let parse =
            |bytes: &[u8]| Settings::open_record(config.repository, id, bytes, keys.verifier().as_ref());
        match read_replicated(store, &name, MAX_JSON_BYTES, monitor, parse) {
            Ok(None) => {}
            Ok(Some(settings)) => {
                if newest
                    .as_ref()
                    .is_none_or(|(sequence, newest_id, _)| (*sequence, *newest_id) < (settings.sequence, id))
                {
                    newest = Some((settings.sequence, id, settings));
                }
            }
            Err(error) if error.is_damage() => problem = Some(error),
            Err(error) => return Err(error),
        }
    }
    match (newest, problem) {
        (Some((_, _, settings)), None) => Ok(settings),
        (Some((_, _, settings)), Some(error)) => {
            let text = format!("{error}; the newest intact settings are used");
            monitor.problem(&Problem::Damaged { object: Settings::KIND.folder(), text });
            Ok(settings)
        }
        // Settings decide how new data is written, never how old data is read: a restore must not need them.
        (None, problem) => {
            let text =
                problem.map_or_else(|| "there is no settings record".to_owned(), |error| error.to_string());
            monitor.problem(&Problem::Damaged {
                object: Settings::KIND.folder(),
                text: format!("{text}; the default settings are used"),
            });
            Ok(super::create::default_settings(config.created))
        }
    }
}

impl Repository {
    /// Whether the repository is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.config.suite != Suite::Plain
    }

    /// The prefix of a new object, with fresh salt.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new_prefix(
        &self,
        kind: ObjectKind,
        class: Class,
        domain: DomainId,
        session: SessionId,
    ) -> Result<Prefix, RepoError> {
        let (suite, repository) = (self.config.suite, self.config.repository);
        let salt = match kind {
            ObjectKind::Pack if is_planted(Planted::SaltLeftOut) => [0; 32],
            _ => random_array(&*self.environment.random)?,
        };
        Ok(Prefix { kind, suite, class, repository, domain, session, salt })
    }

    /// Compares the newest manifests that this client saw with what is there.
    fn check_newest(&self, location: &str, pin: &Pin, monitor: &dyn Monitor) -> Result<(), RepoError> {
        for (domain, (id, committed)) in &pin.newest {
            let name = names::manifest(*id);
            let is_there =
                self.store.head(&name)?.is_some() || self.store.head(&names::replica(&name))?.is_some();
            if is_there || self.absence_is_explained(*id, monitor)? {
                continue;
            }
            let what = format!(
                "snapshot {id} of domain {domain}, committed {committed}, is gone, and no signed record says why"
            );
            return Err(RepoError::Rollback { location: location.to_owned(), what });
        }
        Ok(())
    }

    /// Whether a signed object says that this snapshot is rightly gone (R-MANIFEST-4).
    ///
    /// # Errors
    /// The store failed.
    pub fn absence_is_explained(&self, id: SessionId, monitor: &dyn Monitor) -> Result<bool, RepoError> {
        Ok(self.was_stopped(id, monitor)? || retired::read_forgotten(self, monitor)?.contains(&id))
    }

    /// Whether there is an intact void or fence of a session.
    ///
    /// # Errors
    /// The store failed.
    pub fn was_stopped(&self, id: SessionId, monitor: &dyn Monitor) -> Result<bool, RepoError> {
        Ok(self.is_stopped(StopKind::Void, id, monitor)? || self.is_stopped(StopKind::Fence, id, monitor)?)
    }

    /// Whether there is an intact fence or void of a session. A damaged one is reported and does not count.
    ///
    /// # Errors
    /// The store failed.
    pub fn is_stopped(
        &self,
        kind: StopKind,
        id: SessionId,
        monitor: &dyn Monitor,
    ) -> Result<bool, RepoError> {
        let name = match kind {
            StopKind::Fence => names::fence(id),
            StopKind::Void => names::void(id),
        };
        let bytes = match self.store.get(&name, MAX_SMALL_JSON_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(false),
            Err(error) if error.kind == StoreErrorKind::TooLarge => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        match kind.open(self.config.repository, id, &bytes, self.keys.verifier().as_ref()) {
            Ok(_) => Ok(true),
            Err(error) => {
                monitor.problem(&Problem::Damaged {
                    object: name.to_string(),
                    text: format!("{error}; it is ignored"),
                });
                Ok(false)
            }
        }
    }

    /// Remembers that these manifests were seen. A client that cannot keep notes goes on with a warning.
    pub fn remember(
        &self,
        pins: &dyn Pins,
        seen: &[(DomainId, SessionId, Timestamp)],
        monitor: &dyn Monitor,
    ) {
        let Ok(Some(mut pin)) = pins.load(&self.store.location()) else { return };
        let before = pin.newest.clone();
        for (domain, id, committed) in seen {
            let newest = pin.newest.entry(*domain).or_insert((*id, *committed));
            if (newest.1, newest.0) < (*committed, *id) {
                *newest = (*id, *committed);
            }
        }
        if pin.newest != before {
            self.save_pin(pins, &pin, monitor);
        }
    }

    fn save_pin(&self, pins: &dyn Pins, pin: &Pin, monitor: &dyn Monitor) {
        if let Err(error) = pins.save(&self.store.location(), pin) {
            let text = format!("{error}; without them an older copy of the repository cannot be noticed");
            monitor.problem(&Problem::Warning { text });
        }
    }
}
