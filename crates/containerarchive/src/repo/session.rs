//! Sessions (DESIGN: S1–S3, W1, W5): an operation says that it runs before it reads what others wrote.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::keyring::DomainKeys;
use super::objects::{delete_if_there, put_replica};
use super::retired::Retired;
use super::weak::came_too_late;
use super::{Index, RepoError, Repository};
use crate::base::random::random_array;
use crate::base::{Monitor, Planted, Problem, SessionId, Timestamp, is_planted};
use crate::format::manifest::{Manifest, SealedManifest};
use crate::format::names;
use crate::format::prefix::{Class, ObjectKind};
use crate::format::session::SessionInfo;
use crate::store::{Durability, Held, Store, StoreErrorKind};

/// A registered session. It holds the operating system's lock on its file until it is dropped.
pub struct Session {
    /// Its id, and that of the snapshot that it may commit.
    pub id: SessionId,
    /// A put of its manifest failed and may still arrive.
    may_appear: AtomicBool,
    /// Before its object was put, by the own clock.
    registered: Timestamp,
    _held: Box<dyn Held>,
}

/// What became of a manifest.
pub enum Committed {
    /// The snapshot exists, and nobody can undo that.
    Acknowledged,
    /// An admin's maintenance took this session for dead, or may do so because it is too old for a weak store; its manifest
    /// was withdrawn.
    Fenced,
}

impl Session {
    /// Registers a session (the first half of W1).
    ///
    /// # Errors
    /// The store failed.
    pub fn register(
        repository: &Repository,
        domain: &DomainKeys,
        operation: &str,
    ) -> Result<Self, RepoError> {
        let id = SessionId(random_array(&*repository.environment.random)?);
        Self::register_as(id, repository, domain, operation, &[])
    }

    /// Registers a session under an id that nobody has used, which reads these snapshots.
    pub(crate) fn register_as(
        id: SessionId,
        repository: &Repository,
        domain: &DomainKeys,
        operation: &str,
        snapshots: &[SessionId],
    ) -> Result<Self, RepoError> {
        let environment = &repository.environment;
        let prefix = repository.new_prefix(ObjectKind::Session, Class::None, domain.id, id)?;
        let info = SessionInfo {
            operation: operation.to_owned(),
            host: environment.host.clone(),
            user: environment.user.clone(),
            pid: std::process::id(),
            started: environment.clock.now(),
            snapshots: snapshots.to_vec(),
        };
        let name = names::session(id);
        let secrets = domain.session_secrets(&prefix)?;
        let bytes = info.seal(&prefix, &secrets).map_err(|source| RepoError::format(&name, source))?;
        let held = repository.store.put_held(&name, &bytes)?;
        Ok(Self { id, may_appear: AtomicBool::new(false), registered: info.started, _held: held })
    }

    /// Registers a session and reads, in this order, what it must not use and what it may use (W1).
    ///
    /// # Errors
    /// The store failed, or a retire record is damaged.
    pub fn register_writer(
        repository: &Repository,
        domain: Arc<DomainKeys>,
        operation: &str,
        monitor: &dyn Monitor,
    ) -> Result<(Self, Index), RepoError> {
        let begin = |domain| {
            Retired::read(repository, monitor)
                .and_then(|retired| Index::load(repository, domain, retired, monitor))
        };
        if is_planted(Planted::RegisteredLate) {
            let index = begin(Arc::clone(&domain))?;
            return Ok((Self::register(repository, &domain, operation)?, index));
        }
        let session = Self::register(repository, &domain, operation)?;
        match begin(domain) {
            Ok(index) => Ok((session, index)),
            Err(error) => {
                // The first error is the one to tell.
                let _ = session.end(repository);
                Err(error)
            }
        }
    }

    /// Registers a reader of these snapshots, which are then not forgotten before it ends; a medium that cannot be
    /// written is read without (R1).
    ///
    /// # Errors
    /// The store failed.
    pub fn register_reader(
        repository: &Repository,
        domain: Arc<DomainKeys>,
        operation: &str,
        snapshots: &[SessionId],
        monitor: &dyn Monitor,
    ) -> Result<(Option<Self>, Index), RepoError> {
        let session = Self::try_register(repository, &domain, operation, snapshots, monitor)?;
        let index = Retired::read_for_reader(repository, monitor)
            .and_then(|retired| Index::load(repository, domain, retired, monitor));
        match (index, session) {
            (Ok(mut index), session) => {
                index.mend();
                Ok((session, index))
            }
            (Err(error), session) => {
                if let Some(session) = session {
                    let _ = session.end(repository);
                }
                Err(error)
            }
        }
    }

