//! Config, key slots, manifests, records, fences, voids, sessions: each with its replica, where it has one.

use std::collections::{BTreeSet, HashSet};

use serde::de::DeserializeOwned;

use super::{Site, State};
use crate::base::limits::{MAX_JSON_BYTES, MAX_SMALL_JSON_BYTES};
use crate::base::{Monitor, ObjectName, PackId, RecordId, SessionId, SlotId};
use crate::crypto::blake3_256;
use crate::error::Error;
use crate::format::FormatError;
use crate::format::config::UnverifiedConfig;
use crate::format::manifest::SealedManifest;
use crate::format::names::{self, RecordKind, id_of};
use crate::format::session::SealedSession;
use crate::format::signed::{Fact, Forget, Pin, Retire, Settings, StopKind, Verified};
use crate::format::slot::Slot;
use crate::format::text::{Common, TextObject};
use crate::repo::{RepoError, Repository};
use crate::store::StoreErrorKind;

/// Which small object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SmallId {
    /// The config.
    Config,
    /// A key slot.
    Slot(SlotId),
    /// A record.
    Record(RecordKind, RecordId),
    /// A void.
    Void(SessionId),
    /// A fence.
    Fence(SessionId),
    /// A session.
    Session(SessionId),
    /// A manifest.
    Manifest(SessionId),
}

/// What an object's state means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It counts.
    Counts,
    /// A void says that the manifest is none.
    Voided,
    /// A replica of a manifest that a void or a forget record explains the absence of (R-REPLICA-1): it should
    /// have been deleted first.
    LeftOver,
}

/// A small object and how its copies are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SmallObject {
    /// Which.
    pub(crate) id: SmallId,
    /// The original.
    pub(crate) original: State,
    /// Its replica; `None` for objects that have none.
    pub(crate) replica: Option<State>,
    /// What that means.
    pub(crate) standing: Standing,
}

impl SmallObject {
    /// Whether all copies that should be there are intact.
    pub(crate) fn is_intact(&self) -> bool {
        self.original == State::Intact && self.replica.as_ref().is_none_or(|state| *state == State::Intact)
    }

    /// Whether a copy of it is there, in whatever state.
    pub(crate) fn is_there(&self) -> bool {
        self.original != State::Missing || self.replica.as_ref().is_some_and(|state| *state != State::Missing)
    }

    /// Whether any copy is intact.
    pub(crate) fn has_intact_copy(&self) -> bool {
        self.original == State::Intact || self.replica == Some(State::Intact)
    }
}

impl SmallId {
    /// The name of the original.
    pub(crate) fn name(self) -> ObjectName {
        match self {
            Self::Config => names::config(),
            Self::Slot(id) => names::slot(id),
            Self::Record(kind, id) => names::record(kind, id),
            Self::Void(id) => names::void(id),
            Self::Fence(id) => names::fence(id),
            Self::Session(id) => names::session(id),
            Self::Manifest(id) => names::manifest(id),
        }
    }

    /// Whether it has a replica (R-REPLICA-1).
    pub(crate) fn has_replica(self) -> bool {
        matches!(self, Self::Config | Self::Slot(_) | Self::Record(..) | Self::Manifest(_))
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Slot(_) => "key",
            Self::Record(kind, _) => kind.word(),
            Self::Void(_) => "void",
            Self::Fence(_) => "fence",
            Self::Session(_) => "session",
            Self::Manifest(_) => "manifest",
        }
    }

    fn max_bytes(self) -> usize {
        match self {
            Self::Record(..) | Self::Manifest(_) => MAX_JSON_BYTES,
            _ => MAX_SMALL_JSON_BYTES,
        }
    }
}

/// Looks at all small objects, in order of their kinds; reads each copy once, whole.
///
/// # Errors
/// The store failed, or the user wants to stop.
pub(crate) fn scan_small(site: &Site<'_>, monitor: &dyn Monitor) -> Result<Vec<SmallObject>, Error> {
    let mut objects = Vec::new();
    for id in list_small(site)? {
        if monitor.is_cancelled() {
            return Err(Error::Cancelled);
        }
        objects.push(look(site, id)?);
    }
    // What went between listing and look is nobody's loss.
    objects.retain(|object| object.is_there() || object.id == SmallId::Config);
    let voided = |wanted: SessionId| {
        objects.iter().any(|object| object.id == SmallId::Void(wanted) && object.original == State::Intact)
    };
    let forgotten = forgotten_snapshots(site, &objects)?;
    let standing = |object: &SmallObject| match object.id {
        SmallId::Manifest(id)
            if object.original == State::Missing && (voided(id) || forgotten.contains(&id)) =>
        {
            Standing::LeftOver
        }
        SmallId::Manifest(id) if voided(id) => Standing::Voided,
        _ => Standing::Counts,
    };
    let standings: Vec<Standing> = objects.iter().map(standing).collect();
    for (object, standing) in objects.iter_mut().zip(standings) {
        object.standing = standing;
    }
    Ok(objects)
}

