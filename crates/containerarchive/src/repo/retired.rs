//! What records say about packs and snapshots.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::RepoError;
use super::objects::{delete_replicated, list_replicated, put_replicated, read_replicated};
use super::open::Repository;
use crate::base::limits::MAX_JSON_BYTES;
use crate::base::{
    Monitor, ObjectName, PackId, Planted, Problem, RecordId, SessionId, Timestamp, is_planted,
};
use crate::format::names;
use crate::format::signed::{Fact, Forget, Retire};

/// Packs named in any retire record: never used for dedup, read last (S2).
#[derive(Debug, Default)]
pub struct Retired(HashSet<PackId>);

impl Retired {
    /// Reads all retire records.
    ///
    /// # Errors
    /// One is damaged: it is then not known which packs must not be used.
    pub fn read(repository: &Repository, monitor: &dyn Monitor) -> Result<Self, RepoError> {
        let mut packs = HashSet::new();
        each_record::<Retire>(repository, monitor, |_, record| {
            packs.extend(record?.packs);
            Ok(())
        })?;
        Ok(Self(packs))
    }

    /// As [`Retired::read`], but damaged records are reported and left out: good enough for a reader.
    ///
    /// # Errors
    /// The store failed.
    pub fn read_for_reader(repository: &Repository, monitor: &dyn Monitor) -> Result<Self, RepoError> {
        let mut packs = HashSet::new();
        each_record::<Retire>(repository, monitor, |id, record| {
            match record {
                Ok(record) => packs.extend(record.packs),
                Err(error) => report(monitor, &names::record(Retire::KIND, id), &error),
            }
            Ok(())
        })?;
        Ok(Self(packs))
    }

    /// Whether the pack is masked.
    #[must_use]
    pub fn masks(&self, pack: &PackId) -> bool {
        self.0.contains(pack) && !is_planted(Planted::MaskIgnored)
    }
}

impl Repository {
    /// All retire records and the packs that each names.
    ///
    /// # Errors
    /// One is damaged, or the store failed.
    pub fn retire_records(
        &self,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<RecordId, Vec<PackId>>, RepoError> {
        let mut records = BTreeMap::new();
        each_record::<Retire>(self, monitor, |id, record| {
            records.insert(id, record?.packs);
            Ok(())
        })?;
        Ok(records)
    }

    /// Ids of all retire records, by a listing.
    ///
    /// # Errors
    /// The store failed.
    pub fn retire_record_ids(&self) -> Result<BTreeSet<RecordId>, RepoError> {
        list_replicated(&*self.store, &Retire::KIND.folder(), "json")
    }

    /// Deletes a retire record, whose packs must be gone.
    ///
    /// # Errors
    /// The store failed.
    pub fn delete_retire_record(&self, id: RecordId) -> Result<(), RepoError> {
        delete_replicated(&*self.store, &names::record(Retire::KIND, id))
    }

    /// Masks packs: writers refer to them no more, readers read them last, and prune deletes them.
    ///
    /// # Errors
    /// The holder is no admin, or the store failed.
    pub fn retire_packs(&self, id: RecordId, packs: Vec<PackId>) -> Result<(), RepoError> {
        self.keys.require_admin("retiring packs")?;
        let record = Retire { created: self.environment.clock.now(), packs };
        let (name, bytes) = record
            .seal_record(self.config.repository, id, self.keys.signer())
            .map_err(|source| RepoError::format(&names::record(Retire::KIND, id), source))?;
        put_replicated(&*self.store, &name, &bytes)
    }
}

fn report(monitor: &dyn Monitor, object: &ObjectName, error: &RepoError) {
    let object = object.to_string();
    monitor.problem(&Problem::Damaged { object, text: format!("{error}; it is left out") });
}

/// Snapshots that were removed on purpose. Damaged records are reported and left out: what they named then looks
/// like a loss, which is the safe side.
pub(super) fn read_forgotten(
    repository: &Repository,
    monitor: &dyn Monitor,
) -> Result<HashSet<SessionId>, RepoError> {
    let mut snapshots = HashSet::new();
    each_record::<Forget>(repository, monitor, |id, record| {
        match record {
            Ok(record) => snapshots.extend(record.snapshots),
            Err(error) => report(monitor, &names::record(Forget::KIND, id), &error),
        }
        Ok(())
    })?;
    Ok(snapshots)
}

/// When each retire record was put, by the store's clock; of a record and its replica the later time.
pub(super) fn record_times(repository: &Repository) -> Result<BTreeMap<RecordId, Timestamp>, RepoError> {
    let mut times = BTreeMap::new();
    let folder = Retire::KIND.folder();
    for folder in [format!("{}/{folder}", names::REPLICAS), folder] {
        repository.store.list(&folder, &mut |entry| {
            if let Some(id) = names::id_of::<RecordId>(&entry.name, "json") {
                let time = times.entry(id).or_insert(entry.modified);
                *time = entry.modified.max(*time);
            }
        })?;
    }
    Ok(times)
}

/// Calls `each` for every record of a kind: read, or why it cannot be.
pub(super) fn each_record<T: Fact>(
    repository: &Repository,
    monitor: &dyn Monitor,
    mut each: impl FnMut(RecordId, Result<T, RepoError>) -> Result<(), RepoError>,
) -> Result<(), RepoError> {
    let verifier = repository.keys.verifier();
    for id in list_replicated::<RecordId>(&*repository.store, &T::KIND.folder(), "json")? {
        let name = names::record(T::KIND, id);
        let parse = |bytes: &[u8]| T::open_record(repository.config.repository, id, bytes, verifier.as_ref());
        match read_replicated(&*repository.store, &name, MAX_JSON_BYTES, monitor, parse) {
            Ok(None) => {}
            Ok(Some(record)) => each(id, Ok(record))?,
            Err(error) if error.is_damage() => each(id, Err(error))?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