    /// Registers a session of one who only reads, and these snapshots in particular. `None`, and a warning, on a medium that cannot be written.
    ///
    /// # Errors
    /// The store failed otherwise.
    pub fn try_register(
        repository: &Repository,
        domain: &DomainKeys,
        operation: &str,
        snapshots: &[SessionId],
        monitor: &dyn Monitor,
    ) -> Result<Option<Self>, RepoError> {
        let registered = random_array(&*repository.environment.random)
            .map_err(RepoError::from)
            .and_then(|id| Self::register_as(SessionId(id), repository, domain, operation, snapshots));
        match registered {
            Ok(session) => Ok(Some(session)),
            Err(RepoError::Store(error))
                if matches!(
                    error.kind,
                    StoreErrorKind::Denied | StoreErrorKind::Full | StoreErrorKind::NotFound
                ) =>
            {
                let text = format!(
                    "could not register as a reader ({error}); going on without: a prune that runs meanwhile may delete what is being read"
                );
                monitor.problem(&Problem::Warning { text });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Publishes the manifest and finds out whether it counts (W5). Everything that it refers to must be durable.
    ///
    /// # Errors
    /// The store failed: it is then not known whether the snapshot exists.
    pub fn commit(
        &self,
        repository: &Repository,
        domain: &DomainKeys,
        manifest: &Manifest,
    ) -> Result<Committed, RepoError> {
        let prefix = repository.new_prefix(ObjectKind::Manifest, Class::None, domain.id, self.id)?;
        let name = names::manifest(self.id);
        let (secrets, enc) = domain.new_object(&prefix, &*repository.environment.random)?;
        let bytes =
            manifest.seal(&prefix, &secrets, enc).map_err(|source| RepoError::format(&name, source))?;
        // What would not open again must not be acknowledged.
        let config = &repository.config;
        let opened = SealedManifest::parse(&bytes, config.suite, config.repository, self.id)
            .and_then(|sealed| sealed.open(&secrets))
            .map_err(|error| RepoError::SealCheck { why: format!("its manifest: {error}") })?;
        if opened != *manifest {
            return Err(RepoError::SealCheck { why: "its manifest says something else".to_owned() });
        }
        let store = &*repository.store;
        if let Err(error) = store.put(&name, &bytes, Durability::Durable) {
            self.expect_late_put(store);
            // It may have been written all the same; a snapshot that nobody was told of must not stay.
            let _ = delete_if_there(store, &name);
            return Err(error.into());
        }
        let counts = || -> Result<bool, RepoError> {
            let is_fenced = store.head(&names::fence(self.id))?.is_some();
            if is_fenced && !is_planted(Planted::FenceUnchecked) {
                return Ok(false);
            }
            let is_registered = store.head(&names::session(self.id))?.is_some();
            let is_weak = repository.config.is_weak_store && !is_planted(Planted::AgeUnchecked);
            if is_weak && came_too_late(repository, self.id, self.registered)? {
                return Ok(false);
            }
            Ok(is_registered || is_planted(Planted::LockUnchecked))
        };
        match counts() {
            Ok(true) => {}
            Ok(false) => {
                delete_if_there(store, &name).inspect_err(|_| self.expect_late_put(store))?;
                // A repair may have taken it for a snapshot whose replica was lost.
                delete_if_there(store, &names::replica(&name))?;
                return Ok(Committed::Fenced);
            }
            Err(error) => {
                if delete_if_there(store, &name).is_err() {
                    self.expect_late_put(store);
                }
                return Err(error);
            }
        }
        if let Err(error) = put_replica(store, &name, &bytes) {
            self.expect_late_put(store);
            let _ =
                delete_if_there(store, &names::replica(&name)).and_then(|()| delete_if_there(store, &name));
            return Err(error);
        }
        Ok(Committed::Acknowledged)
    }

    /// A put that failed may arrive at a remote store long after that; a manifest that could not be withdrawn is there.
    fn expect_late_put(&self, store: &dyn Store) {
        if !store.capabilities().is_local {
            self.may_appear.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the session: its file is deleted. It stays if the manifest may yet appear, which nobody was told of and whose
    /// packs will be pruned: whoever finds the session dead then forbids the snapshot (S4).
    ///
    /// # Errors
    /// The store failed.
    pub fn end(self, repository: &Repository) -> Result<(), RepoError> {
        if self.may_appear.load(Ordering::Relaxed) {
            return Ok(());
        }
        Ok(delete_if_there(&*repository.store, &names::session(self.id))?)
    }
}
