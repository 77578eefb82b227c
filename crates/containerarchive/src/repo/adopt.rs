//! Packs that an interrupted session left are used again instead of stored again (W4).

use std::collections::HashSet;

use super::index::list_packs;
use super::keyring::DomainKeys;
use super::publish::StoredPacks;
use super::{Groups, Index, ParityKeeper, RepoError, Repository};
use crate::base::{Monitor, PackId, SessionId};
use crate::crypto::hash_blocks;
use crate::format::names;
use crate::format::pack::{HEADER_LEN, PackHeader};
use crate::store::StoreErrorKind;

/// Looks for packs of dead, uncommitted sessions of this domain and makes them durable, with parity. They count only once the
/// caller publishes a segment that names them. Costs nothing without a dead session; else a listing of packs, and a look
/// at the header of each that no segment of this domain names. A pack that is damaged or cannot be read is left alone: what
/// it has is stored again.
///
/// # Errors
/// The store failed.
pub fn adopt_packs(
    repository: &Repository,
    domain: &DomainKeys,
    index: &Index,
    own: SessionId,
    keeper: &ParityKeeper<'_>,
    monitor: &dyn Monitor,
) -> Result<StoredPacks, RepoError> {
    let mut adopted = StoredPacks::default();
    let dead = dead_sessions(repository, own)?;
    if dead.is_empty() {
        return Ok(adopted);
    }
    let named = index.named_packs(repository)?;
    // The dead session may have come to write their parity.
    let groups = Groups::load_newest(repository.parity_store())?;
    for id in list_packs(repository)? {
        if monitor.is_cancelled() {
            break;
        }
        if !named.contains(&id) && !index.is_retired(&id) {
            adopt_one(repository, domain, id, (&dead, &groups, keeper), &mut adopted)?;
        }
    }
    keeper.close()?;
    Ok(adopted)
}

fn adopt_one(
    repository: &Repository,
    domain: &DomainKeys,
    id: PackId,
    (dead, groups, keeper): (&HashSet<SessionId>, &Groups, &ParityKeeper<'_>),
    adopted: &mut StoredPacks,
) -> Result<(), RepoError> {
    // A look at the header is enough for most: packs of other domains and of living sessions.
    let mut header = [0; HEADER_LEN];
    let config = &repository.config;
    let is_ours = repository.store.get_range(&names::pack(id), 0, &mut header).is_ok()
        && PackHeader::parse(&header, config.suite, config.repository)
            .is_ok_and(|header| header.prefix.domain == domain.id && dead.contains(&header.prefix.session));
    if !is_ours {
        return Ok(());
    }
    let view = match repository.view_pack(id, domain) {
        Ok(view) => view,
        Err(error) if error.is_useless() => return Ok(()),
        Err(error) => return Err(error),
    };
    // The dead session may not have come to its fsync.
    let Some(bytes) = repository.settle_pack(id)? else { return Ok(()) };
    let class = view.header.prefix.class;
    let is_protected = groups.of_pack(&id).any(|stored| stored.missing().next().is_none());
    if !is_protected {
        let (_, sums) = hash_blocks(&bytes);
        keeper.add(id, class, bytes, sums)?;
    }
    adopted.adopt(id, view.len, class, view.table.records());
    Ok(())
}

/// Sessions whose process is gone and that committed nothing (S3, local stores).
fn dead_sessions(repository: &Repository, own: SessionId) -> Result<HashSet<SessionId>, RepoError> {
    let store = &*repository.store;
    let mut ids = Vec::new();
    if repository.config.is_weak_store {
        return Ok(HashSet::new());
    }
    store.list(names::LOCKS, &mut |entry| ids.extend(names::id_of::<SessionId>(&entry.name, "json")))?;
    let mut dead = HashSet::new();
    for id in ids {
        if id == own {
            continue;
        }
        let is_held = match store.is_held(&names::session(id)) {
            Ok(is_held) => is_held,
            Err(error) if error.kind == StoreErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        if is_held == Some(false) && store.head(&names::manifest(id))?.is_none() {
            dead.insert(id);
        }
    }
    Ok(dead)
}
