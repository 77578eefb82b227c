//! How packs are protected that are written from now on.

use crate::error::Error;
use crate::format::parity_level::Parity;
use crate::format::signed::Settings;
use crate::repo::Repository;

/// Protects packs that are written from now on in another way. Groups that are there stay as they are.
///
/// # Errors
/// The holder is no admin, or the store failed.
pub fn set_parity(repository: &mut Repository, level: Parity) -> Result<(), Error> {
    let settings = Settings { parity: level, ..repository.settings.clone() };
    Ok(repository.change_settings(settings)?)
}
