//! Key slots of a repository: trying, listing, adding, removing.

use super::objects::{delete_replicated, list_replicated, put_replicated, read_replicated};
use super::open::{Credential, Repository};
use super::{NewCredential, RepoError};
use crate::base::limits::{MAX_ARGON2_TOTAL_COST_KIB, MAX_LABEL_BYTES, MAX_SLOTS, MAX_SMALL_JSON_BYTES};
use crate::base::random::random_array;
use crate::base::{DomainId, Monitor, Problem, RepositoryId, SlotId, Timestamp};
use crate::crypto::{
    RootKey, SlotSecrets, derive_domain_id, slot_secrets_from_key_file, slot_secrets_from_passphrase,
};
use crate::format::names;
use crate::format::slot::{Capability, NewSlot, Slot, SlotKdf, SlotPayload, SlotText};
use crate::store::Store;

/// Reads all slots; the damaged ones as errors.
fn read_all(
    store: &dyn Store,
    repository: RepositoryId,
    monitor: &dyn Monitor,
) -> Result<Vec<Result<Slot, RepoError>>, RepoError> {
    let ids = list_replicated::<SlotId>(store, names::KEYS, "json")?;
    if ids.len() > MAX_SLOTS {
        return Err(RepoError::TooManySlots {
            location: store.location(),
            count: ids.len(),
            limit: MAX_SLOTS,
        });
    }
    let mut slots = Vec::new();
    for id in ids {
        let parse = |bytes: &[u8]| Slot::parse(bytes, repository, id);
        match read_replicated(store, &names::slot(id), MAX_SMALL_JSON_BYTES, monitor, parse) {
            Ok(None) => {}
            Ok(Some(slot)) => slots.push(Ok(slot)),
            Err(error) if error.is_damage() => slots.push(Err(error)),
            Err(error) => return Err(error),
        }
    }
    Ok(slots)
}

/// The secrets that a credential gives for a slot; `None` if the slot wants another sort of credential.
fn slot_secrets(
    slot: &Slot,
    repository: RepositoryId,
    credential: Credential<'_>,
    cost_kib: &mut u64,
) -> Result<Option<SlotSecrets>, RepoError> {
    match (slot.kdf, credential) {
        (SlotKdf::Argon2id(params), Credential::Passphrase(passphrase)) => {
            *cost_kib += params.cost_kib();
            if *cost_kib > MAX_ARGON2_TOTAL_COST_KIB {
                return Ok(None);
            }
            Ok(Some(slot_secrets_from_passphrase(passphrase, &slot.salt, params)?))
        }
        (SlotKdf::KeyFile, Credential::KeyFile(key_file)) => {
            Ok(Some(slot_secrets_from_key_file(key_file, &slot.salt, &repository)?))
        }
        _ => Ok(None),
    }
}

