//! Stores whose reads and listings may be stale (DESIGN section 11, weak stores): time takes the place of order.
//!
//! Of such a store it is assumed that whatever is read or listed shows each object as it was at some moment of the last
//! two days. A writer that overlooks a retire record has registered before the record was two days old; it commits within
//! three days; two days later everybody sees its snapshot. So a pack may go once its record is seven days old, by a plan
//! that was made after that. Packs go by a record for a limited time only, so that there is a day from which on everybody
//! sees that they are gone, and the record may go, too.

use std::collections::BTreeMap;

use super::retired::record_times;
use super::{RepoError, Repository};
use crate::base::{ObjectName, RecordId, SessionId, Timestamp};
use crate::format::names;

const DAY_MS: i64 = 24 * 3_600_000;
/// What a read or a listing shows is at most so old, in milliseconds.
const MAX_STALE_MS: i64 = 2 * DAY_MS;
/// A session older than this commits no more and deletes no more.
const MAX_SESSION_MS: i64 = 3 * DAY_MS;
/// One call to the store takes less than this.
const MAX_CALL_MS: i64 = DAY_MS;
/// From this age of a retire record on its packs may go.
const RIPE_MS: i64 = MAX_SESSION_MS + 2 * MAX_STALE_MS;
/// From this age on no deletion begins by it any more: who prunes once a month still comes in time.
const EXPIRED_MS: i64 = 60 * DAY_MS;
/// From this age on the record itself may go.
const SPENT_MS: i64 = EXPIRED_MS + MAX_SESSION_MS + MAX_CALL_MS + MAX_STALE_MS;

const _: () = assert!(RIPE_MS == 7 * DAY_MS && SPENT_MS < 67 * DAY_MS);

/// What may be done by a retire record on a weak store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordAge {
    /// Somebody may still refer to its packs who has not seen it.
    Young,
    /// Its packs may be deleted.
    Ripe,
    /// Its packs must be retired again before they may go.
    Expired,
    /// Nobody deletes by it, and all see what was deleted by it: it may go.
    Spent,
}

/// The age of each retire record, by the store's clock.
///
/// # Errors
/// The store failed.
pub fn record_ages(
    repository: &Repository,
    now: Timestamp,
) -> Result<BTreeMap<RecordId, RecordAge>, RepoError> {
    let age = |made: Timestamp| match now.0.saturating_sub(made.0) {
        ..RIPE_MS => RecordAge::Young,
        RIPE_MS..EXPIRED_MS => RecordAge::Ripe,
        EXPIRED_MS..SPENT_MS => RecordAge::Expired,
        SPENT_MS.. => RecordAge::Spent,
    };
    Ok(record_times(repository)?.into_iter().map(|(id, made)| (id, age(made))).collect())
}

/// The age, in milliseconds, from which on a session without a lock to ask for may be taken for dead, whatever patience
/// the user has: by then it cannot commit any more, and whether it did can be seen.
#[must_use]
pub fn least_patience_ms(repository: &Repository) -> u64 {
    if repository.config.is_weak_store { (MAX_SESSION_MS + MAX_STALE_MS) as u64 } else { 0 }
}

/// Whether a session that began to delete at this time, by the own clock, must leave the rest to another one.
#[must_use]
pub fn is_too_late(repository: &Repository, begun: Timestamp) -> bool {
    repository.config.is_weak_store && too_old(repository.environment.clock.now().0.saturating_sub(begun.0))
}

/// Whether a session whose manifest was just put is too old to commit (W5). The store's times are believed if they are
/// shown, and the own clock in any case, unless it went back.
pub(super) fn came_too_late(
    repository: &Repository,
    id: SessionId,
    registered: Timestamp,
) -> Result<bool, RepoError> {
    let by_store = times(repository, id)?.is_some_and(|(begun, done)| too_old(done - begun));
    Ok(by_store || too_old(repository.environment.clock.now().0.saturating_sub(registered.0)))
}

/// Whether the manifest of a session that is old enough to be ended is none, because it came too late: its commit refused
/// it, or its process died before that (S4). One that is not listed yet came a short time ago.
pub(super) fn is_belated(repository: &Repository, id: SessionId) -> Result<bool, RepoError> {
    let is_listed = modified(repository, names::LOCKS, &names::session(id))?.is_some();
    Ok(is_listed && times(repository, id)?.is_none_or(|(begun, done)| too_old(done - begun)))
}

/// When a session's object and its manifest came, by the store's clock, if listings show both.
fn times(repository: &Repository, id: SessionId) -> Result<Option<(i64, i64)>, RepoError> {
    let begun = modified(repository, names::LOCKS, &names::session(id))?;
    let done = modified(repository, names::SNAPSHOTS, &names::manifest(id))?;
    Ok(begun.zip(done))
}

fn modified(repository: &Repository, folder: &str, name: &ObjectName) -> Result<Option<i64>, RepoError> {
    let mut time = None;
    repository.store.list(folder, &mut |entry| {
        if entry.name == *name {
            time = Some(entry.modified.0);
        }
    })?;
    Ok(time)
}

/// What a clock says that went back is no time.
fn too_old(age_ms: i64) -> bool {
    !(0..=MAX_SESSION_MS).contains(&age_ms)
}
