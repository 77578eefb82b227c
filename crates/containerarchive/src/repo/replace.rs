//! Putting right bytes in the place of a damaged object. The original stays in quarantine until what replaced it was read
//! again and is what was written.

use super::RepoError;
use super::objects::delete_if_there;
use crate::base::ObjectName;
use crate::base::limits::MAX_PACK_BYTES;
use crate::format::names;
use crate::store::{Durability, Store, StoreErrorKind};

/// Puts `bytes` under a name, whatever is there. Whoever calls made sure that the bytes are right.
///
/// The original is copied to quarantine, deleted, the new object written and read again, and the copy deleted. A process
/// that is killed in between leaves the original in quarantine, and the object missing or whole. If those bytes are there
/// already, since a read had failed for a moment only, nothing is done: whoever reads them now shall go on.
///
/// # Errors
/// The store failed, or what was written cannot be read again; then the original is in quarantine.
pub fn replace(store: &dyn Store, name: &ObjectName, bytes: &[u8]) -> Result<(), RepoError> {
    if store.get(name, bytes.len() as u64).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let set_aside = set_aside(store, name)?;
    match store.put(name, bytes, Durability::Durable) {
        // Whoever makes it came first, as a writer with the replica of its snapshot: what is there is looked at.
        Err(error) if error.kind != StoreErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    if store.get(name, bytes.len() as u64)? != bytes {
        return Err(RepoError::SealCheck {
            why: format!("{name}, which was written just now, reads differently"),
        });
    }
    if let Some(name) = set_aside {
        delete_if_there(store, &name)?;
    }
    Ok(())
}

/// Moves an object to quarantine. Returns its name there, if there was an object and it could be read.
///
/// # Errors
/// The store failed.
pub fn set_aside(store: &dyn Store, name: &ObjectName) -> Result<Option<ObjectName>, RepoError> {
    if store.head(name)?.is_none() {
        return Ok(None);
    }
    let place = names::quarantined(name);
    let copied = match store.get(name, MAX_PACK_BYTES) {
        Ok(bytes) => match store.put(&place, &bytes, Durability::Durable) {
            // From an interrupted repair, the same object: nothing but a repair replaces any.
            Err(error) if error.kind != StoreErrorKind::AlreadyExists => return Err(error.into()),
            _ => Some(place),
        },
        Err(error) => {
            let is_too_large = error.kind == StoreErrorKind::TooLarge;
            let error = RepoError::from(error);
            // What cannot be read cannot be kept.
            if !is_too_large && !error.is_damage() {
                return Err(error);
            }
            None
        }
    };
    delete_if_there(store, name)?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{MemoryStore, ObservedStore, StoreOperation};

    fn replaced_while_somebody_puts(other: &'static [u8]) -> Result<(), RepoError> {
        let base = Arc::new(MemoryStore::new());
        let store = ObservedStore::new(Arc::<MemoryStore>::clone(&base));
        store.set_before(move |call| {
            if call.operation == StoreOperation::Put {
                base.put(&names::config(), other, Durability::Durable)?;
            }
            Ok(())
        });
        replace(&store, &names::config(), b"right")
    }

    #[test]
    fn what_its_writer_put_meanwhile_is_as_good_unless_it_is_something_else() {
        replaced_while_somebody_puts(b"right").unwrap();
        let error = replaced_while_somebody_puts(b"wrong").unwrap_err();
        assert!(matches!(error, RepoError::SealCheck { .. }), "{error}");
    }
}