/// Opens the first slot that the credential fits, `first` before all others, the cheapest next.
pub(super) fn open_one(
    store: &dyn Store,
    repository: RepositoryId,
    credential: Credential<'_>,
    first: Option<SlotId>,
    monitor: &dyn Monitor,
) -> Result<(SlotPayload, SlotId), RepoError> {
    let given = credential.word();
    let mut damaged = Vec::new();
    let mut slots = Vec::new();
    for slot in read_all(store, repository, monitor)? {
        match slot {
            Ok(slot) => slots.push(slot),
            Err(error) => damaged.push(error),
        }
    }
    slots.sort_by_key(|slot| {
        let cost = if let SlotKdf::Argon2id(params) = slot.kdf { params.cost_kib() } else { 0 };
        (Some(slot.id) != first, cost, slot.id)
    });
    let mut cost_kib = 0;
    let mut untried = Vec::new();
    let mut broken = None;
    for slot in &slots {
        let Some(secrets) = slot_secrets(slot, repository, credential, &mut cost_kib)? else {
            if cost_kib > MAX_ARGON2_TOTAL_COST_KIB {
                untried.push(format!("{} (its Argon2id would cost too much)", names::slot(slot.id)));
            }
            continue;
        };
        match slot.open(&secrets) {
            Ok(None) => {}
            Ok(Some(payload)) => {
                for error in damaged {
                    monitor.problem(&Problem::Damaged {
                        object: names::KEYS.to_owned(),
                        text: error.to_string(),
                    });
                }
                return Ok((payload, slot.id));
            }
            Err(error) => {
                let object = names::slot(slot.id).to_string();
                // A copy of a slot under another name looks like this: another slot may still open.
                broken = Some(RepoError::DamagedSlot { object, given, text: error.to_string() });
            }
        }
    }
    if let Some(broken) = broken {
        return Err(broken);
    }
    if slots.is_empty() && !damaged.is_empty() {
        let text = damaged.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(RepoError::DamagedSlot { object: names::KEYS.to_owned(), given, text });
    }
    if slots.is_empty() {
        return Err(RepoError::Missing { object: format!("every key slot in {}/", names::KEYS) });
    }
    let damaged =
        damaged.iter().map(|error| format!("{} (damaged)", object_of(error))).chain(untried).collect();
    Err(RepoError::WrongKey { given, slots: slots.len(), damaged, location: store.location() })
}

fn object_of(error: &RepoError) -> String {
    match error {
        RepoError::Damaged { object, .. } | RepoError::Missing { object } => object.clone(),
        other => other.to_string(),
    }
}

/// A slot as an admin sees it; a writer sees no label and no domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotView {
    /// The slot.
    pub id: SlotId,
    /// What it allows.
    pub capability: Capability,
    /// When it was made.
    pub created: Timestamp,
    /// How its key is made.
    pub kdf: SlotKdf,
    /// Label and domain.
    pub text: Option<SlotText>,
}

/// All intact slots; damaged ones are reported.
///
/// # Errors
/// The store failed.
pub fn list_slots(repository: &Repository, monitor: &dyn Monitor) -> Result<Vec<SlotView>, RepoError> {
    let mut views = Vec::new();
    for slot in read_all(&*repository.store, repository.config.repository, monitor)? {
        let slot = match slot {
            Ok(slot) => slot,
            Err(error) => {
                monitor.problem(&Problem::Damaged { object: object_of(&error), text: error.to_string() });
                continue;
            }
        };
        let text = match repository.keys.root().map(|root| slot.open_text(root)) {
            None => None,
            Some(Ok(text)) => Some(text),
            Some(Err(error)) => {
                let object = names::slot(slot.id).to_string();
                monitor.problem(&Problem::Damaged { object, text: error.to_string() });
                None
            }
        };
        let Slot { id, capability, created, kdf, .. } = slot;
        views.push(SlotView { id, capability, created, kdf, text });
    }
    views.sort_by_key(|view| (view.created, view.id));
    Ok(views)
}

/// Seals and writes a slot; returns its id once it was read again and opened.
pub(super) fn write_slot(
    store: &dyn Store,
    environment: &super::Environment,
    repository: RepositoryId,
    root: &RootKey,
    payload: &SlotPayload,
    text: &SlotText,
    credential: &NewCredential<'_>,
) -> Result<SlotId, RepoError> {
    let id = SlotId(random_array(&*environment.random)?);
    let salt = random_array(&*environment.random)?;
    let (kdf, secrets) = match credential {
        NewCredential::Passphrase(passphrase, params) => {
            (SlotKdf::Argon2id(*params), slot_secrets_from_passphrase(passphrase, &salt, *params)?)
        }
        NewCredential::KeyFile(key_file) => {
            (SlotKdf::KeyFile, slot_secrets_from_key_file(key_file, &salt, &repository)?)
        }
    };
    let name = names::slot(id);
    let created = environment.clock.now();
    let new = NewSlot { id, created, kdf, salt, secrets: &secrets, payload, text };
    let slot = Slot::seal(repository, root, &new).map_err(|source| RepoError::format(&name, source))?;
    let bytes = slot.encode().map_err(|source| RepoError::format(&name, source))?;
    put_replicated(store, &name, &bytes)?;
    // A slot that nobody can open would be found out on the day it is needed.
    let stored = store.get(&name, MAX_SMALL_JSON_BYTES as u64)?;
    let opened = Slot::parse(&stored, repository, id).and_then(|slot| slot.open(&secrets));
    match opened {
        Ok(Some(_)) => Ok(id),
        Ok(None) => Err(RepoError::SealCheck { why: "the new key slot has another commitment".to_owned() }),
        Err(source) => Err(RepoError::format(&name, source)),
    }
}

