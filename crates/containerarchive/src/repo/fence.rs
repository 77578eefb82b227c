//! Ending the sessions of processes that are gone (DESIGN: S3, S4).

use super::objects::delete_if_there;
use super::session_list::{SessionState, list_sessions};
use super::weak::is_belated;
use super::{RepoError, Repository};
use crate::base::{Monitor, SessionId};
use crate::format::names;
use crate::format::signed::{Stop, StopKind};
use crate::store::{Durability, StoreErrorKind};

/// Ends all dead sessions, and removes the objects of sessions whose snapshot exists. Returns their ids.
///
/// # Errors
/// The holder is no admin, or the store failed.
pub fn end_dead_sessions(
    repository: &Repository,
    monitor: &dyn Monitor,
) -> Result<Vec<SessionId>, RepoError> {
    let is_over = |state| matches!(state, SessionState::Dead | SessionState::Ended);
    let over = list_sessions(repository, monitor)?.into_iter().filter(|session| is_over(session.state));
    over.map(|session| end_session(repository, session.id).map(|()| session.id)).collect()
}

/// Ends a session so that it can commit no more (S4): fence; unless its snapshot exists, void; then its object goes.
///
/// # Errors
/// The holder is no admin, or the store failed.
pub fn end_session(repository: &Repository, id: SessionId) -> Result<(), RepoError> {
    repository.keys.require_admin("ending the sessions of others")?;
    let store = &*repository.store;
    put_stop(repository, StopKind::Fence, id)?;
    let is_weak = repository.config.is_weak_store;
    if store.head(&names::manifest(id))?.is_none() || (is_weak && is_belated(repository, id)?) {
        put_stop(repository, StopKind::Void, id)?;
    }
    Ok(delete_if_there(store, &names::session(id))?)
}

/// Makes sure that nobody has ended a session. While its object is there no other maintenance session begins; one that
/// begins later finds all that is durable now.
///
/// # Errors
/// [`RepoError::Ended`]: its fence is there, or its object gone; the store failed.
pub fn require_open(repository: &Repository, session: SessionId) -> Result<(), RepoError> {
    let store = &*repository.store;
    let is_fenced = store.head(&names::fence(session))?.is_some();
    if is_fenced || store.head(&names::session(session))?.is_none() {
        return Err(RepoError::Ended { session });
    }
    Ok(())
}

/// Removes fences that say nothing more than the void beside them: that a session can never commit (S1).
///
/// # Errors
/// The store failed.
pub fn remove_spent_fences(repository: &Repository) -> Result<(), RepoError> {
    let store = &*repository.store;
    let mut fenced = Vec::new();
    store.list(names::LOCKS, &mut |entry| fenced.extend(names::id_of::<SessionId>(&entry.name, "fence")))?;
    for id in fenced {
        // A fence whose session committed must stay: a late writer looks for it before it acknowledges (W5).
        let is_void = store.head(&names::void(id))?.is_some();
        if is_void && store.head(&names::session(id))?.is_none() {
            delete_if_there(store, &names::fence(id))?;
        }
    }
    Ok(())
}

fn put_stop(repository: &Repository, kind: StopKind, id: SessionId) -> Result<(), RepoError> {
    let stop = Stop { session: id, created: repository.environment.clock.now() };
    let (name, bytes) = kind
        .seal(repository.config.repository, &stop, repository.keys.signer())
        .map_err(|source| RepoError::format(&names::session(id), source))?;
    match repository.store.put(&name, &bytes, Durability::Durable) {
        Err(error) if error.kind != StoreErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}
