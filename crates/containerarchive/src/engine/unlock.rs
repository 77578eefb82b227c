//! Ending sessions by hand. Nothing waits for a dead session, so that this is for tidiness, and for what hangs.

use crate::base::{Monitor, Problem};
use crate::error::Error;
use crate::repo::{Repository, SessionState, SessionView, end_session, list_sessions};

/// Which sessions to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnlockOptions {
    /// Also those whose process lives, or of which that is not known.
    pub force: bool,
}

/// What became of the sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlockReport {
    /// Those that were ended, as they stood before, oldest first.
    pub ended: Vec<SessionView>,
    /// Those that were left alone, oldest first.
    pub left: Vec<SessionView>,
}

/// Ends sessions by fencing them (S4): those whose process is gone and those whose snapshot exists, or all.
///
/// No snapshot is lost by it. An ingest that is ended while it lives finds that out when it commits, and commits again
/// under a new session; it fails only if a prune deleted, meanwhile, what it refers to. A restore goes on, and a prune no
/// longer waits for it. Maintenance goes on beside whatever maintenance is begun next. On a weak store, where it cannot be
/// seen whether a session is just committing, nothing is ended by force.
///
/// Cost: a listing, and a few small objects for each session.
///
/// # Errors
/// The holder is no admin, or the store failed; what was ended until then stays so.
pub fn unlock(
    repository: &Repository,
    options: UnlockOptions,
    monitor: &dyn Monitor,
) -> Result<UnlockReport, Error> {
    repository.keys.require_admin("ending the sessions of others")?;
    if options.force && repository.config.is_weak_store {
        let text = "this storage may show what is old: no session is ended by force; 'prune' ends those that are older than five days";
        monitor.problem(&Problem::Warning { text: text.to_owned() });
        return Ok(UnlockReport { ended: Vec::new(), left: list_sessions(repository, monitor)? });
    }
    let is_due = |session: &SessionView| {
        options.force || matches!(session.state, SessionState::Dead | SessionState::Ended)
    };
    let (ended, left): (Vec<_>, Vec<_>) = list_sessions(repository, monitor)?.into_iter().partition(is_due);
    for session in &ended {
        end_session(repository, session.id)?;
    }
    Ok(UnlockReport { ended, left })
}

impl UnlockReport {
    /// Sessions that were ended although their process may live.
    pub fn forced(&self) -> impl Iterator<Item = &SessionView> {
        self.ended
            .iter()
            .filter(|session| matches!(session.state, SessionState::Live | SessionState::Unknown))
    }
}