/// Looks at one small object again, and at what explains its absence.
///
/// # Errors
/// The store failed.
pub(crate) fn look_small(site: &Site<'_>, id: SmallId) -> Result<SmallObject, Error> {
    let mut object = look(site, id)?;
    let SmallId::Manifest(session) = id else { return Ok(object) };
    if look(site, SmallId::Void(session))?.original == State::Intact {
        object.standing =
            if object.original == State::Missing { Standing::LeftOver } else { Standing::Voided };
    } else if object.original == State::Missing {
        let mut records = Vec::new();
        for id in list_small(site)? {
            if matches!(id, SmallId::Record(RecordKind::Forget, _)) {
                records.push(look(site, id)?);
            }
        }
        if forgotten_snapshots(site, &records)?.contains(&session) {
            object.standing = Standing::LeftOver;
        }
    }
    Ok(object)
}

fn list_small(site: &Site<'_>) -> Result<BTreeSet<SmallId>, Error> {
    let mut ids = BTreeSet::from([SmallId::Config]);
    let store = site.parity.store;
    let mut list = |folder: &str, each: &mut dyn FnMut(&ObjectName) -> Option<SmallId>| {
        store.list(folder, &mut |entry| ids.extend(each(&entry.name))).map_err(RepoError::from)
    };
    for replicas in [String::new(), format!("{}/", names::REPLICAS)] {
        list(&format!("{replicas}{}", names::KEYS), &mut |name| id_of(name, "json").map(SmallId::Slot))?;
        for kind in RecordKind::ALL {
            list(&format!("{replicas}{}", kind.folder()), &mut |name| {
                id_of(name, "json").map(|id| SmallId::Record(kind, id))
            })?;
        }
        list(&format!("{replicas}{}", names::SNAPSHOTS), &mut |name| {
            let void = || id_of(name, "void").map(SmallId::Void).filter(|_| replicas.is_empty());
            id_of(name, "json").map(SmallId::Manifest).or_else(void)
        })?;
    }
    list(names::LOCKS, &mut |name| {
        let fence = || id_of(name, "fence").map(SmallId::Fence);
        id_of(name, "json").map(SmallId::Session).or_else(fence)
    })?;
    Ok(ids)
}

fn look(site: &Site<'_>, id: SmallId) -> Result<SmallObject, Error> {
    let name = id.name();
    let (original, digest) = look_at(site, id, &name)?;
    let mut replica = None;
    if id.has_replica() {
        let (mut state, of_replica) = look_at(site, id, &names::replica(&name))?;
        if (&original, &state) == (&State::Intact, &State::Intact) && digest != of_replica {
            state = State::Damaged("it is intact, and differs from its original, which counts".to_owned());
        }
        replica = Some(state);
    }
    Ok(SmallObject { id, original, replica, standing: Standing::Counts })
}

/// The state of one copy, and the BLAKE3 of its bytes.
fn look_at(site: &Site<'_>, id: SmallId, name: &ObjectName) -> Result<(State, [u8; 32]), Error> {
    let bytes = match read(site, id, name)? {
        Ok(bytes) => bytes,
        Err(state) => return Ok((state, [0; 32])),
    };
    let state = match check(site, id, &bytes) {
        Ok(()) => State::Intact,
        Err(error) => State::Damaged(error.to_string()),
    };
    Ok((state, blake3_256(&bytes)))
}

fn read(site: &Site<'_>, id: SmallId, name: &ObjectName) -> Result<Result<Vec<u8>, State>, RepoError> {
    let get = || site.parity.store.get(name, id.max_bytes() as u64);
    // A read that fails for a moment must not cost a void, which has no copy; a bad sector fails again.
    let read = match get() {
        Err(error) if error.kind == StoreErrorKind::Failed => get(),
        other => other,
    };
    match read {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(Err(State::Missing)),
        Err(error) if error.kind == StoreErrorKind::TooLarge => {
            Ok(Err(State::Damaged("it is too long (R-TEXT-1)".to_owned())))
        }
        Err(error) => {
            let error = RepoError::from(error);
            if error.is_damage() { Ok(Err(State::Damaged(error.to_string()))) } else { Err(error) }
        }
    }
}

