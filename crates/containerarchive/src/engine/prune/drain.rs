//! P6: who may still refer to what is about to be deleted is given time to end.

use std::collections::HashSet;

use super::PruneOptions;
use crate::base::{Monitor, Progress, SessionId, SilentMonitor, Timestamp};
use crate::error::Error;
use crate::host::counted;
use crate::repo::{
    RepoError, Repository, SessionState, SessionView, end_session, least_patience_ms, list_sessions,
};

/// Between two looks, in milliseconds: at first the least, then an eighth of the time waited so far, up to the most.
const POLL_MS: (u64, u64) = (20, 15_000);

/// Time by the store's clock, once an object's time was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreTime {
    /// By the store's clock, and by the own one, when this session had just begun.
    pub(super) seen: Timestamp,
    pub(super) at: Timestamp,
}

impl StoreTime {
    /// `seen`: when the store got an object that was just written.
    pub(super) fn new(repository: &Repository, seen: Timestamp) -> Self {
        Self { seen, at: repository.environment.clock.now() }
    }

    /// The store's time now.
    pub(super) fn now(self, repository: &Repository) -> Timestamp {
        let passed = repository.environment.clock.now().0.saturating_sub(self.at.0).max(0);
        Timestamp(self.seen.0.saturating_add(passed))
    }
}

/// Whether a session may be ended (S3): locally its lock is free; where there are no locks its object is older than the
/// patience. It is then fenced, so that a mistake costs time and no snapshot.
pub(super) fn is_dead(
    repository: &Repository,
    session: &SessionView,
    now: Timestamp,
    patience_ms: u64,
) -> bool {
    match session.state {
        SessionState::Dead => true,
        SessionState::Unknown => {
            now.0.saturating_sub(session.created.0) > patience_ms.max(least_patience_ms(repository)) as i64
        }
        SessionState::Live | SessionState::Ended => false,
    }
}

/// Waits for these sessions, which were listed when the retire record was durable; dead ones are fenced. Sessions that
/// began later have read the record. Returns who is still at work when the time is over. Readers get the same time, as a courtesy: what
/// they need is elsewhere, too, and they find it.
///
/// # Errors
/// The store failed, or the user wants to stop.
pub(super) fn drain(
    repository: &Repository,
    mut open: Vec<SessionView>,
    options: &PruneOptions<'_>,
    time: StoreTime,
    monitor: &dyn Monitor,
) -> Result<Vec<SessionView>, Error> {
    let clock = &*repository.environment.clock;
    let begun = clock.now();
    loop {
        open.retain(|session| session.state != SessionState::Ended);
        let now = time.now(repository);
        let (dead, alive): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|session| is_dead(repository, session, now, options.patience_ms));
        for session in dead {
            end_session(repository, session.id)?;
        }
        open = alive;
        if open.is_empty() {
            return Ok(open);
        }
        let waited_ms = clock.now().0.saturating_sub(begun.0).max(0) as u64;
        if options.drain_ms.is_some_and(|drain_ms| waited_ms >= drain_ms) {
            return Ok(open.into_iter().filter(|session| !is_reader(session)).collect());
        }
        if monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        monitor.progress(&Progress {
            subject: format!("waiting for {}", counted(open.len(), "session")),
            done_bytes: waited_ms / 1000,
            total_bytes: options.drain_ms.map(|drain_ms| drain_ms / 1000),
        });
        let left = options.drain_ms.map_or(u64::MAX, |drain_ms| drain_ms - waited_ms);
        clock.sleep_ms((waited_ms / 8).clamp(POLL_MS.0, POLL_MS.1).min(left.max(1)));
        let waited_for: HashSet<SessionId> = open.iter().map(|session| session.id).collect();
        open = list_sessions(repository, &SilentMonitor)?;
        open.retain(|session| waited_for.contains(&session.id));
    }
}

/// A session that names the snapshots which it reads writes nothing.
fn is_reader(session: &SessionView) -> bool {
    session.info.as_ref().is_some_and(|info| !info.snapshots.is_empty())
}

/// When the store got the object of the own session, which was just written.
///
/// # Errors
/// The store failed.
pub(super) fn store_time(repository: &Repository, own: SessionId) -> Result<StoreTime, RepoError> {
    let sessions = list_sessions(repository, &SilentMonitor)?;
    let seen = sessions.iter().find(|session| session.id == own).map(|session| session.created);
    if repository.config.is_weak_store {
        // No later than it is, whatever is not shown yet.
        let newest = sessions.iter().map(|session| session.created).max();
        return Ok(StoreTime::new(repository, seen.or(newest).unwrap_or(Timestamp(0))));
    }
    Ok(StoreTime::new(repository, seen.unwrap_or_else(|| repository.environment.clock.now())))
}
