//! Who has a session in `locks/`: for people to read, and for no decision of the engine.

use std::collections::BTreeMap;

use super::maintenance::MAINTENANCE;
use super::{RepoError, Repository};
use crate::base::limits::MAX_SMALL_JSON_BYTES;
use crate::base::{Monitor, Problem, SessionId, Timestamp};
use crate::format::names;
use crate::format::session::{SealedSession, SessionInfo};
use crate::store::StoreErrorKind;

/// What became of a session (S1, S3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Its process holds the operating system's lock.
    Live,
    /// Its process is gone, and it committed nothing.
    Dead,
    /// Its snapshot exists; only the session's object stayed behind.
    Ended,
    /// The store has no locks to ask for, or may show old ones.
    Unknown,
}

/// A session, as far as this key can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// The session.
    pub id: SessionId,
    /// What became of it.
    pub state: SessionState,
    /// Who runs it; `None` if that is damaged, or of a domain that there are no keys for. Written by another client, so
    /// not to be trusted with a terminal.
    pub info: Option<SessionInfo>,
    /// When its object was created, by the store's clock.
    pub created: Timestamp,
}

impl SessionView {
    /// What it does, who runs it, and since when; for people.
    #[must_use]
    pub fn holder(&self) -> String {
        match &self.info {
            None => {
                format!("session {}, whose operation this key cannot read, since {}", self.id, self.created)
            }
            Some(SessionInfo { operation, host, user, pid, started, .. }) => {
                let operation = operation.strip_prefix(MAINTENANCE).unwrap_or(operation);
                format!("'{operation}' by {user}@{host}, process {pid}, since {started}")
            }
        }
    }
}

/// All sessions, oldest first. One whose object cannot be read is reported and listed all the same.
///
/// # Errors
/// The store failed.
pub fn list_sessions(repository: &Repository, monitor: &dyn Monitor) -> Result<Vec<SessionView>, RepoError> {
    let store = &*repository.store;
    let mut listed = BTreeMap::new();
    store.list(names::LOCKS, &mut |entry| {
        if let Some(id) = names::id_of::<SessionId>(&entry.name, "json") {
            listed.insert(id, entry.modified);
        }
    })?;
    let mut sessions = Vec::with_capacity(listed.len());
    for (id, created) in listed {
        let held =
            if repository.config.is_weak_store { Ok(None) } else { store.is_held(&names::session(id)) };
        let state = match held {
            Ok(None) => SessionState::Unknown,
            Ok(Some(true)) => SessionState::Live,
            // Asked after the lock was found free: a session that commits holds its lock until the manifest is there.
            Ok(Some(false)) if store.head(&names::manifest(id))?.is_some() => SessionState::Ended,
            Ok(Some(false)) => SessionState::Dead,
            Err(error) if error.kind == StoreErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let info = match read_info(repository, id) {
            Ok(info) => info,
            Err(RepoError::Store(error)) if error.kind == StoreErrorKind::NotFound => continue,
            Err(error) => {
                monitor.problem(&Problem::Warning {
                    text: format!("who runs session {id} is not known: {error}"),
                });
                None
            }
        };
        sessions.push(SessionView { id, state, info, created });
    }
    sessions.sort_by_key(|session| (session.created, session.id));
    Ok(sessions)
}

fn read_info(repository: &Repository, id: SessionId) -> Result<Option<SessionInfo>, RepoError> {
    let name = names::session(id);
    let bytes = repository.store.get(&name, MAX_SMALL_JSON_BYTES as u64)?;
    let config = &repository.config;
    let sealed = SealedSession::parse(&bytes, config.suite, config.repository, id)
        .map_err(|source| RepoError::format(&name, source))?;
    let Some(keys) = repository.keys.domain(sealed.prefix.domain)? else { return Ok(None) };
    let secrets = keys.session_secrets(&sealed.prefix)?;
    sealed.open(&secrets).map(Some).map_err(|source| RepoError::format(&name, source))
}
