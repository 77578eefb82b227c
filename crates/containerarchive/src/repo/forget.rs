//! Removing snapshots (DESIGN: P2): a signed record says so before a manifest goes, so that nobody takes its absence for
//! a loss. What they referred to stays in the packs until a prune finds it unreferenced.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::objects::{delete_replicated, put_replicated};
use super::retired::read_forgotten;
use super::session_list::{SessionState, list_sessions};
use super::{RepoError, Repository};
use crate::base::random::random_array;
use crate::base::{Monitor, RecordId, SessionId};
use crate::format::names;
use crate::format::signed::{Fact, Forget};

/// A snapshot that a live session reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// The snapshot.
    pub snapshot: SessionId,
    /// What reads it, and who runs that, for people.
    pub holder: String,
}

/// What [`forget_snapshots`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Snapshots that are gone now, by id.
    pub forgotten: Vec<SessionId>,
    /// Snapshots that are as they were, because somebody reads them: for the next run.
    pub in_use: Vec<InUse>,
}

/// Forgets snapshots: record, its replica, then for each snapshot the manifest's replica and the manifest. Those that a
/// live session reads are left for the next run. An interrupted run may be repeated. Also removes what is left of one
/// whose manifest is damaged, and accepts that one is missing: from then on a signed record says why.
///
/// Costs a read for each session, two listings, and two deletions for each snapshot. On a full disk the record takes its
/// space from the reserve, which is made again.
///
/// # Errors
/// The holder is no admin; [`RepoError::Pinned`] if any of them is pinned, and then none was forgotten; the store failed.
pub fn forget_snapshots(
    repository: &Repository,
    snapshots: &[SessionId],
    monitor: &dyn Monitor,
) -> Result<Forgotten, RepoError> {
    match forget_without_reserve(repository, snapshots, monitor) {
        Err(error) if error.is_full() && repository.spend_reserve() => {
            let done = forget_without_reserve(repository, snapshots, monitor);
            repository.keep_reserve(monitor);
            done
        }
        other => other,
    }
}

/// As [`forget_snapshots`], for a caller that spends the reserve itself.
///
/// # Errors
/// As there.
pub fn forget_without_reserve(
    repository: &Repository,
    snapshots: &[SessionId],
    monitor: &dyn Monitor,
) -> Result<Forgotten, RepoError> {
    repository.keys.require_admin("forgetting snapshots")?;
    refuse_pinned(repository, snapshots)?;
    let readers = snapshots_in_use(repository, monitor)?;
    let mut done = Forgotten::default();
    for snapshot in snapshots.iter().copied().collect::<BTreeSet<_>>() {
        match readers.get(&snapshot) {
            Some(holder) => done.in_use.push(InUse { snapshot, holder: holder.clone() }),
            None => done.forgotten.push(snapshot),
        }
    }
    if done.forgotten.is_empty() {
        return Ok(done);
    }
    let id = RecordId(random_array(&*repository.environment.random)?);
    let record = Forget { created: repository.environment.clock.now(), snapshots: done.forgotten.clone() };
    let (name, bytes) = record
        .seal_record(repository.config.repository, id, repository.keys.signer())
        .map_err(|source| RepoError::format(&names::record(Forget::KIND, id), source))?;
    put_replicated(&*repository.store, &name, &bytes).inspect_err(|_| {
        // Nothing was deleted yet. The first error is the one to tell.
        let _ = delete_replicated(&*repository.store, &name);
    })?;
    // Looked at once more now that the record is durable, as `pin` looks for records after its own is: of the two, one
    // sees the other. Nothing was deleted yet, so the record may go.
    if let Err(error) = refuse_pinned(repository, &done.forgotten) {
        delete_replicated(&*repository.store, &name)?;
        return Err(error);
    }
    for snapshot in &done.forgotten {
        delete_replicated(&*repository.store, &names::manifest(*snapshot))?;
    }
    Ok(done)
}

impl Repository {
    /// Snapshots that forget records name: they are gone, or will be. Damaged records are reported and left out.
    ///
    /// # Errors
    /// The store failed.
    pub fn forgotten(&self, monitor: &dyn Monitor) -> Result<HashSet<SessionId>, RepoError> {
        read_forgotten(self, monitor)
    }
}

fn refuse_pinned(repository: &Repository, snapshots: &[SessionId]) -> Result<(), RepoError> {
    let pinned = repository.pinned()?;
    let snapshots: Vec<_> = snapshots.iter().copied().filter(|snapshot| pinned.contains(snapshot)).collect();
    if snapshots.is_empty() { Ok(()) } else { Err(RepoError::Pinned { snapshots }) }
}

/// Snapshots that live sessions name, each with who reads it.
///
/// # Errors
/// The store failed.
pub fn snapshots_in_use(
    repository: &Repository,
    monitor: &dyn Monitor,
) -> Result<BTreeMap<SessionId, String>, RepoError> {
    let mut readers = BTreeMap::new();
    for session in list_sessions(repository, monitor)? {
        let is_live = matches!(session.state, SessionState::Live | SessionState::Unknown);
        let holder = session.holder();
        let Some(info) = session.info.filter(|_| is_live) else { continue };
        readers.extend(info.snapshots.into_iter().map(|snapshot| (snapshot, holder.clone())));
    }
    Ok(readers)
}