fn check(site: &Site<'_>, id: SmallId, bytes: &[u8]) -> Result<(), FormatError> {
    let repository = site.parity.repository;
    let object = TextObject::parse(bytes, id.max_bytes())?;
    object.body::<Common>(&Common::new(id.kind(), repository, &id.name()))?;
    match id {
        SmallId::Config => {
            UnverifiedConfig::parse(bytes)?;
        }
        SmallId::Slot(slot) => drop(Slot::parse(bytes, repository, slot)?),
        SmallId::Manifest(session) => {
            drop(SealedManifest::parse(bytes, site.parity.suite, repository, session)?);
        }
        _ => {}
    }
    site.opened.map_or(Ok(()), |opened| check_with_keys(opened, id, bytes))
}

/// What only an admin can see: signatures, and whether sealed parts open.
fn check_with_keys(opened: &Repository, id: SmallId, bytes: &[u8]) -> Result<(), FormatError> {
    let repository = opened.config.repository;
    let verifier = opened.keys.verifier();
    let verifier = verifier.as_ref();
    let no_key = || FormatError::broken("R-SEAL-1", "there is no key for its domain");
    match id {
        SmallId::Config => UnverifiedConfig::parse(bytes)?.verify(verifier).map(drop),
        SmallId::Slot(slot) => match opened.keys.root() {
            Some(root) => Slot::parse(bytes, repository, slot)?.open_text(root).map(drop),
            None => Ok(()),
        },
        SmallId::Record(kind, record) => match kind {
            RecordKind::Retire => Retire::open_record(repository, record, bytes, verifier).map(drop),
            RecordKind::Forget => Forget::open_record(repository, record, bytes, verifier).map(drop),
            RecordKind::Pin => Pin::open_record(repository, record, bytes, verifier).map(drop),
            RecordKind::Settings => Settings::open_record(repository, record, bytes, verifier).map(drop),
            RecordKind::Verified => Verified::open_record(repository, record, bytes, verifier).map(drop),
        },
        SmallId::Void(session) => StopKind::Void.open(repository, session, bytes, verifier).map(drop),
        SmallId::Fence(session) => StopKind::Fence.open(repository, session, bytes, verifier).map(drop),
        SmallId::Session(session) => {
            let sealed = SealedSession::parse(bytes, opened.config.suite, repository, session)?;
            let keys = opened.keys.domain(sealed.prefix.domain)?.ok_or_else(no_key)?;
            let secrets = keys.session_secrets(&sealed.prefix)?;
            sealed.open(&secrets).map(drop)
        }
        SmallId::Manifest(session) => {
            let sealed = SealedManifest::parse(bytes, opened.config.suite, repository, session)?;
            let keys = opened.keys.domain(sealed.prefix.domain)?.ok_or_else(no_key)?;
            let secrets = keys.stored_object(&sealed.prefix, &sealed.enc)?.ok_or_else(no_key)?;
            sealed.open(&secrets).map(drop)
        }
    }
}

/// Snapshots that intact forget records name.
///
/// # Errors
/// The store failed.
pub(crate) fn forgotten_snapshots(
    site: &Site<'_>,
    objects: &[SmallObject],
) -> Result<HashSet<SessionId>, Error> {
    let records = intact_records::<Forget>(site, objects)?;
    Ok(records.into_iter().flat_map(|forget| forget.snapshots).collect())
}

/// Packs that intact retire records name.
///
/// # Errors
/// The store failed.
pub(crate) fn retired_packs(site: &Site<'_>, objects: &[SmallObject]) -> Result<HashSet<PackId>, Error> {
    let records = intact_records::<Retire>(site, objects)?;
    Ok(records.into_iter().flat_map(|retire| retire.packs).collect())
}

/// The members of the intact ones among the records of a kind; their signatures were looked at as far as keys allow.
fn intact_records<T: Fact<Stored = T> + DeserializeOwned>(
    site: &Site<'_>,
    objects: &[SmallObject],
) -> Result<Vec<T>, Error> {
    let mut records = Vec::new();
    for object in objects {
        let is_wanted = matches!(object.id, SmallId::Record(kind, _) if kind == T::KIND);
        if !is_wanted || !object.has_intact_copy() {
            continue;
        }
        let name = object.id.name();
        let name = if object.original == State::Intact { name } else { names::replica(&name) };
        if let Ok(bytes) = read(site, object.id, &name)?
            && let Ok(record) = TextObject::parse(&bytes, object.id.max_bytes())
            && let Ok(fact) = record.members::<T>()
        {
            records.push(fact);
        }
    }
    Ok(records)
}