/// Adds a slot. A write slot without a domain name makes a domain of its own.
///
/// # Errors
/// The holder is no admin of an encrypted repository, there are too many slots, or the store failed.
pub fn add_slot(
    repository: &Repository,
    credential: &NewCredential<'_>,
    capability: Capability,
    label: &str,
    domain_name: Option<&str>,
    monitor: &dyn Monitor,
) -> Result<SlotId, RepoError> {
    repository.keys.require_admin("making a key")?;
    if [Some(label), domain_name].into_iter().flatten().any(|text| text.len() > MAX_LABEL_BYTES) {
        return Err(RepoError::SlotLimit { what: "bytes of a label or domain name", limit: MAX_LABEL_BYTES });
    }
    let Some(root) = repository.keys.root() else {
        return Err(RepoError::NotEncrypted { location: repository.store.location(), given: "new key" });
    };
    let id = repository.config.repository;
    let count = read_all(&*repository.store, id, monitor)?.len();
    if count >= MAX_SLOTS {
        return Err(RepoError::SlotLimit { what: "key slots", limit: MAX_SLOTS });
    }
    let domain = match (capability, domain_name) {
        (Capability::Admin, _) => DomainId::MAIN,
        (Capability::Write, Some(name)) => derive_domain_id(root, &id, name)?,
        (Capability::Write, None) => DomainId(random_array(&*repository.environment.random)?),
    };
    let payload = match capability {
        Capability::Admin => SlotPayload::Admin(RootKey::new(*root.expose())),
        Capability::Write => SlotPayload::Write(repository.keys.write_keys(domain)?),
    };
    let domain_name = domain_name.map(str::to_owned);
    let text = SlotText { label: label.to_owned(), domain, domain_name };
    write_slot(&*repository.store, &repository.environment, id, root, &payload, &text, credential)
}

/// Removes a slot, replica first. The last admin slot stays.
///
/// # Errors
/// There is no such slot, it is the last admin one, the holder is no admin, or the store failed.
pub fn remove_slot(repository: &Repository, id: SlotId, monitor: &dyn Monitor) -> Result<(), RepoError> {
    repository.keys.require_admin("removing a key")?;
    let slots = read_all(&*repository.store, repository.config.repository, monitor)?;
    let name = names::slot(id);
    let is_damaged = slots.iter().any(|slot| matches!(slot, Err(error) if object_of(error) == name.as_str()));
    let slots: Vec<Slot> = slots.into_iter().filter_map(Result::ok).collect();
    // Anybody who can write to the storage can add a slot that says 'admin'; only an admin can have made its text.
    let is_real_admin = |slot: &Slot| {
        let text = repository.keys.root().map(|root| slot.open_text(root));
        slot.capability == Capability::Admin
            && matches!(text, Some(Ok(text)) if text.domain == DomainId::MAIN)
    };
    let stays = |why| RepoError::SlotStays { slot: id.to_string(), why };
    let found = slots.iter().find(|slot| slot.id == id);
    if found.is_none() && !is_damaged {
        return Err(stays("there is no such slot"));
    }
    let other_admins = slots.iter().filter(|slot| slot.id != id && is_real_admin(slot)).count();
    if other_admins == 0 {
        return Err(stays(
            "it is the last one with the admin capability, and nobody could open the repository any more",
        ));
    }
    delete_replicated(&*repository.store, &name)
}
