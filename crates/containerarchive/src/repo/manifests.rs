//! All snapshots of a repository, and whether one is missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::objects::read_replicated;
use super::retired::read_forgotten;
use super::{RepoError, Repository};
use crate::base::limits::MAX_JSON_BYTES;
use crate::base::{DomainId, Monitor, Planted, Problem, SessionId, Timestamp, is_planted};
use crate::crypto::blake3_256;
use crate::format::hex::Hex;
use crate::format::manifest::{CHAIN_LEN, Manifest, Previous, SealedManifest};
use crate::format::names;
use crate::format::signed::StopKind;

/// A manifest that was opened.
#[derive(Debug, Clone)]
pub struct LoadedManifest {
    /// The description.
    pub manifest: Manifest,
    /// Its domain.
    pub domain: DomainId,
    /// BLAKE3 of its stored bytes.
    pub blake3: [u8; 32],
    /// When the store got it, by the store's own clock: that of the older of its two copies, since a repair may have
    /// written the other one. Unlike the times in the manifest, who may only add snapshots cannot choose it; a copy of
    /// the repository may have made it younger.
    pub stored_at: Timestamp,
}

/// What [`load_manifests`] found.
#[derive(Debug, Default)]
pub struct Manifests {
    /// Oldest first, by the time that they stand for.
    pub snapshots: Vec<LoadedManifest>,
    /// Snapshots whose manifests exist and cannot be read, or that should exist and do not, and why.
    pub damaged: BTreeMap<SessionId, Damage>,
}

/// What is wrong with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// For people.
    pub text: String,
    /// Its domain, where known. Who can write to one domain only cannot cast doubt on another.
    pub domain: Option<DomainId>,
    /// The manifest is there and authentic, but not the one that a later snapshot saw.
    pub is_readable: bool,
}

/// Reads all manifests of all domains; admins only. Damage is reported and listed, not an error: other snapshots are fine.
///
/// # Errors
/// The holder is no admin, or the store failed.
pub fn load_manifests(repository: &Repository, monitor: &dyn Monitor) -> Result<Manifests, RepoError> {
    repository.keys.require_admin("reading snapshots")?;
    let mut found = Manifests::default();
    let voids = list_voids(repository)?;
    let mut forgotten = None;
    for (id, stored_at) in list_manifests(repository)? {
        let is_void = voids.contains(&id) && repository.is_stopped(StopKind::Void, id, monitor)?;
        if is_void && !is_planted(Planted::VoidIgnored) {
            continue;
        }
        // What brought the replica of a forgotten snapshot back does not bring the snapshot back. A fence alone does not
        // hide a replica, which is written only after the fence was looked for (W5).
        if repository.store.head(&names::manifest(id))?.is_none() {
            if forgotten.is_none() {
                forgotten = Some(read_forgotten(repository, monitor)?);
            }
            if forgotten.as_ref().is_some_and(|forgotten| forgotten.contains(&id)) {
                continue;
            }
        }
        match read_manifest(repository, id, stored_at, monitor) {
            Ok(Some(manifest)) => found.snapshots.push(manifest),
            // Withdrawn or forgotten since it was listed.
            Ok(None) => {}
            Err(error) if error.is_useless() => {
                let damage = Damage { text: error.to_string(), domain: None, is_readable: false };
                found.damaged.insert(id, damage);
            }
            Err(error) => return Err(error),
        }
    }
    found.snapshots.sort_by_key(|loaded| (loaded.manifest.created_at, loaded.manifest.id));
    check_chain(repository, &mut found, monitor)?;
    for (id, damage) in &found.damaged {
        let object = names::manifest(*id).to_string();
        monitor.problem(&Problem::Damaged { object, text: damage.text.clone() });
    }
    Ok(found)
}

fn list_voids(repository: &Repository) -> Result<BTreeSet<SessionId>, RepoError> {
    let mut voids = BTreeSet::new();
    repository
        .store
        .list(names::SNAPSHOTS, &mut |entry| voids.extend(names::id_of::<SessionId>(&entry.name, "void")))?;
    Ok(voids)
}

/// Ids of manifests, originals and replicas alike, each with the time of the older one.
fn list_manifests(repository: &Repository) -> Result<BTreeMap<SessionId, Timestamp>, RepoError> {
    let mut listed = BTreeMap::new();
    for folder in [names::SNAPSHOTS.to_owned(), format!("{}/{}", names::REPLICAS, names::SNAPSHOTS)] {
        repository.store.list(&folder, &mut |entry| {
            if let Some(id) = names::id_of::<SessionId>(&entry.name, "json") {
                let oldest = listed.entry(id).or_insert(entry.modified);
                *oldest = entry.modified.min(*oldest);
            }
        })?;
    }
    Ok(listed)
}

