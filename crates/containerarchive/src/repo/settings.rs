//! Changing the settings of a repository: a new record with a higher sequence.

use super::objects::put_replicated;
use super::{RepoError, Repository};
use crate::base::RecordId;
use crate::base::random::random_array;
use crate::format::names;
use crate::format::signed::{Fact, Settings};

impl Repository {
    /// Writes new settings, which are in force for everybody who opens the repository from now on, and for this handle.
    /// Their `sequence` and `created` are set here.
    ///
    /// # Errors
    /// The holder is no admin, or the store failed.
    pub fn change_settings(&mut self, settings: Settings) -> Result<(), RepoError> {
        self.keys.require_admin("changing settings")?;
        let sequence = self.settings.sequence.saturating_add(1);
        let settings = Settings { sequence, created: self.environment.clock.now(), ..settings };
        let id = RecordId(random_array(&*self.environment.random)?);
        let (name, bytes) = settings
            .seal_record(self.config.repository, id, self.keys.signer())
            .map_err(|source| RepoError::format(&names::record(Settings::KIND, id), source))?;
        put_replicated(&*self.store, &name, &bytes)?;
        self.settings = settings;
        Ok(())
    }
}
