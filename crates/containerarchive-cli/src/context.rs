//! What every verb needs: the store, the client's notes, the key; and opening and making repositories with them.

use std::sync::Arc;

use containerarchive::base::{Pin, PinsError, RepositoryId};
use containerarchive::{
    CreateOptions, Credential, Environment, ErrorCode, LocalStore, Locked, OpenOptions, Pins, RepoError,
    Repository, Store, create,
};

use crate::args::{GlobalArgs, NewRepositoryArgs, Typed};
use crate::client::{Client, ClientPins, Forgetful, given_up};
use crate::credentials::{KeySource, Secret};
use crate::failure::{Failure, Outcome};
use crate::ui::Terminal;

/// What to do where a new repository got no key.
const FIRST_KEY: &str = "give one by --passphrase-file, --passphrase-command, --key-file (which is made) or \
                         CONTAINERARCHIVE_PASSPHRASE, or say --no-encryption";

/// What every verb needs.
pub(crate) struct Context<'t> {
    pub(crate) terminal: &'t Terminal,
    pub(crate) threads: usize,
    pub(crate) pins: ClientPins,
    /// Options of a new repository were typed.
    pub(crate) is_new_typed: bool,
    store: Arc<dyn Store>,
    environment: Environment,
    source: KeySource,
}

/// Notes that are looked at and stay as they are.
struct ReadOnly<'a>(&'a ClientPins);

impl Pins for ReadOnly<'_> {
    fn load(&self, location: &str) -> Result<Option<Pin>, PinsError> {
        self.0.load(location)
    }

    fn save(&self, _location: &str, _pin: &Pin) -> Result<(), PinsError> {
        Ok(())
    }
}

impl<'t> Context<'t> {
    /// Does not touch the repository yet.
    ///
    /// # Errors
    /// Options are missing or contradict each other.
    pub(crate) fn new(options: &GlobalArgs, typed: Typed, terminal: &'t Terminal) -> Outcome<Self> {
        let repo = options.repo.as_ref().ok_or_else(|| {
            Failure::usage("which repository?").advise("say --repo DIR, or set CONTAINERARCHIVE_REPO")
        })?;
        let source = KeySource::of_repository(options, typed)?;
        let Client { threads, pins, environment } = Client::new(options)?;
        let store = Arc::new(LocalStore::new(repo));
        let is_new_typed = typed.new_repository;
        Ok(Self { terminal, threads, pins, store, environment, source, is_new_typed })
    }

    /// Reads what can be read without a key.
    ///
    /// # Errors
    /// There is no repository, or its config is damaged.
    pub(crate) fn read(&self) -> Result<Locked, RepoError> {
        Locked::read(Arc::clone(&self.store), self.environment.clone(), self.terminal)
    }

    /// Opens the repository with the user's key.
    ///
    /// # Errors
    /// There is none, the key is wrong, or it is not as this client saw it last.
    pub(crate) fn open(&self) -> Outcome<Repository> {
        let locked = self.read()?;
        // Only a question may hang on a config that is not verified yet: a key that was given is always tried.
        let secret = if self.source.is_given() || locked.is_encrypted() {
            Some(self.source.load(&self.store.location(), self.terminal)?)
        } else {
            None
        };
        self.unlock(locked, secret.as_ref().map_or(Credential::None, Secret::credential))
    }

    /// Opens the repository if that takes no question and runs no command of the user's, and notes nothing.
    pub(crate) fn open_unasked(&self) -> Option<Repository> {
        let locked = self.read().ok()?;
        let needs_key = self.source.is_given() || locked.is_encrypted();
        if needs_key && !self.source.is_unasked() {
            return None;
        }
        let location = self.store.location();
        let secret = if needs_key { Some(self.source.load(&location, self.terminal).ok()?) } else { None };
        let pins = ReadOnly(&self.pins);
        let options = OpenOptions { pins: &pins, accept_rollback: self.pins.accept_rollback };
        locked
            .open(secret.as_ref().map_or(Credential::None, Secret::credential), &options, self.terminal)
            .ok()
    }

