//! What several verbs are asked in the same way.

use std::collections::BTreeMap;

use crate::base::Timestamp;
use crate::repo::LoadedManifest;

/// Which snapshots are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// All of these tags.
    pub tags: BTreeMap<String, String>,
    /// This series.
    pub series: Option<String>,
    /// At or after this time.
    pub after: Option<Timestamp>,
    /// Before this time.
    pub before: Option<Timestamp>,
    /// With an item of this name.
    pub item: Option<String>,
}

impl Filter {
    pub(super) fn matches(&self, loaded: &LoadedManifest) -> bool {
        let manifest = &loaded.manifest;
        self.tags.iter().all(|(key, value)| manifest.tags.get(key) == Some(value))
            && self.series.as_ref().is_none_or(|series| manifest.series == *series)
            && self.after.is_none_or(|after| manifest.created_at >= after)
            && self.before.is_none_or(|before| manifest.created_at < before)
            && self.item.as_ref().is_none_or(|name| manifest.items.iter().any(|item| item.name == *name))
    }
}