fn read_manifest(
    repository: &Repository,
    id: SessionId,
    stored_at: Timestamp,
    monitor: &dyn Monitor,
) -> Result<Option<LoadedManifest>, RepoError> {
    let config = &repository.config;
    let parse = |bytes: &[u8]| {
        let sealed = SealedManifest::parse(bytes, config.suite, config.repository, id)?;
        let domain = sealed.prefix.domain;
        let broken = |what: &str| crate::format::FormatError::broken("R-SEAL-1", what);
        let keys = repository.keys.domain(domain)?.ok_or_else(|| broken("there is no key for its domain"))?;
        let secrets = keys.stored_object(&sealed.prefix, &sealed.enc);
        let secrets = secrets.map_err(|_| broken("its encapsulated key is no point"))?;
        let secrets = secrets.ok_or_else(|| broken("there is no key for reading it"))?;
        Ok(LoadedManifest { manifest: sealed.open(&secrets)?, domain, blake3: blake3_256(bytes), stored_at })
    };
    read_replicated(&*repository.store, &names::manifest(id), MAX_JSON_BYTES, monitor, parse)
}

/// A manifest that another one of its domain names must be there, unless something signed explains why not
/// (R-MANIFEST-4).
fn check_chain(
    repository: &Repository,
    found: &mut Manifests,
    monitor: &dyn Monitor,
) -> Result<(), RepoError> {
    let there: HashMap<SessionId, (DomainId, [u8; 32])> =
        found.snapshots.iter().map(|loaded| (loaded.manifest.id, (loaded.domain, loaded.blake3))).collect();
    let mut wanted: BTreeMap<(SessionId, DomainId), ([u8; 32], SessionId)> = BTreeMap::new();
    for loaded in &found.snapshots {
        for previous in &loaded.manifest.previous {
            wanted.insert((previous.id, loaded.domain), (previous.blake3.0, loaded.manifest.id));
        }
    }
    let mut forgotten = None;
    for ((id, domain), (blake3, by)) in wanted {
        let (text, is_readable) = match there.get(&id) {
            Some((its_domain, stored)) if *its_domain != domain || *stored == blake3 => continue,
            Some(_) => (format!("it is not the manifest that snapshot {by} saw: it was replaced"), true),
            None if found.damaged.contains_key(&id) => continue,
            None => {
                if forgotten.is_none() {
                    forgotten = Some(read_forgotten(repository, monitor)?);
                }
                let is_forgotten = forgotten.as_ref().is_some_and(|forgotten| forgotten.contains(&id));
                if is_forgotten || repository.was_stopped(id, monitor)? {
                    continue;
                }
                let text =
                    format!("it is missing: snapshot {by} saw it, and no signed record says why it is gone");
                (text, false)
            }
        };
        found.damaged.entry(id).or_insert(Damage { text, domain: Some(domain), is_readable });
    }
    Ok(())
}

/// The newest manifests of a domain whose sessions have ended, for the chain of a new one.
///
/// Also works for write holders, who can hash what they cannot read.
///
/// # Errors
/// The store failed.
pub fn newest_of_domain(
    repository: &Repository,
    domain: DomainId,
) -> Result<Vec<(Previous, Timestamp)>, RepoError> {
    let store = &*repository.store;
    let config = &repository.config;
    let voids = list_voids(repository)?;
    let mut ids = Vec::new();
    store.list(names::SNAPSHOTS, &mut |entry| ids.extend(names::id_of::<SessionId>(&entry.name, "json")))?;
    // Listed after the manifests: whoever still has a lock then may yet withdraw.
    let mut open = BTreeSet::new();
    store.list(names::LOCKS, &mut |entry| open.extend(names::id_of::<SessionId>(&entry.name, "json")))?;
    let mut newest = Vec::new();
    for id in ids {
        if open.contains(&id) || voids.contains(&id) {
            continue;
        }
        // What cannot be read is found out by those who read snapshots; a backup must not stop for it.
        let Ok(bytes) = store.get(&names::manifest(id), MAX_JSON_BYTES as u64) else { continue };
        let Ok(sealed) = SealedManifest::parse(&bytes, config.suite, config.repository, id) else { continue };
        if sealed.prefix.domain == domain {
            newest.push((Previous { id, blake3: Hex(blake3_256(&bytes)) }, sealed.committed));
        }
    }
    newest.sort_by_key(|(previous, committed)| std::cmp::Reverse((*committed, previous.id)));
    newest.truncate(CHAIN_LEN);
    Ok(newest)
}
