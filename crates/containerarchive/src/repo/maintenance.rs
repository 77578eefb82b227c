//! Maintenance sessions exclude each other, and nobody else (DESIGN section 11).

use super::keyring::DomainKeys;
use super::session_list::{SessionState, list_sessions};
use super::{RepoError, Repository, Session};
use crate::base::{SessionId, SilentMonitor};

/// Beginning of the operation of each maintenance session.
const MAINTENANCE: &str = "maintenance: ";

/// The only live maintenance session of a repository.
pub struct Maintenance(Session);

impl Maintenance {
    /// Registers a maintenance session, unless there is another one.
    ///
    /// # Errors
    /// [`RepoError::Held`] names the other one; the store failed.
    pub fn begin(repository: &Repository, domain: &DomainKeys, what: &str) -> Result<Self, RepoError> {
        let session = Session::register(repository, domain, &format!("{MAINTENANCE}{what}"))?;
        match other(repository, session.id) {
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

    /// Its id.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.id
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
fn other(repository: &Repository, own: SessionId) -> Result<Option<String>, RepoError> {
    let sessions = list_sessions(repository, &SilentMonitor)?;
    let holder = sessions.into_iter().find_map(|session| {
        let info = session.info.filter(|info| info.operation.starts_with(MAINTENANCE))?;
        let is_live = matches!(session.state, SessionState::Live | SessionState::Unknown);
        (session.id != own && is_live).then(|| {
            format!(
                "'{}' by {}@{}, process {}, since {}",
                info.operation.trim_start_matches(MAINTENANCE),
                info.user,
                info.host,
                info.pid,
                info.started
            )
        })
    });
    Ok(holder)
}
