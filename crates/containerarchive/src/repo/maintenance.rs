//! Maintenance sessions exclude each other, and nobody else (DESIGN section 11).

use std::collections::HashSet;

use super::keyring::DomainKeys;
use super::session_list::{SessionState, SessionView, list_sessions};
use super::{RepoError, Repository, Session, least_patience_ms};
use crate::base::{SessionId, SilentMonitor};

/// Beginning of the operation of each maintenance session.
pub(super) const MAINTENANCE: &str = "maintenance: ";

/// The only live maintenance session of a repository.
pub struct Maintenance(Session);

impl Maintenance {
    /// Registers a maintenance session, unless there is another one.
    ///
    /// # Errors
    /// [`RepoError::Held`] names the other one; the store failed.
    pub fn begin(repository: &Repository, domain: &DomainKeys, what: &str) -> Result<Self, RepoError> {
        let session = Session::register(repository, domain, &format!("{MAINTENANCE}{what}"))?;
        match other(repository, Some(session.id)) {
            Ok(None) => Ok(Self(session)),
            Ok(Some(holder)) => {
                session.end(repository)?;
                Err(RepoError::Held { holder })
            }
            Err(error) => {
                // The first error is the one to tell.
                let _ = session.end(repository);
                Err(error)
            }
        }
    }

    /// Whether there is one now. Writes nothing; only [`Self::begin`] makes sure.
    ///
    /// # Errors
    /// The store failed.
    pub fn is_held(repository: &Repository) -> Result<bool, RepoError> {
        Ok(other(repository, None)?.is_some())
    }

    /// Its id.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.id
    }

    /// Sessions that have not ended, but for this one: their packs are theirs.
    ///
    /// # Errors
    /// The store failed.
    pub fn other_sessions(&self, repository: &Repository) -> Result<HashSet<SessionId>, RepoError> {
        let sessions = list_sessions(repository, &SilentMonitor)?.into_iter();
        let open = sessions.filter(|session| session.state != SessionState::Ended);
        Ok(open.map(|session| session.id).filter(|id| *id != self.0.id).collect())
    }

    /// Sessions whose process is gone, and those that left only their object behind.
    ///
    /// # Errors
    /// The store failed.
    pub fn dead_sessions(&self, repository: &Repository) -> Result<Vec<SessionId>, RepoError> {
        let sessions = list_sessions(repository, &SilentMonitor)?.into_iter();
        let dead =
            sessions.filter(|session| matches!(session.state, SessionState::Dead | SessionState::Ended));
        Ok(dead.map(|session| session.id).collect())
    }

    /// Ends it.
    ///
    /// # Errors
    /// The store failed.
    pub fn end(self, repository: &Repository) -> Result<(), RepoError> {
        self.0.end(repository)
    }
}

/// Another live maintenance session, for people. Of two that begin at once both may give way, never none.
fn other(repository: &Repository, own: Option<SessionId>) -> Result<Option<String>, RepoError> {
    let sessions = list_sessions(repository, &SilentMonitor)?;
    let is_live = |state| matches!(state, SessionState::Live | SessionState::Unknown);
    // On a weak store, where no lock tells who is dead, time does: all that prune needs to come as far as to end it.
    let newest = sessions.iter().map(|session| session.created.0).max().unwrap_or(0);
    let least_ms = least_patience_ms(repository) as i64;
    let is_over = |session: &SessionView| least_ms > 0 && newest.saturating_sub(session.created.0) > least_ms;
    let others = sessions
        .into_iter()
        .filter(|session| Some(session.id) != own && is_live(session.state) && !is_over(session));
    let is_in_the_way = |session: &SessionView| match &session.info {
        // It could not be read, or is another domain's: it may be maintenance. Dead ones are in nobody's way.
        None => true,
        Some(info) => info.operation.starts_with(MAINTENANCE),
    };
    Ok(others.filter(is_in_the_way).map(|session| session.holder()).next())
}