    fn unlock(&self, locked: Locked, credential: Credential<'_>) -> Outcome<Repository> {
        let options = OpenOptions { pins: &self.pins, accept_rollback: self.pins.accept_rollback };
        Ok(locked.open(credential, &options, self.terminal)?)
    }

    /// Opens the repository anew with a key that was just added, or is about to be. Notes nothing.
    ///
    /// # Errors
    /// The key opens nothing.
    pub(crate) fn try_key(&self, secret: &Secret) -> Result<Repository, RepoError> {
        let options = OpenOptions { pins: &containerarchive::NoPins, accept_rollback: false };
        self.read()?.open(secret.credential(), &options, &containerarchive::SilentMonitor)
    }

    /// Makes the repository, also where this client knows one that is gone: the user asked for just this.
    ///
    /// # Errors
    /// There is one, the place is not empty, or there is no key.
    pub(crate) fn create(&self, new: &NewRepositoryArgs, label: &str) -> Outcome<Repository> {
        let known = self.pins.load(&self.store.location()).ok().flatten();
        let repository = self.create_with(&Forgetful(&self.pins), new, label)?;
        if let Some(pin) = known {
            self.terminal.warn(&given_up(&pin));
        }
        Ok(repository)
    }

    fn create_with(&self, pins: &dyn Pins, new: &NewRepositoryArgs, label: &str) -> Outcome<Repository> {
        self.check_encryption(new)?;
        let location = self.store.location();
        match self.read() {
            // Any other trouble is found again by `create`, which looks closer.
            Err(_) => {}
            Ok(_) => {
                let error = RepoError::Occupied { location, why: "there is one already".to_owned() };
                return Err(
                    Failure::from(error).advise("nothing was replaced; use it, or choose another place")
                );
            }
        }
        // A repository whose maker cannot note it down is better not made.
        std::fs::create_dir_all(&self.pins.folder).map_err(|error| {
            let folder = self.pins.folder.display();
            Failure::new(ErrorCode::Failed, format!("cannot make the state folder {folder}: {error}"))
                .advise("name another one with --state-dir (CONTAINERARCHIVE_STATE_DIR)")
        })?;
        let secret =
            if new.no_encryption { None } else { Some(self.source.load_new(FIRST_KEY, self.terminal)?) };
        self.make(pins, new, label, secret.as_ref())?;
        let credential = secret.as_ref().map_or(Credential::None, Secret::credential);
        self.unlock(self.read()?, credential)
    }

    fn make(
        &self,
        pins: &dyn Pins,
        new: &NewRepositoryArgs,
        label: &str,
        secret: Option<&Secret>,
    ) -> Outcome<RepositoryId> {
        let options = CreateOptions {
            credential: secret.map(|secret| secret.new_credential(new.kdf.kdf)),
            label,
            chunking: new.chunk_size,
            compression: new.compression,
            pack_size_bytes: new.pack_size,
            parity: new.parity,
        };
        Ok(create(&self.store, &self.environment, &options, pins, self.terminal)?)
    }

    /// Opens the repository, or makes it where there is none and this client knows none: a disk that is not mounted
    /// must not get a new one unasked.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Self::create`].
    pub(crate) fn open_or_create(&self, new: &NewRepositoryArgs, label: &str) -> Outcome<(Repository, bool)> {
        self.check_encryption(new)?;
        match self.read() {
            Err(RepoError::NoRepository { .. }) => {
                let forgetful = Forgetful(&self.pins);
                let pins: &dyn Pins = if self.pins.accept_rollback { &forgetful } else { &self.pins };
                Ok((self.create_with(pins, new, label)?, true))
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok((self.open()?, false)),
        }
    }

    fn check_encryption(&self, new: &NewRepositoryArgs) -> Outcome {
        if new.no_encryption && self.source.is_given() {
            return Err(Failure::usage(
                "--no-encryption was asked for, and a passphrase or key file was given",
            )
            .advise("give one or the other; CONTAINERARCHIVE_PASSPHRASE counts, too"));
        }
        Ok(())
    }
}
